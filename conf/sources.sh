#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Unpacks a Debian source package into a new folder.
#
#   sources.sh SUITE PACKAGE VERSION DIR
#
# VERSION is the upstream one, or "-" for the newest that there is.  Packages are
# kept in CACHE (default ~/.cache/ngx_mesh); nothing in /etc changes.  Where an archive has lost
# Debian's half of the package, the upstream half does: it is the same release
# without Debian's patches.

set -eu

suite=$1 package=$2 version=$3 dir=$4
cache=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ngx_mesh}/$suite

# security updates have an archive of their own
archive=bookworm
case $suite in *-security) archive=bookworm-security ;; esac

fetch() {
    # shellcheck disable=SC2016  # words of apt's
    uri=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $archive" \
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
    apt-get "$@" -qq --download-only source "$package" >"$cache/log" 2>&1 ||
        apt-get "$@" -qq --download-only --tar-only source "$package" >&2
}

tarball() {
    find "$cache" -maxdepth 1 -name "${package}_$version.orig.tar.*" \
        ! -name '*.asc' -size +0 2>/dev/null | head -n 1
}

if [ "$version" = - ]; then
    # without a network, the newest that was fetched before
    (fetch) || true
    version=$(find "$cache" -maxdepth 1 -name "${package}_*.orig.tar.*" \
        -size +0 2>/dev/null | sed 's/.*_\(.*\)\.orig\.tar\..*/\1/' |
        sort -V | tail -n 1)
fi

[ -n "$(tarball)" ] || (fetch)
tar=$(tarball)

if [ -z "$tar" ]; then
    echo "sources.sh: $suite has no $package $version; there is:" >&2
    ls "$cache" >&2
    exit 1
fi

rm -rf "$dir" "$dir.new"
mkdir -p "$dir.new"

dsc=$(find "$cache" -name "${package}_$version-*.dsc" | sort -V | tail -n 1)
if [ -z "$dsc" ] || ! dpkg-source --no-check -x "$dsc" \
    "$dir.new/$package" >"$cache/log" 2>&1
then
    rm -rf "$dir.new/$package"
    mkdir "$dir.new/$package"
    tar -xf "$tar" -C "$dir.new/$package" --strip-components=1
fi

mv "$dir.new/$package" "$dir"
rm -rf "$dir.new"
