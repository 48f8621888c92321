#!/bin/sh
# Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0
#
# The part of make install that makes configuration; see there.
#
#   install.sh DESTDIR MODDIR DATADIR ETCDIR
#
# A file that is there is kept: the new one goes beside it, as FILE.new.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
dest=$1 modules=$2 share=$3 etc=$4
keys=$etc/keys

# put TEMPLATE FILE
put() {
    file=$dest$2
    [ ! -e "$file" ] || file=$file.new

    # shellcheck disable=SC2016  # a variable of nginx
    sh "$here/fill.sh" "$here/$1" "$file" \
        "LOAD_MODULE=load_module $modules/ngx_http_mesh_module.so;" \
        FILES=65536 RUN=/run/ngx_mesh "CORE=$share/core" \
        'DB=sqlite /var/lib/ngx_mesh/mesh.db' "HTML=$share/html" \
        "AGENTS=$share/agents" "OWN_AGENTS=$share/own-agents" \
        LOGS=/var/log/ngx_mesh MESH_URL= \
        "LOCAL=$etc/site*.conf" \
        'LISTEN_HTTP=listen 80; listen [::]:80;' \
        'LISTEN_HTTPS=listen 443 ssl reuseport; listen [::]:443 ssl reuseport;' \
        'LISTEN_RELAY=listen 444 ssl; listen [::]:444 ssl;' RELAY_PORT=444 \
        "PAGES=$share/mesh-web.conf" \
        'REDIRECT=https://$host' \
        "CERTIFICATES=ssl_certificate $keys/web-ecdsa.pem; ssl_certificate_key \
$keys/web-ecdsa.key; ssl_certificate $keys/web-rsa.pem; ssl_certificate_key \
$keys/web-rsa.key;"

    if cmp -s "$file" "$dest$2"; then
        rm -f "$dest$2.new"
    fi
}

install -d "$dest$share/agents" "$dest$share/own-agents"
put mesh-main.conf.in /usr/share/nginx/modules-available/mod-mesh.conf
put mesh-site.conf.in /etc/nginx/sites-available/mesh
put mesh-pages.conf.in /etc/nginx/sites-available/mesh-pages
ln -sf /usr/share/nginx/modules-available/mod-mesh.conf \
    "$dest/etc/nginx/modules-enabled/60-mod-mesh.conf"

cat <<END
installed.  What is left for you, in this order:
  systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload
  mesh-signer create --san THE.NAME.OF.THIS.HOST $keys
  mesh-admin -c /etc/nginx/nginx.conf migrate
  chown www-data: /var/lib/ngx_mesh/*
  ln -s ../sites-available/mesh /etc/nginx/sites-enabled/
  ln -s ../sites-available/mesh-pages /etc/nginx/sites-enabled/
  raise worker_connections in /etc/nginx/nginx.conf (768 is Debian's)
  systemctl enable --now mesh-signer.socket
  systemctl restart nginx
  mesh-admin -c /etc/nginx/nginx.conf setup-link
END
