/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#ifndef MESH_AGENT_JS_PIPE_H_INCLUDED
#define MESH_AGENT_JS_PIPE_H_INCLUDED


#include "mesh_agent_js.h"


/*
 * Pushes an object for one end of a pipe or a terminal: a handle as
 * js/host/stream.js wants one.
 */
void mesh_agent_js_push_pipe(duk_context *duk);
/*
 * Gives it its descriptor; -1: there is none, the object is closed.  Takes fd,
 * even when it fails; does not throw.  Returns 0, or a code of libuv.
 */
int mesh_agent_js_pipe_open(duk_context *duk, duk_idx_t idx, int fd);
/*
 * From the loop: pushes the same for the connection that waits at server.  It
 * outlives its onend(): close() or end() it.  Returns 0, or a code of libuv,
 * with nothing pushed.
 */
int mesh_agent_js_push_accepted(duk_context *duk, uv_stream_t *server);
/* the other side of it; a code of libuv where that has no address */
int mesh_agent_js_pipe_peer(duk_context *duk, duk_idx_t idx,
    struct sockaddr_storage *ss);


#endif /* MESH_AGENT_JS_PIPE_H_INCLUDED */
