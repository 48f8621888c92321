/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The data file, mode 0600: keys and values, append-only, written anew when
 * most of it is old.  A record that a crash cut short is dropped at the next
 * start; what stood before it is kept.  The agent's own keys and those of
 * scripts are two name spaces: callers prefix.
 */

#ifndef MESH_AGENT_STORE_H_INCLUDED
#define MESH_AGENT_STORE_H_INCLUDED


#include "mesh_agent.h"


#define MESH_AGENT_STORE_KEY    256                   /* bytes of a key */
#define MESH_AGENT_STORE_VALUE  (16 * 1024 * 1024)    /* bytes of a value */
#define MESH_AGENT_STORE_ALL    (64 * 1024 * 1024)    /* bytes of them all */


/* NULL: not possible, the reason is logged */
mesh_agent_store_t *mesh_agent_store_open(const char *path);
void mesh_agent_store_close(mesh_agent_store_t *st);

/* borrowed until the next call with this store; NULL: none */
const uint8_t *mesh_agent_store_get(mesh_agent_store_t *st, const char *key,
    size_t *len);
/* MESH_OK: on disk; MESH_ERROR: too long, or not written (logged) */
int mesh_agent_store_put(mesh_agent_store_t *st, const char *key,
    const void *value, size_t len);
int mesh_agent_store_delete(mesh_agent_store_t *st, const char *key);
/* bytes of the records whose keys start with prefix, but for that of key */
size_t mesh_agent_store_size(const mesh_agent_store_t *st, const char *prefix,
    const char *key);
/* calls fn with each key that starts with prefix */
void mesh_agent_store_each(mesh_agent_store_t *st, const char *prefix,
    void (*fn)(const char *key, void *data), void *data);


#endif /* MESH_AGENT_STORE_H_INCLUDED */
