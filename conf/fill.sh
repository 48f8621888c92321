#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# Writes a configuration from its template.
#
#   fill.sh TEMPLATE FILE [NAME=VALUE]...
#
# @NAME@ becomes VALUE; a line that is nothing but an empty value goes; a
# name that was not given is an error.  FILE is replaced at once or not at all.

set -eu

template=$1 file=$2
shift 2

for pair; do
    # a value may hold anything but a line feed
    value=$(printf '%s' "${pair#*=}" | sed 's/[\\&|]/\\&/g')
    set -- "$@" -e "/^ *@${pair%%=*}@ *\$/{s|@${pair%%=*}@|$value|;/^ *\$/d;}" \
        -e "s|@${pair%%=*}@|$value|g"
    shift
done

sed "$@" "$template" > "$file.new"

if grep -n '@[A-Z_]*@' "$file.new" >&2; then
    echo "fill.sh: $template: values are missing" >&2
    rm -f "$file.new"
    exit 1
fi

mv "$file.new" "$file"
