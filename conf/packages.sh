#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages of the named groups that are not there yet.
#
#   packages.sh GROUP...
#
# Services that come with a package are neither started now nor enabled for
# the next start of the machine; one that was there before is left alone.

set -eu

build='build-essential pkg-config nginx nginx-dev libssl-dev libjson-c-dev
       libpq-dev libsqlite3-dev libpcre2-dev libseccomp-dev libuv1-dev
       zlib1g-dev libnice-dev libusrsctp-dev libjpeg62-turbo-dev libx11-dev
       libxext-dev libxdamage-dev libxfixes-dev libxtst-dev libxrandr-dev'
functional='libio-socket-ssl-perl libnet-ssleay-perl libcryptx-perl
            libprotocol-websocket-perl libdbd-sqlite3-perl libdbd-pg-perl
            postgresql openssl procps perl curl wget iproute2 xvfb xclip
            openssh-server libnss-wrapper libpam-wrapper strace'
browser='chromium zip unzip xvfb xdotool x11-utils
         tigervnc-standalone-server'
interop='libnginx-mod-stream swtpm tpm2-openssl libx11-dev xvfb zip unzip'
cross='musl-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross
       gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user cmake'
fuzz='clang libclang-rt-14-dev'
windows='mingw-w64 wine64 cmake xvfb xdotool'
lint='clang clang-tidy cppcheck shellcheck'

policy=/usr/sbin/policy-rc.d

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" \
        = installed ]
}

missing=
for group; do
    case $group in
    build)      names=$build ;;
    functional) names=$functional ;;
    browser)    names=$browser ;;
    interop)    names=$interop ;;
    cross)      names=$cross ;;
    fuzz)       names=$fuzz ;;
    windows)    names=$windows ;;
    lint)       names=$lint ;;
    node)
        # a desk may have a Node of its own, which Debian's npm conflicts with
        names=
        command -v node >/dev/null || names='nodejs npm'
        command -v npm >/dev/null || names='nodejs npm'
        ;;
    *)
        echo "packages.sh: no group \"$group\"" >&2
        exit 2
        ;;
    esac

    for name in $names; do
        installed "$name" || missing="$missing $name"
    done
done

[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "these packages are missing, and only root can install them:" >&2
    echo " $missing" >&2
    exit 1
fi

echo "installing$missing"

if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive

log=$(mktemp)
# shellcheck disable=SC2086  # a list of words
if ! { apt-get -q update &&
       apt-get -qy --no-install-recommends install $missing; } \
     >"$log" 2>&1 </dev/null
then
    tail -n 20 "$log" >&2
    echo "packages.sh: installing failed; all of apt's words: $log" >&2
    exit 1
fi
rm -f "$log"

for pair in nginx:nginx postgresql:postgresql openssh-server:ssh; do
    case "$missing " in
    *" ${pair%:*} "*)
        if command -v systemctl >/dev/null; then
            systemctl -q disable "${pair#*:}" 2>/dev/null || true
        fi
        ;;
    esac
done
