/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The agent: one loop (libuv), one control channel, one script at a time.
 * Everything runs in the loop's thread; what would block it is in libuv's
 * pool.  Platforms differ in os/ only.
 */

#ifndef MESH_AGENT_H_INCLUDED
#define MESH_AGENT_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include "../proto/mesh.h"


#define MESH_AGENT_ID_LEN      48         /* SHA-384 */
#define MESH_AGENT_ID_HEX      (2 * MESH_AGENT_ID_LEN)
#define MESH_AGENT_TEXT_ID     64         /* b64x */


typedef struct mesh_agent_conf_s     mesh_agent_conf_t;
typedef struct mesh_agent_store_s    mesh_agent_store_t;
typedef struct mesh_agent_id_s       mesh_agent_id_t;
typedef struct mesh_agent_channel_s  mesh_agent_channel_t;
typedef struct mesh_agent_core_s     mesh_agent_core_t;
typedef struct mesh_agent_update_s   mesh_agent_update_t;
typedef struct mesh_agent_watch_s    mesh_agent_watch_t;
typedef struct mesh_agent_js_s       mesh_agent_js_t;
typedef struct mesh_agent_rtc_s      mesh_agent_rtc_t;


typedef struct {
    uv_loop_t             *loop;
    mesh_agent_conf_t     *conf;          /* owns them all */
    mesh_agent_store_t    *store;
    mesh_agent_id_t       *id;
    mesh_agent_channel_t  *channel;
    mesh_agent_core_t     *core;
    mesh_agent_update_t   *update;
    mesh_agent_rtc_t      *rtc;           /* NULL: nobody has asked yet */
    uv_async_t            *stop;
    mesh_agent_watch_t    *watch;         /* NULL: none */
    unsigned               quitting:1;
    unsigned               restarting:1;  /* as another program, perhaps */
    unsigned               rtc_missing:1; /* it could not be loaded */
} mesh_agent_t;


/* the log, on standard error: one line, lower case, no period */
#define MESH_AGENT_LOG_ERR     3
#define MESH_AGENT_LOG_WARN    4
#define MESH_AGENT_LOG_NOTICE  5
#define MESH_AGENT_LOG_INFO    6
#define MESH_AGENT_LOG_DEBUG   7

extern int  mesh_agent_log_level;

void mesh_agent_log(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* malloc() and friends that end the program when there is no memory */
void *mesh_agent_alloc(size_t size);      /* zeroed */
void *mesh_agent_realloc(void *p, size_t size);
char *mesh_agent_strdup(const char *s);
char *mesh_agent_join(const char *a, const char *b);  /* one behind the other */


/* ends, and starts the program at its path with the same arguments */
void mesh_agent_restart(mesh_agent_t *a);


/* mesh_agent_channel.c: the connection to the server */

/*
 * Sends one message: a text frame, or a binary one.  data is copied.
 * Returns 1, or -4 when the server has not let us in or the queue is full.
 */
int mesh_agent_channel_send(mesh_agent_channel_t *ch, const uint8_t *data,
    size_t len, int text);
int mesh_agent_channel_connected(const mesh_agent_channel_t *ch);
/* "wss://host:port/agent.ashx" in use, or the last one; never NULL */
const char *mesh_agent_channel_url(const mesh_agent_channel_t *ch);
/* address of the server, "" before the first connection */
const char *mesh_agent_channel_ip(const mesh_agent_channel_t *ch);
/* the proxy of that connection as the policy writes it, or NULL: none */
const char *mesh_agent_channel_proxy(const mesh_agent_channel_t *ch);
/* hashes of the server's TLS certificate, zeros before the first one */
void mesh_agent_channel_cert(const mesh_agent_channel_t *ch, uint8_t *key_hash,
    uint8_t *full_hash);
/* closes it; it comes back after a moment */
void mesh_agent_channel_close(mesh_agent_channel_t *ch);


/* mesh_agent_core.c: which script runs */

/* hash of the stored core: 48 bytes; 0: there is none */
int mesh_agent_core_hash(const mesh_agent_core_t *core, uint8_t *hash);
/* from a script: starts the stored core anew, in the next turn of the loop */
void mesh_agent_core_restart(mesh_agent_core_t *core);
/* a retired script has nothing open any more, and was freed */
void mesh_agent_core_gone(mesh_agent_core_t *core, mesh_agent_js_t *js);


#endif /* MESH_AGENT_H_INCLUDED */
