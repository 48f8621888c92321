#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Every measurement, one after the other; 1 when one misses its bound.
#
#   AGENTS RUNS SECS   numbers other than the default ones
#   PORT               first of the ports that are used (27020)

set -u

cd "$(dirname "$0")" || exit 1
rc=0

for name in idle handshake relay rtt recorded paced reload start agent desktop picture evening files; do
    echo "== $name"
    perl "./$name" || rc=1
done

echo "== list"
node ./list.mjs || rc=1

exit $rc
