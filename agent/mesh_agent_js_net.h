/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What the bindings of streams, WebSockets and datagrams share. */

#ifndef MESH_AGENT_JS_NET_H_INCLUDED
#define MESH_AGENT_JS_NET_H_INCLUDED


#include "mesh_agent_js.h"
#include "mesh_agent_stream.h"


/* put their functions into the object at the top of the stack */
void mesh_agent_js_init_stream(duk_context *duk);
void mesh_agent_js_init_ws(duk_context *duk);
void mesh_agent_js_init_dgram(duk_context *duk);
void mesh_agent_js_init_rtc(duk_context *duk);

/* members of the options at idx; a wrong type throws */
const char *mesh_agent_js_option_text(duk_context *duk, duk_idx_t idx,
    const char *name, char *buf, size_t size);    /* NULL: not there */
int mesh_agent_js_option_flag(duk_context *duk, duk_idx_t idx,
    const char *name);
uint16_t mesh_agent_js_option_port(duk_context *duk, duk_idx_t idx,
    const char *name);

/* asks onverify({digest, fingerprint}), both as "AA:BB:..." */
int mesh_agent_js_verify(mesh_agent_js_obj_t *obj,
    const mesh_agent_peer_t *peer);


#endif /* MESH_AGENT_JS_NET_H_INCLUDED */
