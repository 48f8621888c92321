/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside mesh_agent_rtc.so: a connection is ICE (libnice), in it DTLS
 * (OpenSSL), in it SCTP (usrsctp), in it channels.
 *
 * Who calls an event must expect that the connection is dead afterwards: it
 * is freed by mesh_rtc_sweep(), never before the outermost function returns.
 */

#ifndef MESH_RTC_H_INCLUDED
#define MESH_RTC_H_INCLUDED


#include <nice/agent.h>
#include <openssl/ssl.h>
#include <usrsctp.h>

#include "../../proto/mesh_dcep.h"
#include "../../proto/mesh_sdp.h"
#include "../mesh_agent_rtc.h"


#define MESH_RTC_COMPONENT   1
/* bytes of SCTP in one datagram: 1280 less IPv6, UDP and a DTLS record */
#define MESH_RTC_SCTP_MTU    1184
#define MESH_RTC_DTLS_MTU    1200
#define MESH_RTC_TICK        10           /* ms, of SCTP and DTLS */
#define MESH_RTC_TURN        64           /* messages before others go on */
#define MESH_RTC_HEARTBEAT   5000         /* ms, between SCTP's own */
#define MESH_RTC_SILENCE     30           /* seconds, session.md 6.4 */


typedef struct mesh_rtc_chunk_s  mesh_rtc_chunk_t;

/* a message that SCTP does not take yet */
struct mesh_rtc_chunk_s {
    mesh_rtc_chunk_t   *next;
    uint32_t            ppid;
    size_t              len;
    uint8_t             data[];
};

struct mesh_rtc_channel_s {
    mesh_rtc_channel_t               *next;   /* of rtc's dead ones */
    mesh_rtc_t                       *rtc;
    const mesh_rtc_channel_events_t  *events;
    void                             *data;
    mesh_rtc_chunk_t                 *queue;
    mesh_rtc_chunk_t                **last;
    size_t                            queued;     /* bytes */
    uint16_t                          sid;
    unsigned                          paused:1;
    unsigned                          full:1;     /* owes a drain() */
    unsigned                          ending:1;
    unsigned                          dead:1;
};

struct mesh_rtc_s {
    mesh_rtc_t                *next;          /* of all, or of the dead */
    uintptr_t                  id;            /* its address in SCTP */
    const mesh_rtc_events_t   *events;
    void                      *data;
    gint64                     deadline;      /* until it is connected, us */
    gint64                     heard;         /* the last of the peer, us */

    NiceAgent                 *ice;
    guint                      stream;

    SSL                       *ssl;
    BIO                       *in;            /* of ssl: one datagram */
    uint8_t                    fingerprint[MESH_SDP_FINGERPRINT];

    struct socket             *sctp;
    uint16_t                   port;          /* of the peer */
    size_t                     message_max;   /* that the peer takes */
    uint8_t                   *message;       /* that comes, in parts */
    size_t                     message_len;
    size_t                     message_size;
    uint16_t                   message_sid;

    mesh_rtc_channel_t        *channels[MESH_AGENT_RTC_CHANNELS];
    mesh_rtc_channel_t        *gone;

    unsigned                   secure:1;      /* DTLS is done */
    unsigned                   connected:1;   /* SCTP is up */
    unsigned                   more:1;        /* SCTP has more to read */
    unsigned                   dead:1;
};


/* rtc.c */

/* the connection ends; why, for the one who is told, NULL: nobody */
void mesh_rtc_end(mesh_rtc_t *rtc, const char *why);
mesh_rtc_t *mesh_rtc_find(uintptr_t id);
void mesh_rtc_send(mesh_rtc_t *rtc, const void *data, size_t len);

/* rtc_dtls.c */

int mesh_rtc_dtls_start(const uint8_t *cert, size_t cert_len,
    const uint8_t *key, size_t key_len);
const uint8_t *mesh_rtc_dtls_fingerprint(void);
int mesh_rtc_dtls_open(mesh_rtc_t *rtc, int client);
void mesh_rtc_dtls_input(mesh_rtc_t *rtc, const void *data, size_t len);
void mesh_rtc_dtls_send(mesh_rtc_t *rtc, const void *data, size_t len);
void mesh_rtc_dtls_tick(mesh_rtc_t *rtc);
void mesh_rtc_dtls_close(mesh_rtc_t *rtc);
void mesh_rtc_dtls_free(mesh_rtc_t *rtc);

/* rtc_sctp.c */

void mesh_rtc_sctp_start(void);
int mesh_rtc_sctp_open(mesh_rtc_t *rtc);
void mesh_rtc_sctp_input(mesh_rtc_t *rtc, const void *data, size_t len);
/* reads, and writes what waits */
void mesh_rtc_sctp_turn(mesh_rtc_t *rtc);
void mesh_rtc_sctp_close(mesh_rtc_t *rtc);
void mesh_rtc_sctp_sweep(mesh_rtc_t *rtc);
void mesh_rtc_channel_bind(mesh_rtc_channel_t *ch,
    const mesh_rtc_channel_events_t *events, void *data);
size_t mesh_rtc_channel_max(const mesh_rtc_channel_t *ch);
int mesh_rtc_channel_send(mesh_rtc_channel_t *ch, int text,
    const uint8_t *data, size_t len);
void mesh_rtc_channel_pause(mesh_rtc_channel_t *ch);
void mesh_rtc_channel_resume(mesh_rtc_channel_t *ch);
void mesh_rtc_channel_end(mesh_rtc_channel_t *ch);


#endif /* MESH_RTC_H_INCLUDED */
