/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* SCTP over DTLS, RFC 8261, and the data channels in it, RFC 8831. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mesh_rtc.h"


#define MESH_RTC_SCTP_PORT     5000
#define MESH_RTC_SCTP_STREAMS  1024       /* each way */
#define MESH_RTC_SCTP_SEND     (1024 * 1024)          /* bytes of buffers */
#define MESH_RTC_SCTP_RECV     (512 * 1024)
#define MESH_RTC_SCTP_CHUNKS   8192
#define MESH_RTC_SCTP_READ     65536


static int mesh_rtc_sctp_output(void *addr, void *buf, size_t len, uint8_t tos,
    uint8_t set_df);
static int mesh_rtc_sctp_options(struct socket *s);
static void mesh_rtc_sctp_address(mesh_rtc_t *rtc, uint16_t port,
    struct sockaddr_conn *addr);
static void mesh_rtc_sctp_read(mesh_rtc_t *rtc);
static void mesh_rtc_sctp_part(mesh_rtc_t *rtc, const uint8_t *data,
    size_t len, const struct sctp_rcvinfo *info, int end);
static void mesh_rtc_sctp_message(mesh_rtc_t *rtc, uint16_t sid,
    uint32_t ppid, const uint8_t *data, size_t len);
static void mesh_rtc_sctp_notified(mesh_rtc_t *rtc, const uint8_t *data,
    size_t len);
static void mesh_rtc_sctp_reset(mesh_rtc_t *rtc, uint16_t sid);
static void mesh_rtc_channel_open(mesh_rtc_t *rtc, uint16_t sid,
    const uint8_t *data, size_t len);
static mesh_rtc_channel_t **mesh_rtc_channel_slot(mesh_rtc_t *rtc,
    uint16_t sid);
static int mesh_rtc_channel_piece(mesh_rtc_channel_t *ch, uint32_t ppid,
    const uint8_t *data, size_t len);
static int mesh_rtc_channel_put(mesh_rtc_t *rtc, uint16_t sid, uint32_t ppid,
    const uint8_t *data, size_t len);
static void mesh_rtc_channel_flush(mesh_rtc_channel_t *ch);
static void mesh_rtc_channel_gone(mesh_rtc_channel_t *ch);
static int mesh_rtc_paused(const mesh_rtc_t *rtc);


void
mesh_rtc_sctp_start(void)
{
    usrsctp_init_nothreads(0, mesh_rtc_sctp_output, NULL);

    (void) usrsctp_sysctl_set_sctp_ecn_enable(0);
    (void) usrsctp_sysctl_set_sctp_asconf_enable(0);
    (void) usrsctp_sysctl_set_sctp_auth_enable(0);
    (void) usrsctp_sysctl_set_sctp_nrsack_enable(0);
    (void) usrsctp_sysctl_set_sctp_blackhole(2);
    (void) usrsctp_sysctl_set_sctp_max_chunks_on_queue(MESH_RTC_SCTP_CHUNKS);
    (void) usrsctp_sysctl_set_sctp_heartbeat_interval_default(
        MESH_RTC_HEARTBEAT);
}


int
mesh_rtc_sctp_open(mesh_rtc_t *rtc)
{
    struct socket             *s;
    struct sockaddr_conn       local, peer;
    struct sctp_paddrparams    params;

    /* a number: it is sent to the peer, in cookies */
    usrsctp_register_address((void *) rtc->id);

    s = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);

    if (s == NULL) {
        usrsctp_deregister_address((void *) rtc->id);
        return MESH_ERROR;
    }

    rtc->sctp = s;

    mesh_rtc_sctp_address(rtc, MESH_RTC_SCTP_PORT, &local);
    mesh_rtc_sctp_address(rtc, rtc->port, &peer);

    if (mesh_rtc_sctp_options(s) != MESH_OK
        || usrsctp_bind(s, (struct sockaddr *) &local, sizeof(local)) != 0
        || (usrsctp_connect(s, (struct sockaddr *) &peer, sizeof(peer)) != 0
            && errno != EINPROGRESS))
    {
        return MESH_ERROR;
    }

    memset(&params, 0, sizeof(params));
    memcpy(&params.spp_address, &peer, sizeof(peer));
    params.spp_flags = SPP_PMTUD_DISABLE;
    params.spp_pathmtu = MESH_RTC_SCTP_MTU;

    return usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &params,
                              sizeof(params)) == 0
           ? MESH_OK : MESH_ERROR;
}


static int
mesh_rtc_sctp_options(struct socket *s)
{
    int                      one, size;
    unsigned                 i;
    struct linger            linger;
    struct sctp_event        event;
    struct sctp_initmsg      init;
    struct sctp_assoc_value  reset;

    static const uint16_t  events[] = {
        SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT
    };

    one = 1;
    linger.l_onoff = 1;
    linger.l_linger = 0;

    memset(&init, 0, sizeof(init));
    init.sinit_num_ostreams = MESH_RTC_SCTP_STREAMS;
    init.sinit_max_instreams = MESH_RTC_SCTP_STREAMS;

    memset(&reset, 0, sizeof(reset));
    reset.assoc_id = SCTP_ALL_ASSOC;
    reset.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ
                        |SCTP_ENABLE_CHANGE_ASSOC_REQ;

    if (usrsctp_set_non_blocking(s, 1) != 0
        || usrsctp_setsockopt(s, SOL_SOCKET, SO_LINGER, &linger,
                              sizeof(linger)) != 0
        || usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_NODELAY, &one,
                              sizeof(one)) != 0
        || usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_RECVRCVINFO, &one,
                              sizeof(one)) != 0
        || usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_INITMSG, &init,
                              sizeof(init)) != 0
        || usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET,
                              &reset, sizeof(reset)) != 0)
    {
        return MESH_ERROR;
    }

    size = MESH_RTC_SCTP_SEND;

    if (usrsctp_setsockopt(s, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
    {
        return MESH_ERROR;
    }

    size = MESH_RTC_SCTP_RECV;

    if (usrsctp_setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) != 0)
    {
        return MESH_ERROR;
    }

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        memset(&event, 0, sizeof(event));
        event.se_assoc_id = SCTP_ALL_ASSOC;
        event.se_type = events[i];
        event.se_on = 1;

        if (usrsctp_setsockopt(s, IPPROTO_SCTP, SCTP_EVENT, &event,
                               sizeof(event)) != 0)
        {
            return MESH_ERROR;
        }
    }

    return MESH_OK;
}


static void
mesh_rtc_sctp_address(mesh_rtc_t *rtc, uint16_t port,
    struct sockaddr_conn *addr)
{
    memset(addr, 0, sizeof(struct sockaddr_conn));
    addr->sconn_family = AF_CONN;
    (void) mesh_put16((uint8_t *) &addr->sconn_port, port);
    addr->sconn_addr = (void *) rtc->id;
}


static int
mesh_rtc_sctp_output(void *addr, void *buf, size_t len, uint8_t tos,
    uint8_t set_df)
{
    mesh_rtc_t  *rtc;

    rtc = mesh_rtc_find((uintptr_t) addr);

    if (rtc) {
        mesh_rtc_dtls_send(rtc, buf, len);
    }

    return 0;
}


void
mesh_rtc_sctp_input(mesh_rtc_t *rtc, const void *data, size_t len)
{
    usrsctp_conninput((void *) rtc->id, data, len, 0);
}


void
mesh_rtc_sctp_turn(mesh_rtc_t *rtc)
{
    unsigned  i;

    mesh_rtc_sctp_read(rtc);

    for (i = 0; i < MESH_AGENT_RTC_CHANNELS && !rtc->dead; i++) {
        if (rtc->channels[i]) {
            mesh_rtc_channel_flush(rtc->channels[i]);
        }
    }
}


static void
mesh_rtc_sctp_read(mesh_rtc_t *rtc)
{
    int                  flags, turns;
    ssize_t              n;
    unsigned             type;
    socklen_t            len, from_len;
    struct sctp_rcvinfo  info;
    struct sockaddr_conn from;

    static uint8_t  buf[MESH_RTC_SCTP_READ];

    rtc->more = 0;

    for (turns = 0; !rtc->dead && rtc->sctp && !mesh_rtc_paused(rtc); turns++) {

        if (turns == MESH_RTC_TURN) {
            rtc->more = 1;
            return;
        }

        flags = 0;
        type = SCTP_RECVV_NOINFO;
        len = sizeof(info);
        from_len = sizeof(from);
        memset(&info, 0, sizeof(info));

        n = usrsctp_recvv(rtc->sctp, buf, sizeof(buf),
                          (struct sockaddr *) &from, &from_len, &info, &len,
                          &type, &flags);
        if (n < 0) {
            if (errno != EWOULDBLOCK && errno != EAGAIN && errno != EINTR
                && errno != ENOTCONN)
            {
                mesh_rtc_end(rtc, "the peer has broken it off");
            }

            return;
        }

        if (n == 0) {
            mesh_rtc_end(rtc, "the peer has closed it");
            return;
        }

        if (flags & MSG_NOTIFICATION) {
            mesh_rtc_sctp_notified(rtc, buf, (size_t) n);

        } else if (type == SCTP_RECVV_RCVINFO) {
            mesh_rtc_sctp_part(rtc, buf, (size_t) n, &info, flags & MSG_EOR);
        }
    }
}


/* the parts of a message come one behind the other */
static void
mesh_rtc_sctp_part(mesh_rtc_t *rtc, const uint8_t *data, size_t len,
    const struct sctp_rcvinfo *info, int end)
{
    size_t    size;
    uint8_t  *p;
    uint32_t  ppid;

    (void) memcpy(&ppid, &info->rcv_ppid, sizeof(ppid));
    ppid = mesh_get32((uint8_t *) &ppid);

    if (rtc->message_len == 0 && end) {
        mesh_rtc_sctp_message(rtc, info->rcv_sid, ppid, data, len);
        return;
    }

    if (len > MESH_AGENT_RTC_MESSAGE - rtc->message_len
        || (rtc->message_len && rtc->message_sid != info->rcv_sid))
    {
        mesh_rtc_end(rtc, "the peer sends too long a message");
        return;
    }

    if (len > rtc->message_size - rtc->message_len) {
        size = rtc->message_len + len;
        size = 2 * size < MESH_AGENT_RTC_MESSAGE ? 2 * size
                                                 : MESH_AGENT_RTC_MESSAGE;
        p = realloc(rtc->message, size);

        if (p == NULL) {
            mesh_rtc_end(rtc, "there is no memory");
            return;
        }

        rtc->message = p;
        rtc->message_size = size;
    }

    memcpy(rtc->message + rtc->message_len, data, len);
    rtc->message_len += len;
    rtc->message_sid = info->rcv_sid;

    if (!end) {
        return;
    }

    len = rtc->message_len;
    rtc->message_len = 0;
    mesh_rtc_sctp_message(rtc, info->rcv_sid, ppid, rtc->message, len);
}


static void
mesh_rtc_sctp_message(mesh_rtc_t *rtc, uint16_t sid, uint32_t ppid,
    const uint8_t *data, size_t len)
{
    mesh_rtc_channel_t  **slot, *ch;

    if (ppid == MESH_DCEP_PPID) {
        mesh_rtc_channel_open(rtc, sid, data, len);
        return;
    }

    slot = mesh_rtc_channel_slot(rtc, sid);

    if (slot == NULL || *slot == NULL || (*slot)->ending) {
        return;
    }

    ch = *slot;

    switch (ppid) {

    case MESH_DCEP_STRING:
    case MESH_DCEP_BINARY:
        ch->events->message(ch->data, ppid == MESH_DCEP_STRING, data, len);
        break;

    case MESH_DCEP_STRING_EMPTY:
    case MESH_DCEP_BINARY_EMPTY:
        ch->events->message(ch->data, ppid == MESH_DCEP_STRING_EMPTY, data, 0);
        break;

    default:        /* old ways to cut a message, and what we do not know */
        break;
    }
}


static void
mesh_rtc_sctp_notified(mesh_rtc_t *rtc, const uint8_t *data, size_t len)
{
    size_t                          i, n;
    union sctp_notification         event;
    struct sctp_stream_reset_event  reset;
    uint16_t                        sid;

    memset(&event, 0, sizeof(event));
    memcpy(&event, data, len < sizeof(event) ? len : sizeof(event));

    switch (event.sn_header.sn_type) {

    case SCTP_ASSOC_CHANGE:

        switch (event.sn_assoc_change.sac_state) {

        case SCTP_COMM_UP:
            if (!rtc->connected) {
                rtc->connected = 1;
                rtc->events->connected(rtc->data);
            }
            break;

        case SCTP_COMM_LOST:
        case SCTP_SHUTDOWN_COMP:
        case SCTP_CANT_STR_ASSOC:
            mesh_rtc_end(rtc, "the peer has broken it off");
            break;

        default:
            break;
        }

        break;

    case SCTP_STREAM_RESET_EVENT:

        memcpy(&reset, &event, sizeof(reset));

        if ((reset.strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) == 0
            || len < sizeof(reset) || reset.strreset_length > len)
        {
            break;
        }

        n = (reset.strreset_length - sizeof(reset)) / sizeof(sid);

        for (i = 0; i < n && !rtc->dead; i++) {
            memcpy(&sid, data + sizeof(reset) + i * sizeof(sid), sizeof(sid));
            mesh_rtc_sctp_reset(rtc, sid);
        }

        break;

    default:
        break;
    }
}


/* the peer sends nothing more in it: RFC 8831, 6.7 */
static void
mesh_rtc_sctp_reset(mesh_rtc_t *rtc, uint16_t sid)
{
    mesh_rtc_channel_t  **slot;

    slot = mesh_rtc_channel_slot(rtc, sid);

    if (slot && *slot) {
        mesh_rtc_channel_gone(*slot);
    }
}


static void
mesh_rtc_channel_open(mesh_rtc_t *rtc, uint16_t sid, const uint8_t *data,
    size_t len)
{
    mesh_dcep_open_t      open;
    mesh_rtc_channel_t   *ch, **slot;

    static const uint8_t  ack[] = { MESH_DCEP_ACK };

    if (mesh_dcep_parse(&open, data, len) != MESH_OK) {
        return;
    }

    slot = mesh_rtc_channel_slot(rtc, sid);

    if (slot == NULL || *slot) {
        return;             /* too many, or it is open */
    }

    ch = calloc(1, sizeof(mesh_rtc_channel_t));

    if (ch == NULL) {
        return;
    }

    ch->rtc = rtc;
    ch->sid = sid;
    ch->last = &ch->queue;
    *slot = ch;

    (void) mesh_rtc_channel_put(rtc, sid, MESH_DCEP_PPID, ack, sizeof(ack));
    rtc->events->channel(rtc->data, ch, (const char *) open.label,
                         open.label_len);

    if (ch->events == NULL) {
        mesh_rtc_channel_end(ch);       /* nobody wants it */
    }
}


/* where it is, or may be; NULL: there is no room */
static mesh_rtc_channel_t **
mesh_rtc_channel_slot(mesh_rtc_t *rtc, uint16_t sid)
{
    unsigned              i;
    mesh_rtc_channel_t  **room;

    room = NULL;

    for (i = 0; i < MESH_AGENT_RTC_CHANNELS; i++) {

        if (rtc->channels[i] == NULL) {
            room = room ? room : &rtc->channels[i];

        } else if (rtc->channels[i]->sid == sid) {
            return &rtc->channels[i];
        }
    }

    return room;
}


void
mesh_rtc_channel_bind(mesh_rtc_channel_t *ch,
    const mesh_rtc_channel_events_t *events, void *data)
{
    ch->events = events;
    ch->data = data;
}


size_t
mesh_rtc_channel_max(const mesh_rtc_channel_t *ch)
{
    return ch->rtc->message_max;
}


/* session.md 6.2: BINARY that is too long for the peer goes in pieces */
int
mesh_rtc_channel_send(mesh_rtc_channel_t *ch, int text, const uint8_t *data,
    size_t len)
{
    int     rc;
    size_t  n, max;

    static const uint8_t  none[1];

    max = ch->rtc->message_max;

    if (ch->dead || ch->ending || len > MESH_AGENT_RTC_WRITE
        || (text && len > max) || ch->queued > MESH_AGENT_RTC_QUEUE)
    {
        return MESH_ERROR;
    }

    if (len == 0) {
        return mesh_rtc_channel_piece(ch, text ? MESH_DCEP_STRING_EMPTY
                                               : MESH_DCEP_BINARY_EMPTY,
                                      none, 1);
    }

    rc = MESH_OK;

    while (len && rc != MESH_ERROR) {
        n = len < max ? len : max;
        rc = mesh_rtc_channel_piece(ch, text ? MESH_DCEP_STRING
                                             : MESH_DCEP_BINARY, data, n);
        data += n;
        len -= n;
    }

    return rc;
}


static int
mesh_rtc_channel_piece(mesh_rtc_channel_t *ch, uint32_t ppid,
    const uint8_t *data, size_t len)
{
    int                rc;
    mesh_rtc_chunk_t  *chunk;

    if (ch->queue == NULL) {
        rc = mesh_rtc_channel_put(ch->rtc, ch->sid, ppid, data, len);

        if (rc != MESH_AGAIN) {
            return rc;
        }
    }

    chunk = malloc(sizeof(mesh_rtc_chunk_t) + len);

    if (chunk == NULL) {
        return MESH_ERROR;
    }

    chunk->next = NULL;
    chunk->ppid = ppid;
    chunk->len = len;
    memcpy(chunk->data, data, len);

    *ch->last = chunk;
    ch->last = &chunk->next;
    ch->queued += len;
    ch->full = 1;

    return MESH_AGAIN;
}


static int
mesh_rtc_channel_put(mesh_rtc_t *rtc, uint16_t sid, uint32_t ppid,
    const uint8_t *data, size_t len)
{
    struct sctp_sndinfo  info;

    if (rtc->sctp == NULL) {
        return MESH_ERROR;
    }

    memset(&info, 0, sizeof(info));
    info.snd_sid = sid;
    info.snd_flags = SCTP_EOR;
    (void) mesh_put32((uint8_t *) &info.snd_ppid, ppid);

    if (usrsctp_sendv(rtc->sctp, data, len, NULL, 0, &info, sizeof(info),
                      SCTP_SENDV_SNDINFO, 0) >= 0)
    {
        return MESH_OK;
    }

    return errno == EWOULDBLOCK || errno == EAGAIN ? MESH_AGAIN : MESH_ERROR;
}


static void
mesh_rtc_channel_flush(mesh_rtc_channel_t *ch)
{
    mesh_rtc_chunk_t         *chunk;
    struct sctp_reset_streams *reset;
    union {
        struct sctp_reset_streams  reset;
        uint8_t                    room[sizeof(struct sctp_reset_streams)
                                        + sizeof(uint16_t)];
    } u;

    while (ch->queue) {
        chunk = ch->queue;

        if (mesh_rtc_channel_put(ch->rtc, ch->sid, chunk->ppid, chunk->data,
                                 chunk->len)
            == MESH_AGAIN)
        {
            return;
        }

        ch->queue = chunk->next;
        ch->queued -= chunk->len;
        free(chunk);
    }

    ch->last = &ch->queue;

    if (ch->ending) {
        memset(&u, 0, sizeof(u));
        reset = &u.reset;
        reset->srs_assoc_id = SCTP_ALL_ASSOC;
        reset->srs_flags = SCTP_STREAM_RESET_OUTGOING;
        reset->srs_number_streams = 1;
        memcpy(u.room + offsetof(struct sctp_reset_streams, srs_stream_list),
               &ch->sid, sizeof(uint16_t));
        (void) usrsctp_setsockopt(ch->rtc->sctp, IPPROTO_SCTP,
                                  SCTP_RESET_STREAMS, &u,
                                  offsetof(struct sctp_reset_streams,
                                           srs_stream_list)
                                  + sizeof(uint16_t));
        mesh_rtc_channel_gone(ch);
        return;
    }

    if (ch->full && ch->events) {
        ch->full = 0;
        ch->events->drain(ch->data);
    }
}


void
mesh_rtc_channel_pause(mesh_rtc_channel_t *ch)
{
    ch->paused = 1;
}


void
mesh_rtc_channel_resume(mesh_rtc_channel_t *ch)
{
    if (ch->paused) {
        ch->paused = 0;
        ch->rtc->more = 1;      /* in the next turn of the loop */
    }
}


/* one association has one window: who is slow stops them all */
static int
mesh_rtc_paused(const mesh_rtc_t *rtc)
{
    unsigned  i;

    for (i = 0; i < MESH_AGENT_RTC_CHANNELS; i++) {
        if (rtc->channels[i] && rtc->channels[i]->paused
            && !rtc->channels[i]->ending)
        {
            return 1;
        }
    }

    return 0;
}


void
mesh_rtc_channel_end(mesh_rtc_channel_t *ch)
{
    if (!ch->dead) {
        ch->ending = 1;
        ch->rtc->more = 1;
    }
}


/* its memory stays until the sweep */
static void
mesh_rtc_channel_gone(mesh_rtc_channel_t *ch)
{
    mesh_rtc_chunk_t     *chunk;
    mesh_rtc_channel_t  **slot;

    if (ch->dead) {
        return;
    }

    ch->dead = 1;
    slot = mesh_rtc_channel_slot(ch->rtc, ch->sid);
    *slot = NULL;
    ch->next = ch->rtc->gone;
    ch->rtc->gone = ch;

    while (ch->queue) {
        chunk = ch->queue;
        ch->queue = chunk->next;
        free(chunk);
    }

    if (ch->events) {
        ch->events->closed(ch->data);
    }
}


void
mesh_rtc_sctp_close(mesh_rtc_t *rtc)
{
    unsigned  i;

    if (rtc->sctp) {
        usrsctp_close(rtc->sctp);           /* with an ABORT */
        usrsctp_deregister_address((void *) rtc->id);
        rtc->sctp = NULL;
    }

    for (i = 0; i < MESH_AGENT_RTC_CHANNELS; i++) {
        if (rtc->channels[i]) {
            mesh_rtc_channel_gone(rtc->channels[i]);
        }
    }
}


void
mesh_rtc_sctp_sweep(mesh_rtc_t *rtc)
{
    mesh_rtc_channel_t  *ch;

    while (rtc->gone) {
        ch = rtc->gone;
        rtc->gone = ch->next;
        free(ch);
    }
}
