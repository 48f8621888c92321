/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Discovery on the local network, agent.md 1.5.
 *
 * One worker has the sockets, the first: a multicast datagram comes to every
 * socket of a group, so that several would answer several times, and the
 * bounds below are of the whole server.  The first worker of a new generation
 * opens its own beside those of the old, which closes them when it is told to
 * quit: in between an agent may get two answers, and never none.
 *
 * It is no use as an amplifier: who asks names the server, which 14 bytes
 * ("MeshServerScan") do not, the answer is not twice as long, it goes to
 * addresses of a local network only, and not often.
 */

#include "ngx_mesh_agent_lan.h"
#include "../core/ngx_mesh_signer.h"
#include "../../proto/mesh_lan.h"
#include <ifaddrs.h>
#include <net/if.h>


#define NGX_MESH_LAN_SLOTS    1024    /* of sources */
#define NGX_MESH_LAN_SOURCE   4       /* answers to one slot in a second */
#define NGX_MESH_LAN_ALL      200     /* to all of them */
#define NGX_MESH_LAN_READS    64      /* datagrams in one turn */
#define NGX_MESH_LAN_JOIN     60      /* ticks between looks for interfaces */


typedef struct {
    time_t             second;
    ngx_uint_t         answers;       /* in it */
} ngx_mesh_lan_slot_t;

typedef struct {
    ngx_connection_t  *c[2];          /* IPv4 and IPv6; NULL: not open */
    ngx_uint_t         told[2];       /* it was logged why */
    ngx_uint_t         ticks;
    uint32_t           seed;
    mesh_lan_answer_t  answer;
    ngx_mesh_lan_slot_t  all;
    ngx_mesh_lan_slot_t  slots[NGX_MESH_LAN_SLOTS];
} ngx_mesh_lan_t;


static void ngx_mesh_lan_tick(void);
static ngx_connection_t *ngx_mesh_lan_open(ngx_uint_t v6);
static ngx_int_t ngx_mesh_lan_bind(ngx_socket_t s, ngx_uint_t v6);
static void ngx_mesh_lan_join(void);
static void ngx_mesh_lan_read(ngx_event_t *rev);
static void ngx_mesh_lan_query(ngx_connection_t *c, const u_char *buf,
    size_t len, ngx_sockaddr_t *from, socklen_t fromlen);
static ngx_uint_t ngx_mesh_lan_local(const ngx_sockaddr_t *from);
static const u_char *ngx_mesh_lan_address(const ngx_sockaddr_t *from,
    size_t *len);
static ngx_uint_t ngx_mesh_lan_limited(const ngx_sockaddr_t *from);
static ngx_uint_t ngx_mesh_lan_count(ngx_mesh_lan_slot_t *slot,
    ngx_uint_t max);


static ngx_mesh_lan_t  *ngx_mesh_lan;


void
ngx_mesh_agent_lan_init(const ngx_str_t *url)
{
    u_char           *p, *last, *slash;
    ngx_int_t         port;
    static ngx_str_t  suffix = ngx_string("/agent.ashx");

    if (ngx_worker != 0) {
        return;
    }

    /* once a process, for its life; https:// was checked by mesh_url */

    ngx_mesh_lan = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_mesh_lan_t));
    if (ngx_mesh_lan == NULL) {
        return;
    }

    last = url->data + url->len;
    slash = ngx_strlchr(url->data + sizeof("https://") - 1, last, '/');
    slash = slash ? slash : last;

    for (p = slash; p[-1] >= '0' && p[-1] <= '9'; p--) { /* void */ }

    port = p < slash && p[-1] == ':' ? ngx_atoi(p, slash - p) : 443;

    ngx_mesh_lan->answer.port = (uint16_t) port;
    ngx_mesh_lan->answer.path_len = last - slash + suffix.len;
    p = ngx_pnalloc(ngx_cycle->pool, ngx_mesh_lan->answer.path_len);

    if (p == NULL) {
        return;
    }

    ngx_mesh_lan->answer.path = p;
    p = ngx_cpymem(p, slash, last - slash);
    ngx_memcpy(p, suffix.data, suffix.len);

    ngx_mesh_lan->seed = (uint32_t) ngx_random();
    ngx_mesh_tick_add(ngx_mesh_lan_tick);
    ngx_mesh_lan_tick();
}


static void
ngx_mesh_lan_tick(void)
{
    ngx_uint_t  i;

    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return;
    }

    for (i = 0; i < 2; i++) {
        if (ngx_mesh_lan->c[i] == NULL) {
            ngx_mesh_lan->c[i] = ngx_mesh_lan_open(i);
            ngx_mesh_lan->ticks = 0;
        }
    }

    if (ngx_mesh_lan->ticks++ % NGX_MESH_LAN_JOIN == 0) {
        ngx_mesh_lan_join();
    }
}


static ngx_connection_t *
ngx_mesh_lan_open(ngx_uint_t v6)
{
    ngx_log_t         *log;
    ngx_uint_t         level;
    ngx_socket_t       s;
    ngx_connection_t  *c;

    log = ngx_cycle->log;
    level = v6 ? NGX_LOG_INFO : NGX_LOG_ERR;    /* there may be no IPv6 */

    s = ngx_socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);

    if (s == (ngx_socket_t) -1) {
        if (!ngx_mesh_lan->told[v6]++) {
            ngx_log_error(level, log,
                          ngx_socket_errno, ngx_socket_n " of \"mesh_lan\" "
                          "failed");
        }

        return NULL;
    }

    if (ngx_mesh_lan_bind(s, v6) != NGX_OK) {
        if (!ngx_mesh_lan->told[v6]++) {
            ngx_log_error(level, log,
                          ngx_socket_errno, "\"mesh_lan\" cannot use UDP port "
                          "%d, agents of the network do not find this server",
                          MESH_LAN_PORT);
        }

        goto failed;
    }

    c = ngx_get_connection(s, log);

    if (c == NULL) {
        goto failed;
    }

    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->type = SOCK_DGRAM;
    c->data = &ngx_mesh_lan->c[v6];
    c->read->handler = ngx_mesh_lan_read;

    /* a worker that quits closes what is idle: it calls the handler */
    c->idle = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      ngx_event_flags & NGX_USE_CLEAR_EVENT ? NGX_CLEAR_EVENT
                                                            : NGX_LEVEL_EVENT)
        != NGX_OK)
    {
        ngx_close_connection(c);
        return NULL;
    }

    ngx_mesh_lan->told[v6] = 0;

    return c;

failed:

    if (ngx_close_socket(s) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_socket_errno,
                      ngx_close_socket_n " of \"mesh_lan\" failed");
    }

    return NULL;
}


static ngx_int_t
ngx_mesh_lan_bind(ngx_socket_t s, ngx_uint_t v6)
{
    int             on;
    socklen_t       len;
    ngx_sockaddr_t  sa;

    on = 1;
    ngx_memzero(&sa, sizeof(ngx_sockaddr_t));

    if (v6) {
        sa.sockaddr_in6.sin6_family = AF_INET6;
        sa.sockaddr_in6.sin6_port = htons(MESH_LAN_PORT);
        len = sizeof(struct sockaddr_in6);

        if (setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const void *) &on,
                       sizeof(int))
            == -1)
        {
            return NGX_ERROR;
        }

    } else {
        sa.sockaddr_in.sin_family = AF_INET;
        sa.sockaddr_in.sin_port = htons(MESH_LAN_PORT);
        len = sizeof(struct sockaddr_in);
    }

    /* beside the old generation */
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (const void *) &on,
                   sizeof(int))
        == -1
        || ngx_nonblocking(s) == -1
        || bind(s, &sa.sockaddr, len) == -1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* on each interface; what was joined already says so and stays */
static void
ngx_mesh_lan_join(void)
{
    struct ip_mreqn    mreq;
    struct ipv6_mreq   mreq6;
    struct ifaddrs    *list, *ifa;

    if (getifaddrs(&list) == -1) {
        return;
    }

    ngx_memzero(&mreq, sizeof(struct ip_mreqn));
    ngx_memzero(&mreq6, sizeof(struct ipv6_mreq));
    (void) inet_pton(AF_INET, MESH_LAN_GROUP, &mreq.imr_multiaddr);
    (void) inet_pton(AF_INET6, MESH_LAN_GROUP6, &mreq6.ipv6mr_multiaddr);

    for (ifa = list; ifa; ifa = ifa->ifa_next) {

        if (ifa->ifa_addr == NULL || !(ifa->ifa_flags & IFF_UP)) {
            continue;
        }

        if (ifa->ifa_addr->sa_family == AF_INET && ngx_mesh_lan->c[0]) {
            mreq.imr_ifindex = (int) if_nametoindex(ifa->ifa_name);
            (void) setsockopt(ngx_mesh_lan->c[0]->fd, IPPROTO_IP,
                              IP_ADD_MEMBERSHIP, (const void *) &mreq,
                              sizeof(struct ip_mreqn));
        }

        if (ifa->ifa_addr->sa_family == AF_INET6 && ngx_mesh_lan->c[1]) {
            mreq6.ipv6mr_interface = if_nametoindex(ifa->ifa_name);
            (void) setsockopt(ngx_mesh_lan->c[1]->fd, IPPROTO_IPV6,
                              IPV6_JOIN_GROUP, (const void *) &mreq6,
                              sizeof(struct ipv6_mreq));
        }
    }

    freeifaddrs(list);
}


static void
ngx_mesh_lan_read(ngx_event_t *rev)
{
    ssize_t             n;
    u_char              buf[MESH_LAN_QUERY_LEN + 1];
    ngx_uint_t          i;
    socklen_t           len;
    ngx_sockaddr_t      from;
    ngx_connection_t   *c, **own;

    c = rev->data;

    if (c->close) {
        own = c->data;
        *own = NULL;
        ngx_close_connection(c);
        return;
    }

    for (i = 0; i < NGX_MESH_LAN_READS; i++) {
        len = sizeof(ngx_sockaddr_t);
        ngx_memzero(&from, sizeof(ngx_sockaddr_t));
        n = recvfrom(c->fd, (void *) buf, sizeof(buf), 0, &from.sockaddr,
                     &len);

        if (n == -1) {
            if (ngx_socket_errno == NGX_EAGAIN) {
                return;
            }

            /* EINTR, or what became of an answer */
            continue;
        }

        ngx_mesh_lan_query(c, buf, (size_t) n, &from, len);
    }

    /* others in this worker first */
    ngx_post_event(rev, &ngx_posted_next_events);
}


static void
ngx_mesh_lan_query(ngx_connection_t *c, const u_char *buf, size_t len,
    ngx_sockaddr_t *from, socklen_t fromlen)
{
    size_t      n;
    u_char      id[MESH_HASH_LEN], keyhash[MESH_HASH_LEN];
    u_char      answer[MESH_LAN_ANSWER_MAX];
    ngx_str_t   der;

    if (mesh_lan_query_parse(id, buf, len) != MESH_OK
        || !ngx_mesh_lan_local(from)
        || ngx_mesh_signer_identity(0, &der, keyhash) != NGX_OK
        || ngx_memcmp(id, keyhash, MESH_HASH_LEN) != 0
        || ngx_mesh_lan_limited(from))
    {
        return;
    }

    n = mesh_lan_write_answer(answer, sizeof(answer), keyhash,
                              from->sockaddr.sa_family == AF_INET6,
                              &ngx_mesh_lan->answer);
    if (n == 0) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "mesh lan answer of %uz bytes", n);

    /* what is lost is asked for again */
    (void) sendto(c->fd, (const void *) answer, n, 0, &from->sockaddr,
                  fromlen);
}


static ngx_uint_t
ngx_mesh_lan_local(const ngx_sockaddr_t *from)
{
    size_t         len;
    const u_char  *p;

    p = ngx_mesh_lan_address(from, &len);

    return from->sockaddr_in.sin_port != 0 && mesh_lan_is_local(p, len);
}


/* the port is at the same place in both families */
static const u_char *
ngx_mesh_lan_address(const ngx_sockaddr_t *from, size_t *len)
{
    if (from->sockaddr.sa_family == AF_INET6) {
        *len = 16;
        return from->sockaddr_in6.sin6_addr.s6_addr;
    }

    *len = 4;

    return (const u_char *) &from->sockaddr_in.sin_addr;
}


/* sources that share a slot share its bound: the table does not grow */
static ngx_uint_t
ngx_mesh_lan_limited(const ngx_sockaddr_t *from)
{
    size_t         len;
    uint32_t       hash;
    const u_char  *p;

    p = ngx_mesh_lan_address(from, &len);
    hash = ngx_murmur_hash2((u_char *) p, len) ^ ngx_mesh_lan->seed;
    hash *= 2654435761u;

    return ngx_mesh_lan_count(&ngx_mesh_lan->slots[(hash >> 16)
                                                   % NGX_MESH_LAN_SLOTS],
                              NGX_MESH_LAN_SOURCE)
           || ngx_mesh_lan_count(&ngx_mesh_lan->all, NGX_MESH_LAN_ALL);
}


static ngx_uint_t
ngx_mesh_lan_count(ngx_mesh_lan_slot_t *slot, ngx_uint_t max)
{
    if (slot->second != ngx_time()) {
        slot->second = ngx_time();
        slot->answers = 0;
    }

    return slot->answers++ >= max;
}
