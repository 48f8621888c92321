#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0

set -e

# it may be run in a terminal of the agent that it ends; an upgrade restarts it
trap '' HUP

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop mesh-agent.service > /dev/null || true
fi
