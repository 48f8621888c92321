#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

set -e

unit=mesh-agent.service

# the device is another one without them, so only purge takes them; and not
# where mesh-agent install has taken the place of this package since
if [ "$1" = purge ] && [ ! -e "/etc/systemd/system/$unit" ]; then
    rm -rf /var/lib/mesh-agent /usr/lib/mesh-agent
    rm -f "/etc/systemd/system/multi-user.target.wants/$unit"
    deb-systemd-helper purge "$unit" > /dev/null || true
fi

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
