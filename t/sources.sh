#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Unpacks nginx from a Debian source package into a new folder.
#
#   sources.sh SUITE VERSION DIR
#
# Packages are kept in CACHE (default ~/.cache/ngx_mesh); nothing in /etc
# changes.  Where an archive has lost Debian's half of the package, the
# upstream half does: it is the same release without Debian's patches.

set -eu

suite=$1 version=$2 dir=$3
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ngx_mesh}/$suite

fetch() {
    # shellcheck disable=SC2016  # words of apt's
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' \
        'Component: main' 'Created-By: Packages' | head -n 1)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg

    mkdir -p "$cache/lists/partial" "$cache/cache/archives/partial" \
        "$cache/empty"
    echo "deb-src [signed-by=$keys] $uri $suite main" > "$cache/list"

    set -- -o Dir::Etc::sourcelist="$cache/list" \
        -o Dir::Etc::sourceparts="$cache/empty" \
        -o Dir::State::lists="$cache/lists" -o Dir::Cache="$cache/cache" \
        -o APT::Sandbox::User=root

    cd "$cache"
    apt-get "$@" -qq update >&2
    apt-get "$@" -qq --download-only source nginx >"$cache/log" 2>&1 ||
        apt-get "$@" -qq --download-only --tar-only source nginx >&2
}

tar=$cache/nginx_$version.orig.tar.gz
[ -s "$tar" ] || (fetch)

if [ ! -s "$tar" ]; then
    echo "sources.sh: $suite has no nginx $version; there is:" >&2
    ls "$cache" >&2
    exit 1
fi

rm -rf "$dir" "$dir.new"
mkdir -p "$dir.new"

dsc=$(find "$cache" -name "nginx_$version-*.dsc" | sort -V | tail -n 1)
if [ -z "$dsc" ] || ! dpkg-source --no-check -x "$dsc" "$dir.new/nginx" \
    >"$cache/log" 2>&1
then
    rm -rf "$dir.new/nginx"
    mkdir "$dir.new/nginx"
    tar -xzf "$tar" -C "$dir.new/nginx" --strip-components=1
fi

mv "$dir.new/nginx" "$dir"
rm -rf "$dir.new"
