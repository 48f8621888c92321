#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# A private PostgreSQL for the tests: no network, no password, no fsync.
#
#   postgres.sh start DIR    makes it when needed; host=DIR user=mesh
#   postgres.sh stop DIR
#
# DIR belongs to the user postgres when this runs as root.

set -eu

action=$1 dir=$2
tune='-c fsync=off -c max_connections=200'
bin=$(pg_config --bindir)
[ -x "$bin/initdb" ] || for bin in /usr/lib/postgresql/*/bin; do :; done

as() {
    if [ "$(id -u)" = 0 ]; then
        (cd "$dir" && setpriv --reuid postgres --regid postgres \
            --clear-groups env HOME="$dir" "$@")
    else
        "$@"
    fi
}

case $action in
start)
    if [ "$(id -u)" = 0 ]; then
        install -d -o postgres -g postgres -m 755 "$dir"
    else
        mkdir -p "$dir"
    fi

    [ -e "$dir/data/PG_VERSION" ] ||
        as "$bin/initdb" -D "$dir/data" -A trust -U mesh --no-sync -E UTF8 \
            --locale=C.UTF-8 >/dev/null

    as "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1 ||
        as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w start -o \
            "-c listen_addresses='' -c unix_socket_directories='$dir' $tune" \
            >/dev/null
    ;;

stop)
    as "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null
    ;;

*)
    echo "usage: postgres.sh start|stop DIR" >&2
    exit 2
    ;;
esac
