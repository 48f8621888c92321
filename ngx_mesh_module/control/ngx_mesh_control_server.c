/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Actions about the server itself. */

#include "ngx_mesh_control.h"
#include "../core/ngx_mesh_status.h"


void
ngx_mesh_ctl_do_server_status(ngx_mesh_ctl_t *ctl)
{
    ngx_mesh_jw_t  *w;

    if (ctl->b == NULL) {
        ngx_mesh_ctl_end(ctl);
        return;
    }

    w = ngx_mesh_ctl_open(ctl);
    ngx_mesh_status_json(w, ctl->b->s->srv, 1);
    ngx_mesh_ctl_reply(ctl, w);
}
