/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * WebRTC data channels, the answering side: session.md 6.
 *
 * ICE and SCTP are big libraries that a session may never ask for.  What uses
 * them is a library of its own, mesh_agent_rtc.so, which the program has in
 * itself, and so is always of the same version, and which is loaded when a
 * script first asks; mesh_agent_rtc_module_t is all that the agent knows of it.
 * Everything happens in the loop's thread.
 */

#ifndef MESH_AGENT_RTC_H_INCLUDED
#define MESH_AGENT_RTC_H_INCLUDED


#include "mesh_agent.h"


#ifndef MESH_AGENT_RTC
#define MESH_AGENT_RTC           0        /* 1: the program has it in itself */
#endif

#define MESH_AGENT_RTC_MODULE    "mesh_agent_rtc_module"
#define MESH_AGENT_RTC_WHY       256

#define MESH_AGENT_RTC_CONNS     10       /* at once */
#define MESH_AGENT_RTC_CHANNELS  16       /* of one connection */
#define MESH_AGENT_RTC_MESSAGE   262144   /* bytes of one, both ways */
#define MESH_AGENT_RTC_WRITE     (64 * 1024 * 1024)   /* that is cut to them */
#define MESH_AGENT_RTC_QUEUE     (8 * 1024 * 1024)    /* before another write */
#define MESH_AGENT_RTC_VALID     60       /* seconds, of an offer */


typedef struct mesh_rtc_s          mesh_rtc_t;
typedef struct mesh_rtc_channel_s  mesh_rtc_channel_t;


/* none is called from within a function of the module but close() */
typedef struct {
    void  (*connected)(void *data);
    /* label is borrowed; without channel_bind() in it the channel is ended */
    void  (*channel)(void *data, mesh_rtc_channel_t *ch, const char *label,
                     size_t len);
    /* the last call: it is gone, and so are its channels */
    void  (*closed)(void *data, const char *why);
} mesh_rtc_events_t;

typedef struct {
    void  (*message)(void *data, int text, const uint8_t *p, size_t len);
    void  (*drain)(void *data);
    /* the last call: the channel is gone */
    void  (*closed)(void *data);
} mesh_rtc_channel_events_t;

typedef struct {
    const char               *sdp;        /* the offer */
    size_t                    sdp_len;
    const char               *address;    /* to be offered; NULL: all */
    const mesh_rtc_events_t  *events;
    void                     *data;
    char                     *answer;     /* MESH_SDP_ANSWER_MAX bytes */
} mesh_rtc_offer_t;


typedef struct {
    /* once: the certificate of all connections, DER; MESH_OK or MESH_ERROR */
    int        (*start)(const uint8_t *cert, size_t cert_len,
                        const uint8_t *key, size_t key_len);
    /* readable: dispatch() has something to do */
    int        (*fd)(void);
    /* before each wait: ms until dispatch() at the latest; -1: for ever */
    int        (*prepare)(void);
    void       (*dispatch)(void);

    /* NULL: no offer, or too many; offer->answer is set otherwise */
    mesh_rtc_t *(*open)(const mesh_rtc_offer_t *offer);
    /* at once; its channels are told, it is not */
    void       (*close)(mesh_rtc_t *rtc);

    /* events NULL: who has ended it hears no more of it */
    void       (*channel_bind)(mesh_rtc_channel_t *ch,
                               const mesh_rtc_channel_events_t *events,
                               void *data);
    /* bytes of a message that the peer takes at most */
    size_t     (*channel_max)(const mesh_rtc_channel_t *ch);
    /*
     * What is binary and longer than channel_max() becomes several messages.
     *
     *   MESH_OK     sent, or on its way
     *   MESH_AGAIN  taken; wait for drain()
     *   MESH_ERROR  too long, the queue is full, or it is closed
     */
    int        (*channel_send)(mesh_rtc_channel_t *ch, int text,
                               const uint8_t *data, size_t len);
    void       (*channel_pause)(mesh_rtc_channel_t *ch);
    void       (*channel_resume)(mesh_rtc_channel_t *ch);
    /* what was written goes out before; closed() comes */
    void       (*channel_end)(mesh_rtc_channel_t *ch);
} mesh_agent_rtc_module_t;


/* The agent's half. */

/* The module, loaded if it was not yet; NULL: there is none here. */
const mesh_agent_rtc_module_t *mesh_agent_rtc_load(mesh_agent_t *a);
/* 0: this program has none, or it could not be loaded */
int mesh_agent_rtc_is_there(mesh_agent_t *a);
/*
 *   MESH_OK        it can be loaded here
 *   MESH_DECLINED  this program has none
 *   MESH_ERROR     not here; why has MESH_AGENT_RTC_WHY bytes
 */
int mesh_agent_rtc_check(char *why);
/*
 * open() and close() of it, and of what waits for it in the loop.  The address
 * of the offer is set here: "webrtcAddress" of the policy.
 */
mesh_rtc_t *mesh_agent_rtc_open(mesh_agent_t *a, mesh_rtc_offer_t *offer);
void mesh_agent_rtc_close(mesh_agent_t *a, mesh_rtc_t *rtc);
/* a connection's closed() was called */
void mesh_agent_rtc_gone(mesh_agent_t *a);
/* all connections are closed; before the loop's last run */
void mesh_agent_rtc_free(mesh_agent_t *a);


#endif /* MESH_AGENT_RTC_H_INCLUDED */
