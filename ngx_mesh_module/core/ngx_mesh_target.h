/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Where connections through agents may go (S-50): to the device itself, and to
 * what the list of its group names, at first nothing.  The list is the member
 * "targets" of the group's document, an array of entries of proto/mesh_target.h.
 */

#ifndef _NGX_MESH_TARGET_H_INCLUDED_
#define _NGX_MESH_TARGET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "../../proto/mesh_target.h"
#include "ngx_mesh_json.h"
#include "ngx_mesh_model.h"


#define NGX_MESH_TARGETS  64          /* entries of a group */


/*
 * Checks what somebody asked for and rewrites it to the one spelling that is
 * used.  addr empty: the device itself.  NGX_DECLINED: *why is a sentence.
 */
ngx_int_t ngx_mesh_target_parse(mesh_target_t *t, const ngx_str_t *addr,
    ngx_uint_t port, const char **why);

/* NGX_DECLINED: not to be reached through devices of the group, *why */
ngx_int_t ngx_mesh_target_allowed(const mesh_target_t *t, int64_t group_id,
    const char **why);

/*
 * The rights that a connection needs: any of NGX_MESH_D_REMOTECONTROL and
 * NGX_MESH_D_RELAY, and where it is a desktop or a shell by its protocol p
 * (session.md 0) or its port, those of a desktop or a shell (S-31).
 */
ngx_int_t ngx_mesh_target_rights(uint32_t rights, uint32_t p,
    ngx_uint_t port, const char **why);

/* what a group's list may be; NGX_DECLINED: *why, and the entry *bad */
ngx_int_t ngx_mesh_target_list(ngx_mesh_json_t *list, ngx_str_t *bad,
    const char **why);


#endif /* _NGX_MESH_TARGET_H_INCLUDED_ */
