#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Makes the Debian package of our agent.
#
#   build.sh AGENT FILE [PROGRAM ARCH]
#
# PROGRAM is the agent of another ARCH, AGENT one that runs here.
#
# The layout is that of `mesh-agent install`, which AGENT itself makes here,
# without a policy; only the unit is where packages have theirs, and takes no
# program from a server: apt upgrades this one.

set -eu

agent=$1 file=$2 program=${3:-$1} arch=${4:-$(dpkg --print-architecture)}
here=$(cd "$(dirname "$0")" && pwd)
version=$("$agent" version | sed 's/.* //')
date=$(git log -1 --format=%cD 2>/dev/null || date -R)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
umask 022

root=$work/root
lib=$root/usr/lib/mesh-agent
unit=$root/lib/systemd/system/mesh-agent.service
doc=$root/usr/share/doc/mesh-agent

# any policy does, as it goes again
id=$(printf '%096d' 0)
printf 'MeshID=0x%s\nServerID=%s\nMeshServer=wss://none\n' "$id" "$id" \
    > "$work/none.msh"
mkdir "$root"
"$agent" install "--root=$root" "--policy=$work/none.msh" > /dev/null
rm "$lib/mesh-agent.msh"
install -m 755 "$program" "$lib/mesh-agent"

# what is inside of it is loaded when a session asks, and its libraries then
module=$(dirname "$agent")/mesh_agent_rtc.so
set --
if [ -e "$module" ] && [ "$program" = "$agent" ]; then
    cp "$module" "$lib/mesh_agent_rtc.so"
    set -- -dRecommends -e"$lib/mesh_agent_rtc.so"
fi

mkdir -p "${unit%/*}" "$doc" "$root/usr/sbin" "$root/usr/share/man/man8" \
    "$root/usr/share/lintian/overrides" "$root/DEBIAN" "$work/debian"
sed -e '1,/^$/d' -e 's/^ExecStart=.*/& --selfUpdate=0/' \
    "$root/etc/systemd/system/mesh-agent.service" > "$unit"
rm -r "${root:?}/etc"
ln -s ../lib/mesh-agent/mesh-agent "$root/usr/sbin/mesh-agent"

gzip -9n < "$here/mesh-agent.8" > "$root/usr/share/man/man8/mesh-agent.8.gz"
cp "$here/copyright" "$doc/copyright"
cp "$here/lintian" "$root/usr/share/lintian/overrides/mesh-agent"
printf '%s\n' "mesh-agent ($version) unstable; urgency=medium" '' \
    '  * See CHANGES.md of ngx_mesh.' '' \
    " -- $(sed -n 's/^Maintainer: //p' "$here/control.in")  $date" |
    gzip -9n > "$doc/changelog.gz"

for script in postinst prerm postrm; do
    install -m 755 "$here/$script.sh" "$root/DEBIAN/$script"
done

recommends=
if [ "$program" = "$agent" ]; then
    printf 'Source: mesh-agent\nPackage: mesh-agent\n' \
        > "$work/debian/control"
    shlibs=$(cd "$work" &&
        dpkg-shlibdeps -O -dDepends -e"$lib/mesh-agent" "$@")
    depends=$(echo "$shlibs" | sed -n 's/^shlibs:Depends=//p')
    recommends=$(echo "$shlibs" |
        sed -n 's/^shlibs:Recommends=/Recommends: /p')
    rm -f "$lib/mesh_agent_rtc.so"
else
    # the C library alone, whose package may not be here
    depends=$(readelf -W -V "$program" | grep -o 'GLIBC_[0-9.]*' | sort -V |
        sed -n '$s/GLIBC_\(.*\)/libc6 (>= \1)/p')
fi

sed -e "s/@RECOMMENDS@/$recommends/" -e "/^\$/d" \
    -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" \
    -e "s/@DEPENDS@/$depends/" \
    -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" \
    "$here/control.in" > "$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' |
    LC_ALL=C sort | xargs md5sum) > "$root/DEBIAN/md5sums"

dpkg-deb --root-owner-group --build "$root" "$file.new" > /dev/null
mv "$file.new" "$file"
