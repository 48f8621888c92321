#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Builds the libraries of an agent for another system, static, from Debian's
# source packages, into build/deps/TARGET/{include,lib}.
#
#   deps.sh TARGET
#
# TARGET: musl (any Linux of this processor), arm64, armhf, mingw64.  What is
# there already is not built again.

set -eu

target=$1
out=$PWD/build/deps/$target
work=$out/src
jobs=${JOBS:-2}
export CACHE="${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ngx_mesh}"

# ssl: where OpenSSL looks for authorities, which only an administrator writes;
# time: of 64 bits, in all that is linked together or in nothing of it
system=Linux ssl=/etc/ssl windres='' time='' place=''
case $target in
musl)    host=musl machine=linux-$(uname -m) cpu=$(uname -m) ;;
arm64)   host=aarch64-linux-gnu machine=linux-aarch64 cpu=aarch64 ;;
armhf)   host=arm-linux-gnueabihf machine=linux-armv4 cpu=arm
         time=-D_TIME_BITS=64 place=-D_FILE_OFFSET_BITS=64 ;;
mingw64) host=x86_64-w64-mingw32 machine=mingw64 system=Windows cpu=x86_64
         windres=-DCMAKE_RC_COMPILER=$host-windres
         ssl='C:/Program Files/Common Files/SSL' ;;
*)
    echo "deps.sh: no target \"$target\"" >&2
    exit 2
    ;;
esac

ar=$host-ar
[ "$target" != musl ] || ar='ar'

# say what, or the end of what it said
step() {
    "$@" > "$out/log" 2>&1 || {
        tail -n 20 "$out/log" >&2
        exit 1
    }
}

# wanted LIBRARY PACKAGE [SUITE]: unpacks the newest there, or in the release
wanted() {
    [ ! -e "$out/lib/$1" ] || return 1
    echo "building $2 for $target"
    sh conf/sources.sh "${3:-bookworm}" "$2" - "$work/$2" 2>"$out/log" ||
        sh conf/sources.sh bookworm "$2" - "$work/$2" || exit 1
}

# cmake_build NAME LIBRARY OPTION...: one library of the package NAME
cmake_build() {
    name=$1 library=$2
    shift 2
    step cmake -S "$work/$name" -B "$work/$name/out" ${windres:+"$windres"} \
        -DCMAKE_SYSTEM_NAME="$system" -DCMAKE_SYSTEM_PROCESSOR="$cpu" \
        -DCMAKE_C_COMPILER="$host-gcc" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
        -DCMAKE_C_FLAGS="-isystem $out/include $time $place" "$@"
    step cmake --build "$work/$name/out" -j "$jobs" --target "$library"
}

mkdir -p "$work" "$out/include" "$out/lib"

if [ "$target" = musl ]; then
    # headers of the kernel and of X11, which know no C library
    for dir in linux asm-generic X11; do
        ln -sfn "/usr/include/$dir" "$out/include/$dir"
    done
    ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$out/include/asm"
fi

if wanted libz.a zlib; then
    # Debian's package has no build rules for Windows; these need none
    (cd "$work/zlib"
     step "$host-gcc" -O2 -fPIC -D_FORTIFY_SOURCE=2 -c adler32.c compress.c \
         crc32.c deflate.c inffast.c inflate.c inftrees.c trees.c uncompr.c \
         zutil.c
     step "$ar" rcs libz.a ./*.o
     cp zlib.h zconf.h "$out/include"
     cp libz.a "$out/lib")
fi

if wanted libuv_a.a libuv1; then
    cmake_build libuv1 uv_a -DLIBUV_BUILD_TESTS=OFF
    cp -r "$work/libuv1/include/." "$out/include"
    cp "$work/libuv1/out/libuv_a.a" "$out/lib"
fi

if [ "$system" = Linux ] && wanted libjpeg.a libjpeg-turbo; then
    # what is quick on x86 is for an assembler; the static agent has no screens
    simd=ON
    [ "$target" != musl ] || simd=OFF
    cmake_build libjpeg-turbo jpeg-static -DENABLE_SHARED=OFF \
        -DWITH_TURBOJPEG=OFF -DWITH_SIMD="$simd"
    (cd "$work/libjpeg-turbo"
     cp jpeglib.h jmorecfg.h jerror.h out/jconfig.h "$out/include"
     cp out/libjpeg.a "$out/lib")
fi

# last: the one that make looks at
if wanted libssl.a openssl bookworm-security; then
    (cd "$work/openssl"
     step ./Configure "$machine" CC="$host-gcc" AR="$ar" RANLIB="$ar -s" \
         RC="$host-windres" --prefix=/usr --openssldir="$ssl" no-shared \
         no-tests no-engine no-legacy no-module no-autoload-config \
         ${time:+"$time" "$place"} -isystem "$out/include"
     step make -j "$jobs" build_libs
     cp -r include/openssl "$out/include"
     cp libcrypto.a libssl.a "$out/lib")
fi

rm -rf "$work"
