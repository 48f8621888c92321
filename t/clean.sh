#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Clones this repository into a clean Debian 12 and runs the README's commands
# there.  As root, with CAP_SYS_ADMIN; needs debootstrap.
#
#   clean.sh [COMMAND]     default: make run, twice, then make test
#
#   CLEAN       folder of the Debian (default /var/tmp/ngx_mesh-clean), removed
#               first; its base is kept beside it, as CLEAN.tar
#   HTTPS_PORT HTTP_PORT   ports, which are shared with this machine

set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
root=${CLEAN:-/var/tmp/ngx_mesh-clean}
ports="HTTPS_PORT=${HTTPS_PORT:-27443} HTTP_PORT=${HTTP_PORT:-27080}"

case ${1-} in
'')
    # starts, waits for a page, ends by Ctrl-C's signal; $1 s are allowed
    once='once() {
        : > /tmp/log
        start=$(date +%s%N)
        setsid make run '$ports' > /tmp/log 2>&1 & pid=$!
        until grep -q "press Ctrl-C" /tmp/log; do
            kill -0 $pid 2>/dev/null || { cat /tmp/log; exit 1; }
            sleep 0.1
        done
        ms=$((($(date +%s%N) - start) / 1000000))
        cat /tmp/log
        perl t/get.pl '${HTTPS_PORT:-27443}' /health.ashx
        perl t/get.pl '${HTTPS_PORT:-27443}' /
        kill -INT -- -$pid
        wait $pid || true
        echo "make run: ready after $ms ms"
        [ $ms -lt $1 ]
    }'
    command="$once; once 900000; once 5000; make test"
    ;;
*)
    command=$1
    ;;
esac

if [ ! -s "$root.tar" ]; then
    # shellcheck disable=SC2016  # words of apt's
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' \
        'Component: main' 'Created-By: Packages' | head -n 1)
    rm -rf "$root.base"
    debootstrap --variant=minbase --include=ca-certificates,make,git \
        bookworm "$root.base" "$uri" > "$root.log"
    tar -C "$root.base" -cf "$root.tar.new" .
    mv "$root.tar.new" "$root.tar"
    rm -rf "$root.base"
fi

rm -rf "$root"
mkdir -p "$root"
tar -C "$root" -xf "$root.tar"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
git clone -q "$here" "$root/srv/ngx_mesh"

# mounts and whatever runs in there go when the command ends
# shellcheck disable=SC2016  # expanded inside
exec unshare -mpf --kill-child sh -euc '
    mount -t proc proc "$0/proc"
    mount --rbind /sys "$0/sys"
    mount --rbind /dev "$0/dev"
    exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        TERM=dumb LANG=C.UTF-8 ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"} \
        sh -euc "cd /srv/ngx_mesh; $1"' "$root" "$command"
