/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A WebSocket that we open (RFC 6455), over mesh_agent_stream. */

#ifndef MESH_AGENT_WS_H_INCLUDED
#define MESH_AGENT_WS_H_INCLUDED


#include "../proto/mesh_ws.h"
#include "mesh_agent_stream.h"


typedef struct mesh_agent_ws_s  mesh_agent_ws_t;


/* a URL: wss://host[:port]/path?query, also ws, http and https */
typedef struct {
    char       *host;                 /* owned */
    char       *path;                 /* from "/" on, owned */
    uint16_t    port;
    unsigned    tls:1;
    unsigned    explicit_port:1;      /* not the scheme's own */
} mesh_agent_url_t;

/*
 * MESH_ERROR: no such URL; also with characters that would end the request's
 * line, so that nobody who gives us a URL can write header lines
 */
int mesh_agent_url_parse(mesh_agent_url_t *url, const char *text);
void mesh_agent_url_free(mesh_agent_url_t *url);


/* why it ended */
typedef struct {
    const char  *why;                 /* NULL: the peer's own wish */
    unsigned     status;              /* HTTP, when it refused the upgrade */
    unsigned     retry_after;         /* seconds, with status; 0: not given */
    unsigned     code;                /* of a close frame; 0: there was none */
} mesh_agent_ws_end_t;

/* as with streams: after closed() there is nothing more */
typedef struct {
    int        (*verify)(void *data, const mesh_agent_peer_t *peer);
    void       (*open)(void *data);
    /* data may be changed, and is good until the return */
    void       (*message)(void *data, unsigned opcode, uint8_t *p, size_t len);
    void       (*control)(void *data, unsigned opcode);   /* NULL, or a pong */
    void       (*drain)(void *data);                      /* or NULL */
    void       (*closed)(void *data, const mesh_agent_ws_end_t *end);
} mesh_agent_ws_events_t;

typedef struct {
    const mesh_agent_url_t        *url;           /* borrowed, during open() */
    const char                    *proxy;         /* or NULL */
    const char                    *from;          /* as of a stream */
    const char                    *header;        /* further lines, or NULL */
    const mesh_agent_ws_events_t  *events;
    void                          *data;
    size_t                         message_max;   /* bytes */
    size_t                         frame_max;     /* bytes sent in a frame */
    unsigned                       public_ca:1;
    unsigned                       behind:1;
} mesh_agent_ws_opts_t;


mesh_agent_ws_t *mesh_agent_ws_open(uv_loop_t *loop,
    const mesh_agent_ws_opts_t *opts);

/* as mesh_agent_stream_write() */
int mesh_agent_ws_send(mesh_agent_ws_t *ws, unsigned opcode, const void *data,
    size_t len);
/* of messages whose header has not come yet */
void mesh_agent_ws_message_max(mesh_agent_ws_t *ws, size_t max);
void mesh_agent_ws_pause(mesh_agent_ws_t *ws);
void mesh_agent_ws_resume(mesh_agent_ws_t *ws);
/* a close frame, then the end; closed() comes */
void mesh_agent_ws_end(mesh_agent_ws_t *ws, unsigned code);
/* at once; closed() is not called */
void mesh_agent_ws_close(mesh_agent_ws_t *ws);

/* how often something came */
uint64_t mesh_agent_ws_reads(const mesh_agent_ws_t *ws);
mesh_agent_stream_t *mesh_agent_ws_stream(mesh_agent_ws_t *ws);


#endif /* MESH_AGENT_WS_H_INCLUDED */
