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
command=${1:-sh t/clean-steps.sh ${HTTPS_PORT:-27443} ${HTTP_PORT:-27080}}

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
        TERM=dumb LANG=C.UTF-8 NODE_EXTRA_CA_CERTS="$2" \
        sh -euc "cd /srv/ngx_mesh; $1"' \
    "$root" "$command" "${NODE_EXTRA_CA_CERTS-}"
