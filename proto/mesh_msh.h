/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The policy file of an agent, agent.md 1.1: lines of key=value. */

#ifndef MESH_MSH_H_INCLUDED
#define MESH_MSH_H_INCLUDED


#include <stddef.h>
#include "mesh.h"


typedef struct {
    const char  *key;                     /* both borrowed, never empty */
    const char  *value;
    size_t       key_len;
    size_t       value_len;
} mesh_msh_pair_t;

/*
 * Reads one line from the front of the text, which *p then is behind.
 *
 *   MESH_OK        *pair is set
 *   MESH_DECLINED  a line that says nothing: empty, a comment, without a key or
 *                  a value, or with a zero in it
 *   MESH_AGAIN     the text is at its end
 */
int mesh_msh_parse(mesh_msh_pair_t *pair, const char **p, const char *last);


#endif /* MESH_MSH_H_INCLUDED */
