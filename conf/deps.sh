#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Builds the libraries of an agent for another system, static, from Debian's
# source packages, into build/deps/TARGET/{include,lib}.
#
#   deps.sh TARGET
#
# TARGET: mingw64.

set -eu

target=$1
root=$PWD
out=$root/build/deps/$target
work=$out/src
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ngx_mesh}
jobs=${JOBS:-2}

case $target in
mingw64) host=x86_64-w64-mingw32 ;;
*)
    echo "deps.sh: no target \"$target\"" >&2
    exit 2
    ;;
esac

mkdir -p "$work" "$out/include" "$out/lib"

# Debian replaces a version by the one with its next security update
unpack() {
    CACHE=$cache sh conf/sources.sh bookworm "$1" "$2" "$work/$1"
}

step() {
    if ! "$@" > "$out/log" 2>&1; then
        tail -n 20 "$out/log" >&2
        exit 1
    fi
}

if [ ! -e "$out/lib/libz.a" ]; then
    echo "building zlib for $target"
    unpack zlib 1.2.13.dfsg
    # Debian's package has no build rules for Windows; these need none
    (cd "$work/zlib" \
        && step "$host-gcc" -O2 -c adler32.c compress.c crc32.c deflate.c \
            inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c \
        && step "$host-ar" rcs libz.a ./*.o)
    cp "$work/zlib/zlib.h" "$work/zlib/zconf.h" "$out/include"
    cp "$work/zlib/libz.a" "$out/lib"
fi

if [ ! -e "$out/lib/libuv_a.a" ]; then
    echo "building libuv for $target"
    unpack libuv1 1.44.2
    step cmake -S "$work/libuv1" -B "$work/libuv1/out" \
        -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_C_COMPILER="$host-gcc" \
        -DCMAKE_RC_COMPILER="$host-windres" -DCMAKE_BUILD_TYPE=Release \
        -DLIBUV_BUILD_TESTS=OFF
    step cmake --build "$work/libuv1/out" -j "$jobs" --target uv_a
    cp -r "$work/libuv1/include/." "$out/include"
    cp "$work/libuv1/out/libuv_a.a" "$out/lib"
fi

if [ ! -e "$out/lib/libcrypto.a" ]; then
    echo "building OpenSSL for $target"
    unpack openssl 3.0.20
    (cd "$work/openssl" \
        && step ./Configure mingw64 --cross-compile-prefix="$host-" \
            no-shared no-tests no-engine no-legacy \
        && step make -j "$jobs" build_libs)
    cp -r "$work/openssl/include/openssl" "$out/include"
    cp "$work/openssl/libssl.a" "$work/openssl/libcrypto.a" "$out/lib"
fi

rm -rf "$work"
