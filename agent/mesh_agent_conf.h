/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the agent was told: its policy (.msh), the command line above it and
 * the environment above that.  agent.md 1.1.
 */

#ifndef MESH_AGENT_CONF_H_INCLUDED
#define MESH_AGENT_CONF_H_INCLUDED


#include "mesh_agent.h"


/* MeshServer: the one of the local network that has the ServerID */
#define MESH_AGENT_LOCAL  "local"

/* an ordered list of pairs; keys are case-sensitive */
typedef struct mesh_agent_pair_s {
    struct mesh_agent_pair_s  *next;
    char                      *key;
    char                      *value;     /* as written, "0x..." too */
} mesh_agent_pair_t;


struct mesh_agent_conf_s {
    char               *exe;              /* absolute path of the program */
    char               *policy;           /* path of the .msh, NULL: none */
    char               *data;             /* folder of agent.db, absolute */
    mesh_agent_pair_t  *msh;              /* of the policy file */
    mesh_agent_pair_t  *options;          /* --key=value */

    uint8_t             mesh_id[MESH_AGENT_ID_LEN];   /* 32: zeros follow */
    size_t              mesh_id_len;      /* 48 or 32 */
    size_t              nservers;         /* at least 1 */
    char              **servers;          /* URLs, NULL at the end */
    char              **server_ids;       /* of each, hex, 96 or 64 */
};


/*
 * argv: the options behind the command's name.  NULL: they or the policy are
 * wrong, which is logged in a sentence.
 */
mesh_agent_conf_t *mesh_agent_conf_load(int argc, char **argv);
void mesh_agent_conf_free(mesh_agent_conf_t *conf);

/*
 * The value of a key: environment MESH_AGENT_<KEY>, then the command line, then
 * the policy.  NULL: none, or empty.  Borrowed.
 */
const char *mesh_agent_conf_get(const mesh_agent_conf_t *conf,
    const char *key);
/* its number; otherwise where it has none from min to max */
long mesh_agent_conf_number(const mesh_agent_conf_t *conf, const char *key,
    long min, long max, long otherwise);


#endif /* MESH_AGENT_CONF_H_INCLUDED */
