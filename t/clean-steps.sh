#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# What clean.sh does inside: make run from nothing, once more, make test.
#
#   clean-steps.sh HTTPS_PORT HTTP_PORT

set -eu

https=$1 http=$2
log=/tmp/make-run.log

# once MS: starts, gets pages, stops as Ctrl-C does; ready within MS
once() {
    : > $log
    start=$(date +%s%N)
    # an interactive shell's way: SIGINT is not ignored
    perl -e '$SIG{INT} = "DEFAULT"; setpgrp; exec @ARGV' \
        make run "HTTPS_PORT=$https" "HTTP_PORT=$http" > $log 2>&1 &
    pid=$!

    until grep -q 'press Ctrl-C' $log; do
        kill -0 $pid 2>/dev/null || { cat $log; exit 1; }
        sleep 0.1
    done
    ms=$((($(date +%s%N) - start) / 1000000))
    cat $log

    perl t/get.pl "$https" /
    perl t/get.pl "$https" /health.ashx

    kill -INT -- -$pid
    wait $pid || true

    echo "make run was ready after $ms ms"
    if pgrep -x nginx || pgrep -x mesh-signer || pgrep -x mesh-agent; then
        echo "left behind" >&2
        exit 1
    fi
    [ $ms -le "$1" ]
}

once 900000
once 5000
make test
