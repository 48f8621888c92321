/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A connection that we open: TCP, or TLS over it, straight or through an HTTP
 * proxy.  All addresses of a name are tried in turn, until one takes the
 * connection; what comes of that is the owner's to judge, who may begin
 * elsewhere the next time.
 */

#ifndef MESH_AGENT_STREAM_H_INCLUDED
#define MESH_AGENT_STREAM_H_INCLUDED


#include "mesh_agent.h"


typedef struct mesh_agent_stream_s  mesh_agent_stream_t;

/* of the peer's certificate, SHA-384 */
typedef struct {
    uint8_t      key[MESH_AGENT_ID_LEN];
    uint8_t      full[MESH_AGENT_ID_LEN];
} mesh_agent_peer_t;

/*
 * Called from the loop, never from within a function of this file, but for
 * verify(), which open() cannot reach.  After closed() nothing more is called
 * and the stream is no more: the owner forgets it.
 */
typedef struct {
    /* TLS: before anything is sent; MESH_OK: it is the one we want */
    int        (*verify)(void *data, const mesh_agent_peer_t *peer);
    void       (*connected)(void *data);
    void       (*read)(void *data, uint8_t *buf, size_t len);
    void       (*drain)(void *data);      /* after a write() said MESH_AGAIN */
    void       (*closed)(void *data, const char *why);  /* NULL: by the peer */
} mesh_agent_stream_events_t;

#define MESH_AGENT_STREAM_IP     64       /* bytes of an address as text */

typedef struct {
    const char                        *host;
    const char                        *proxy;     /* host:port or URL, NULL */
    const char                        *from;      /* begin with it, or NULL */
    const mesh_agent_stream_events_t  *events;
    void                              *data;
    uint16_t                           port;
    unsigned                           tls:1;
    unsigned                           public_ca:1;   /* validateWebCert */
    unsigned                           behind:1;  /* or with the next one */
} mesh_agent_stream_opts_t;


/* of a connection until connected(): 20 s, then closed() */
#define MESH_AGENT_STREAM_WAIT   20000                /* ms */
#define MESH_AGENT_STREAM_HIGH   (256 * 1024)         /* write() says AGAIN */
#define MESH_AGENT_STREAM_MAX    (64 * 1024 * 1024)   /* write() says ERROR */


/* opts is copied; NULL: no memory or no TLS, logged */
mesh_agent_stream_t *mesh_agent_stream_open(uv_loop_t *loop,
    const mesh_agent_stream_opts_t *opts);

/*
 * Copies.  MESH_OK: go on; MESH_AGAIN: taken, wait for drain(); MESH_ERROR: not
 * taken, too much waits or the stream is not connected.
 */
int mesh_agent_stream_write(mesh_agent_stream_t *st, const void *data,
    size_t len);

void mesh_agent_stream_pause(mesh_agent_stream_t *st);
void mesh_agent_stream_resume(mesh_agent_stream_t *st);

/* the owner waits for an answer: closed() after so many ms; 0: no more */
void mesh_agent_stream_limit(mesh_agent_stream_t *st, uint64_t ms);

/* sends what waits, then ends; closed() comes when the peer has ended too */
void mesh_agent_stream_end(mesh_agent_stream_t *st);
/* at once; closed() is not called */
void mesh_agent_stream_close(mesh_agent_stream_t *st);

/* address of the other side as text, of the proxy if there is one */
const char *mesh_agent_stream_ip(const mesh_agent_stream_t *st);
const mesh_agent_peer_t *mesh_agent_stream_peer(const mesh_agent_stream_t *st);


#endif /* MESH_AGENT_STREAM_H_INCLUDED */
