/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections, ICE, and how GLib's loop runs inside the agent's: what GLib
 * waits for hangs in one epoll descriptor, on which libuv waits.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <nice/interfaces.h>

#include "mesh_rtc.h"


#define MESH_RTC_FDS        128
#define MESH_RTC_ITERATIONS 64
#define MESH_RTC_ADDRESSES  8


static struct {
    GMainContext   *context;
    int             epoll;
    GPollFD         fds[MESH_RTC_FDS];
    int             nfds;
    mesh_rtc_t     *all;
    mesh_rtc_t     *gone;
    unsigned        count;                /* of all */
    unsigned        depth;                /* of events */
    uintptr_t       last_id;
    gint64          ticked;               /* us */
} mesh_rtc;


static int mesh_rtc_start(const uint8_t *cert, size_t cert_len,
    const uint8_t *key, size_t key_len);
static int mesh_rtc_fd(void);
static int mesh_rtc_prepare(void);
static void mesh_rtc_watch(const GPollFD *fds, int n);
static void mesh_rtc_dispatch(void);
static void mesh_rtc_tick(void);
static void mesh_rtc_sweep(void);
static void mesh_rtc_free(mesh_rtc_t *rtc);
static mesh_rtc_t *mesh_rtc_open(const mesh_rtc_offer_t *offer);
static int mesh_rtc_gather(mesh_rtc_t *rtc, const mesh_sdp_t *sdp,
    const mesh_rtc_offer_t *offer);
static int mesh_rtc_addresses(mesh_rtc_t *rtc, const char *address);
static int mesh_rtc_is_linklocal(const NiceAddress *addr);
static int mesh_rtc_is_host(const NiceAddress *addr);
static int mesh_rtc_remote(mesh_rtc_t *rtc, const mesh_sdp_t *sdp);
static size_t mesh_rtc_answer(mesh_rtc_t *rtc, const mesh_sdp_t *sdp,
    char *answer);
static void mesh_rtc_received(NiceAgent *ice, guint stream, guint component,
    guint len, gchar *buf, gpointer data);
static void mesh_rtc_state(NiceAgent *ice, guint stream, guint component,
    guint state, gpointer data);
static void mesh_rtc_close(mesh_rtc_t *rtc);


__attribute__((visibility("default")))
extern const mesh_agent_rtc_module_t  mesh_agent_rtc_module;

const mesh_agent_rtc_module_t  mesh_agent_rtc_module = {
    mesh_rtc_start,
    mesh_rtc_fd,
    mesh_rtc_prepare,
    mesh_rtc_dispatch,
    mesh_rtc_open,
    mesh_rtc_close,
    mesh_rtc_channel_bind,
    mesh_rtc_channel_max,
    mesh_rtc_channel_send,
    mesh_rtc_channel_pause,
    mesh_rtc_channel_resume,
    mesh_rtc_channel_end
};


static int
mesh_rtc_start(const uint8_t *cert, size_t cert_len, const uint8_t *key,
    size_t key_len)
{
    if (mesh_rtc_dtls_start(cert, cert_len, key, key_len) != MESH_OK) {
        return MESH_ERROR;
    }

    mesh_rtc.epoll = epoll_create1(EPOLL_CLOEXEC);

    if (mesh_rtc.epoll < 0) {
        return MESH_ERROR;
    }

    mesh_rtc.context = g_main_context_new();
    (void) g_main_context_acquire(mesh_rtc.context);
    mesh_rtc_sctp_start();

    return MESH_OK;
}


static int
mesh_rtc_fd(void)
{
    return mesh_rtc.epoll;
}


static int
mesh_rtc_prepare(void)
{
    int          n, timeout, priority;
    GPollFD      fds[MESH_RTC_FDS];
    mesh_rtc_t  *rtc;

    mesh_rtc_sweep();

    if (g_main_context_prepare(mesh_rtc.context, &priority)) {
        return 0;
    }

    n = g_main_context_query(mesh_rtc.context, priority, &timeout, fds,
                             MESH_RTC_FDS);
    mesh_rtc_watch(fds, n < MESH_RTC_FDS ? n : MESH_RTC_FDS);

    for (rtc = mesh_rtc.all; rtc; rtc = rtc->next) {

        if (rtc->more) {
            return 0;
        }

        if (timeout < 0 || timeout > MESH_RTC_TICK) {
            timeout = MESH_RTC_TICK;
        }
    }

    return timeout;
}


/*
 * A number may be another socket than before: the kernel forgets what was
 * closed, and is told anew of each.
 */
static void
mesh_rtc_watch(const GPollFD *fds, int n)
{
    int                 i, k;
    struct epoll_event  event;

    for (i = 0; i < mesh_rtc.nfds; i++) {
        for (k = 0; k < n && fds[k].fd != mesh_rtc.fds[i].fd; k++) {
            /* void */
        }

        if (k == n) {
            (void) epoll_ctl(mesh_rtc.epoll, EPOLL_CTL_DEL,
                             mesh_rtc.fds[i].fd, NULL);
        }
    }

    for (i = 0; i < n; i++) {
        memset(&event, 0, sizeof(event));

        for (k = 0; k < n; k++) {
            if (fds[k].fd == fds[i].fd) {
                event.events |= (fds[k].events & G_IO_IN ? EPOLLIN : 0)
                                | (fds[k].events & G_IO_OUT ? EPOLLOUT : 0);
            }
        }

        if (epoll_ctl(mesh_rtc.epoll, EPOLL_CTL_MOD, fds[i].fd, &event) != 0
            && errno == ENOENT)
        {
            (void) epoll_ctl(mesh_rtc.epoll, EPOLL_CTL_ADD, fds[i].fd, &event);
        }
    }

    if (n) {
        memcpy(mesh_rtc.fds, fds, (size_t) n * sizeof(GPollFD));
    }

    mesh_rtc.nfds = n;
}


static void
mesh_rtc_dispatch(void)
{
    int  i;

    mesh_rtc.depth++;

    for (i = 0; i < MESH_RTC_ITERATIONS; i++) {
        if (!g_main_context_iteration(mesh_rtc.context, FALSE)) {
            break;
        }
    }

    mesh_rtc_tick();

    mesh_rtc.depth--;
    mesh_rtc_sweep();
}


static void
mesh_rtc_tick(void)
{
    gint64       now;
    uint32_t     ms;
    mesh_rtc_t  *rtc, *next;

    now = g_get_monotonic_time();
    ms = (uint32_t) ((now - mesh_rtc.ticked) / 1000);

    if (ms >= MESH_RTC_TICK) {
        mesh_rtc.ticked = now;
        usrsctp_handle_timers(ms < 1000 ? ms : 1000);
    }

    for (rtc = mesh_rtc.all; rtc; rtc = next) {

        next = rtc->next;   /* rtc->next is of the dead if it dies here */

        if (!rtc->connected && now > rtc->deadline) {
            mesh_rtc_end(rtc, "nobody has come in time");
            continue;
        }

        /* what answers SCTP's heartbeats wants to be sent to, RFC 7675 */
        if (rtc->connected
            && now - rtc->heard > (gint64) MESH_RTC_SILENCE * 1000000)
        {
            mesh_rtc_end(rtc, "the peer is gone");
            continue;
        }

        if (!rtc->secure) {
            mesh_rtc_dtls_tick(rtc);

        } else {
            mesh_rtc_sctp_turn(rtc);
        }

        /* an event of this one may have ended the next one */
        if (next && next->dead) {
            break;
        }
    }
}


/* frees the dead, unless their own functions are still running */
static void
mesh_rtc_sweep(void)
{
    mesh_rtc_t  *rtc;

    if (mesh_rtc.depth) {
        return;
    }

    while (mesh_rtc.gone) {
        rtc = mesh_rtc.gone;
        mesh_rtc.gone = rtc->next;
        mesh_rtc_free(rtc);
    }

    for (rtc = mesh_rtc.all; rtc; rtc = rtc->next) {
        mesh_rtc_sctp_sweep(rtc);
    }
}


static void
mesh_rtc_free(mesh_rtc_t *rtc)
{
    if (rtc->ice) {
        (void) g_signal_handlers_disconnect_by_data(rtc->ice, rtc);

        if (rtc->stream) {
            (void) nice_agent_attach_recv(rtc->ice, rtc->stream,
                                          MESH_RTC_COMPONENT,
                                          mesh_rtc.context, NULL, NULL);
            nice_agent_remove_stream(rtc->ice, rtc->stream);
        }

        g_object_unref(rtc->ice);
    }

    mesh_rtc_dtls_free(rtc);
    mesh_rtc_sctp_sweep(rtc);
    free(rtc->message);
    free(rtc);
}


static mesh_rtc_t *
mesh_rtc_open(const mesh_rtc_offer_t *offer)
{
    mesh_sdp_t   sdp;
    mesh_rtc_t  *rtc;

    mesh_rtc_sweep();

    if (mesh_rtc.count >= MESH_AGENT_RTC_CONNS
        || mesh_sdp_parse(&sdp, offer->sdp, offer->sdp_len) != MESH_OK)
    {
        return NULL;
    }

    rtc = calloc(1, sizeof(mesh_rtc_t));

    if (rtc == NULL) {
        return NULL;
    }

    rtc->id = ++mesh_rtc.last_id;
    rtc->events = offer->events;
    rtc->data = offer->data;
    rtc->port = sdp.sctp_port;
    rtc->message_max = sdp.message_max
                       && sdp.message_max < MESH_AGENT_RTC_MESSAGE
                       ? sdp.message_max : MESH_AGENT_RTC_MESSAGE;
    rtc->deadline = g_get_monotonic_time()
                    + (gint64) MESH_AGENT_RTC_VALID * 1000000;
    memcpy(rtc->fingerprint, sdp.fingerprint, MESH_SDP_FINGERPRINT);

    if (mesh_rtc_dtls_open(rtc, sdp.setup == MESH_SDP_PASSIVE) != MESH_OK
        || mesh_rtc_gather(rtc, &sdp, offer) != MESH_OK)
    {
        mesh_rtc_free(rtc);
        return NULL;
    }

    rtc->next = mesh_rtc.all;
    mesh_rtc.all = rtc;
    mesh_rtc.count++;

    return rtc;
}


static int
mesh_rtc_gather(mesh_rtc_t *rtc, const mesh_sdp_t *sdp,
    const mesh_rtc_offer_t *offer)
{
    NiceAgent  *ice;

    ice = nice_agent_new_full(mesh_rtc.context, NICE_COMPATIBILITY_RFC5245,
                              NICE_AGENT_OPTION_REGULAR_NOMINATION);
    if (ice == NULL) {
        return MESH_ERROR;
    }

    rtc->ice = ice;

    g_object_set(ice, "ice-tcp", FALSE, "controlling-mode",
                 sdp->setup == MESH_SDP_PASSIVE, NULL);

    if (g_object_class_find_property(G_OBJECT_GET_CLASS(ice), "upnp")) {
        g_object_set(ice, "upnp", FALSE, NULL);
    }

    if (mesh_rtc_addresses(rtc, offer->address) != MESH_OK) {
        return MESH_ERROR;
    }

    rtc->stream = nice_agent_add_stream(ice, 1);

    if (rtc->stream == 0) {
        return MESH_ERROR;
    }

    (void) g_signal_connect(ice, "component-state-changed",
                            G_CALLBACK(mesh_rtc_state), rtc);

    if (!nice_agent_attach_recv(ice, rtc->stream, MESH_RTC_COMPONENT,
                                mesh_rtc.context, mesh_rtc_received, rtc)
        || !nice_agent_gather_candidates(ice, rtc->stream)
        || mesh_rtc_answer(rtc, sdp, offer->answer) == 0)
    {
        return MESH_ERROR;
    }

    return mesh_rtc_remote(rtc, sdp);
}


/* an address that is none is an error; so is a machine without any */
static int
mesh_rtc_addresses(mesh_rtc_t *rtc, const char *address)
{
    int          n;
    GList       *list, *item;
    NiceAddress  addr;

    list = address ? g_list_append(NULL, g_strdup(address))
                   : nice_interfaces_get_local_ips(FALSE);
    n = 0;

    for (item = list; item && n < MESH_RTC_ADDRESSES; item = item->next) {
        nice_address_init(&addr);

        if (!nice_address_set_from_string(&addr, item->data)
            || mesh_rtc_is_linklocal(&addr))
        {
            continue;
        }

        if (nice_agent_add_local_address(rtc->ice, &addr)) {
            n++;
        }
    }

    g_list_free_full(list, g_free);

    return n ? MESH_OK : MESH_ERROR;
}


/* an address of IPv6 that means nothing without an interface */
static int
mesh_rtc_is_linklocal(const NiceAddress *addr)
{
    struct sockaddr_in6      in6;
    struct sockaddr_storage  ss;

    memset(&ss, 0, sizeof(ss));
    nice_address_copy_to_sockaddr(addr, (struct sockaddr *) &ss);
    memcpy(&in6, &ss, sizeof(in6));

    return nice_address_ip_version(addr) == 6
           && IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr);
}


/* one machine's: checks go to no group and to no network as a whole */
static int
mesh_rtc_is_host(const NiceAddress *addr)
{
    uint8_t                  first;
    struct sockaddr_in       in;
    struct sockaddr_in6      in6;
    struct sockaddr_storage  ss;

    memset(&ss, 0, sizeof(ss));
    nice_address_copy_to_sockaddr(addr, (struct sockaddr *) &ss);

    if (nice_address_ip_version(addr) == 6) {
        memcpy(&in6, &ss, sizeof(in6));

        return !IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr)
               && !IN6_IS_ADDR_MULTICAST(&in6.sin6_addr)
               && !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
    }

    memcpy(&in, &ss, sizeof(in));
    memcpy(&first, &in.sin_addr, 1);

    return first != 0 && first < 224;
}


static size_t
mesh_rtc_answer(mesh_rtc_t *rtc, const mesh_sdp_t *sdp, char *answer)
{
    size_t                 len;
    gchar                 *ufrag, *pwd;
    GSList                *list, *item;
    NiceCandidate         *found;
    mesh_sdp_local_t       local;
    mesh_sdp_candidate_t   candidates[2 * MESH_RTC_ADDRESSES], *c;

    ufrag = NULL;
    pwd = NULL;

    if (!nice_agent_get_local_credentials(rtc->ice, rtc->stream, &ufrag, &pwd))
    {
        return 0;
    }

    memset(&local, 0, sizeof(local));
    memset(candidates, 0, sizeof(candidates));

    local.ufrag = ufrag;
    local.pwd = pwd;
    local.fingerprint = mesh_rtc_dtls_fingerprint();
    local.message_max = MESH_AGENT_RTC_MESSAGE;
    local.candidates = candidates;
    local.id = g_random_int_range(1, 1000000);

    list = nice_agent_get_local_candidates(rtc->ice, rtc->stream,
                                           MESH_RTC_COMPONENT);

    for (item = list; item; item = item->next) {
        found = item->data;

        if (local.ncandidates == 2 * MESH_RTC_ADDRESSES
            || found->transport != NICE_CANDIDATE_TRANSPORT_UDP)
        {
            continue;
        }

        c = &candidates[local.ncandidates++];

        nice_address_to_string(&found->addr, c->address);
        c->port = (uint16_t) nice_address_get_port(&found->addr);
        c->priority = found->priority;
        c->type = MESH_SDP_HOST;
        (void) g_strlcpy(c->foundation, found->foundation,
                         sizeof(c->foundation));
    }

    len = local.ncandidates ? mesh_sdp_answer(answer, sdp, &local) : 0;

    g_slist_free_full(list, (GDestroyNotify) nice_candidate_free);
    g_free(ufrag);
    g_free(pwd);

    return len;
}


static int
mesh_rtc_remote(mesh_rtc_t *rtc, const mesh_sdp_t *sdp)
{
    int                          rc;
    GSList                      *list;
    unsigned                     i;
    NiceAddress                  addr;
    NiceCandidate               *c;
    const mesh_sdp_candidate_t  *given;

    static const NiceCandidateType  types[] = {
        NICE_CANDIDATE_TYPE_HOST,
        NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE,
        NICE_CANDIDATE_TYPE_PEER_REFLEXIVE,
        NICE_CANDIDATE_TYPE_RELAYED
    };

    if (!nice_agent_set_remote_credentials(rtc->ice, rtc->stream, sdp->ufrag,
                                           sdp->pwd))
    {
        return MESH_ERROR;
    }

    list = NULL;

    for (i = 0; i < sdp->ncandidates; i++) {
        given = &sdp->candidates[i];
        nice_address_init(&addr);

        if (!nice_address_set_from_string(&addr, given->address)
            || !mesh_rtc_is_host(&addr))
        {
            continue;
        }

        c = nice_candidate_new(types[given->type & 3]);

        c->component_id = MESH_RTC_COMPONENT;
        c->stream_id = rtc->stream;
        c->transport = NICE_CANDIDATE_TRANSPORT_UDP;
        c->priority = given->priority;
        c->addr = addr;
        nice_address_set_port(&c->addr, given->port);
        c->base_addr = c->addr;
        (void) g_strlcpy(c->foundation, given->foundation,
                         sizeof(c->foundation));

        list = g_slist_append(list, c);
    }

    rc = list == NULL
         || nice_agent_set_remote_candidates(rtc->ice, rtc->stream,
                                             MESH_RTC_COMPONENT, list) >= 0;

    g_slist_free_full(list, (GDestroyNotify) nice_candidate_free);

    return rc ? MESH_OK : MESH_ERROR;
}


static void
mesh_rtc_received(NiceAgent *ice, guint stream, guint component, guint len,
    gchar *buf, gpointer data)
{
    mesh_rtc_t *rtc = data;

    if (!rtc->dead) {
        mesh_rtc_dtls_input(rtc, buf, len);
    }
}


static void
mesh_rtc_state(NiceAgent *ice, guint stream, guint component, guint state,
    gpointer data)
{
    mesh_rtc_t *rtc = data;

    if (rtc->dead) {
        return;
    }

    if (state == NICE_COMPONENT_STATE_FAILED && rtc->secure) {
        mesh_rtc_end(rtc, "the peer is gone");

    } else if (state == NICE_COMPONENT_STATE_READY && !rtc->secure) {
        mesh_rtc_dtls_tick(rtc);
    }
}


/* it is UDP: what cannot be sent now is lost, and SCTP sends it again */
void
mesh_rtc_send(mesh_rtc_t *rtc, const void *data, size_t len)
{
    (void) nice_agent_send(rtc->ice, rtc->stream, MESH_RTC_COMPONENT,
                           (guint) len, data);
}


mesh_rtc_t *
mesh_rtc_find(uintptr_t id)
{
    mesh_rtc_t  *rtc;

    for (rtc = mesh_rtc.all; rtc; rtc = rtc->next) {
        if (rtc->id == id) {
            return rtc;
        }
    }

    return NULL;
}


static void
mesh_rtc_close(mesh_rtc_t *rtc)
{
    mesh_rtc_end(rtc, NULL);
}


void
mesh_rtc_end(mesh_rtc_t *rtc, const char *why)
{
    mesh_rtc_t  **p;

    if (rtc->dead) {
        return;
    }

    rtc->dead = 1;

    /* while it can be found: they still send their last words */
    mesh_rtc_sctp_close(rtc);
    mesh_rtc_dtls_close(rtc);

    for (p = &mesh_rtc.all; *p != rtc; p = &(*p)->next) {
        /* void */
    }

    *p = rtc->next;
    rtc->next = mesh_rtc.gone;
    mesh_rtc.gone = rtc;
    mesh_rtc.count--;

    if (why) {
        rtc->events->closed(rtc->data, why);
    }
}
