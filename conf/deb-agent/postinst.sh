#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

set -e

unit=mesh-agent.service
policy=/usr/lib/mesh-agent/mesh-agent.msh
data=/var/lib/mesh-agent
own=/etc/systemd/system/$unit

[ "$1" = configure ] || exit 0

# of an agent that was installed without this package, which hides its unit
if [ -f "$own" ] && head -n 1 "$own" | grep -q 'Made by mesh-agent install'
then
    rm -f "$own"
fi

if [ ! -e "$policy" ]; then
    echo "mesh-agent: nothing runs yet: there is no policy, which the page of"
    echo "the server gives.  Then: sudo mesh-agent install --policy=FILE"
    exit 0
fi

# where it has run before, an administrator may have disabled it since
if [ ! -e "$data" ]; then
    deb-systemd-helper enable "$unit" > /dev/null
fi

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    deb-systemd-invoke restart "$unit" > /dev/null || true
fi
