/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "../proto/mesh_lan.h"
#include "mesh_agent_lan.h"


#define MESH_AGENT_LAN_WAIT     700       /* ms, then once more */
#define MESH_AGENT_LAN_ASKS     2
#define MESH_AGENT_LAN_MORE     300       /* ms for others after the first */
#define MESH_AGENT_LAN_URLS     8
#define MESH_AGENT_LAN_URL      768       /* bytes, with a path of the longest */
#define MESH_AGENT_LAN_ASKED    64        /* addresses of this machine */
#define MESH_AGENT_LAN_ANSWERS  1000      /* that are looked at, of one ask() */


/* what libuv still closes when the rest is freed */
typedef struct {
    uv_udp_t            udp;
    mesh_agent_lan_t   *lan;
} mesh_agent_lan_socket_t;

struct mesh_agent_lan_s {
    uv_loop_t                *loop;
    uv_timer_t                timer;
    mesh_agent_lan_socket_t  *socket[2];  /* IPv4, IPv6; NULL: closed */
    mesh_agent_lan_pt         found;
    void                     *data;
    uint8_t                   id[MESH_HASH_LEN];
    unsigned                  asks;
    unsigned                  answers;
    unsigned                  nurls;
    char                     *urls[MESH_AGENT_LAN_URLS];
};


static void mesh_agent_lan_turn(uv_timer_t *timer);
static void mesh_agent_lan_open(mesh_agent_lan_t *lan, int v6);
static void mesh_agent_lan_send(mesh_agent_lan_t *lan);
static void mesh_agent_lan_alloc(uv_handle_t *handle, size_t size,
    uv_buf_t *buf);
static void mesh_agent_lan_read(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf,
    const struct sockaddr *from, unsigned flags);
static void mesh_agent_lan_keep(mesh_agent_lan_t *lan, const char *url);
static void mesh_agent_lan_closed(uv_handle_t *handle);
static void mesh_agent_lan_freed(uv_handle_t *handle);


mesh_agent_lan_t *
mesh_agent_lan_create(uv_loop_t *loop, mesh_agent_lan_pt found, void *data)
{
    mesh_agent_lan_t  *lan;

    lan = mesh_agent_alloc(sizeof(mesh_agent_lan_t));
    lan->loop = loop;
    lan->found = found;
    lan->data = data;

    (void) uv_timer_init(loop, &lan->timer);
    lan->timer.data = lan;

    return lan;
}


void
mesh_agent_lan_free(mesh_agent_lan_t *lan)
{
    mesh_agent_lan_stop(lan);
    uv_close((uv_handle_t *) &lan->timer, mesh_agent_lan_freed);
}


static void
mesh_agent_lan_freed(uv_handle_t *handle)
{
    mesh_agent_lan_t  *lan = handle->data;

    mesh_agent_lan_forget(lan);
    free(lan);
}


void
mesh_agent_lan_forget(mesh_agent_lan_t *lan)
{
    while (lan->nurls) {
        free(lan->urls[--lan->nurls]);
    }
}


void
mesh_agent_lan_stop(mesh_agent_lan_t *lan)
{
    int  i;

    (void) uv_timer_stop(&lan->timer);

    for (i = 0; i < 2; i++) {
        if (lan->socket[i]) {
            uv_close((uv_handle_t *) &lan->socket[i]->udp,
                     mesh_agent_lan_closed);
            lan->socket[i] = NULL;
        }
    }
}


static void
mesh_agent_lan_closed(uv_handle_t *handle)
{
    free(handle->data);
}


char *
mesh_agent_lan_next(mesh_agent_lan_t *lan)
{
    return lan->nurls ? lan->urls[--lan->nurls] : NULL;
}


void
mesh_agent_lan_ask(mesh_agent_lan_t *lan, const uint8_t *server_id)
{
    mesh_agent_lan_stop(lan);
    mesh_agent_lan_forget(lan);

    memcpy(lan->id, server_id, MESH_HASH_LEN);
    lan->asks = 0;
    lan->answers = 0;

    mesh_agent_lan_open(lan, 0);
    mesh_agent_lan_open(lan, 1);
    mesh_agent_lan_turn(&lan->timer);
}


static void
mesh_agent_lan_turn(uv_timer_t *timer)
{
    mesh_agent_lan_t *lan = timer->data;

    if (lan->nurls || lan->asks == MESH_AGENT_LAN_ASKS) {
        mesh_agent_lan_stop(lan);
        lan->found(lan->data);
        return;
    }

    lan->asks++;
    mesh_agent_lan_send(lan);
    (void) uv_timer_start(timer, mesh_agent_lan_turn, MESH_AGENT_LAN_WAIT, 0);
}


/* a machine without one of the two has the other */
static void
mesh_agent_lan_open(mesh_agent_lan_t *lan, int v6)
{
    mesh_agent_lan_socket_t  *s;
    struct sockaddr_storage   any;

    memset(&any, 0, sizeof(any));
    any.ss_family = v6 ? AF_INET6 : AF_INET;

    s = mesh_agent_alloc(sizeof(mesh_agent_lan_socket_t));
    s->lan = lan;
    s->udp.data = s;

    if (uv_udp_init(lan->loop, &s->udp) != 0) {
        free(s);
        return;
    }

    if (uv_udp_bind(&s->udp, (struct sockaddr *) &any,
                    v6 ? UV_UDP_IPV6ONLY : 0)
        != 0
        || uv_udp_recv_start(&s->udp, mesh_agent_lan_alloc,
                             mesh_agent_lan_read)
           != 0)
    {
        uv_close((uv_handle_t *) &s->udp, mesh_agent_lan_closed);
        return;
    }

    lan->socket[v6] = s;
}


/* the way out of each address; a datagram that is lost is sent again */
static void
mesh_agent_lan_send(mesh_agent_lan_t *lan)
{
    int                      i, n, v6;
    char                     name[64];
    uint8_t                  query[MESH_LAN_QUERY_LEN];
    uv_buf_t                 buf;
    struct sockaddr_in       to4;
    struct sockaddr_in6      to6;
    struct sockaddr         *to;
    uv_interface_address_t  *list, *one;

    if (uv_interface_addresses(&list, &n) != 0) {
        return;
    }

    mesh_lan_write_query(query, lan->id);
    buf = uv_buf_init((char *) query, sizeof(query));
    (void) uv_ip4_addr(MESH_LAN_GROUP, MESH_LAN_PORT, &to4);
    (void) uv_ip6_addr(MESH_LAN_GROUP6, MESH_LAN_PORT, &to6);

    for (i = 0; i < n && i < MESH_AGENT_LAN_ASKED; i++) {
        one = &list[i];
        v6 = one->address.address4.sin_family == AF_INET6;

        if (lan->socket[v6] == NULL) {
            continue;
        }

        if (v6) {

            /* each interface has one of these */
            if (one->address.address6.sin6_scope_id == 0) {
                continue;
            }

            to6.sin6_scope_id = one->address.address6.sin6_scope_id;
            to = (struct sockaddr *) &to6;

        } else {
            (void) uv_ip4_name(&one->address.address4, name, sizeof(name));

            if (uv_udp_set_multicast_interface(&lan->socket[0]->udp, name)
                != 0)
            {
                continue;
            }

            to = (struct sockaddr *) &to4;
        }

        (void) uv_udp_try_send(&lan->socket[v6]->udp, &buf, 1, to);
    }

    uv_free_interface_addresses(list, n);
}


static void
mesh_agent_lan_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    /* one byte more than is taken */
    static char  data[MESH_LAN_ANSWER_MAX + 1];

    *buf = uv_buf_init(data, sizeof(data));
}


static void
mesh_agent_lan_read(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf,
    const struct sockaddr *from, unsigned flags)
{
    int                         v6, scoped;
    char                        name[64], scope[UV_IF_NAMESIZE];
    char                        url[MESH_AGENT_LAN_URL];
    size_t                      len;
    mesh_agent_lan_t           *lan;
    mesh_lan_answer_t           answer;
    const struct sockaddr_in   *sin;
    const struct sockaddr_in6  *sin6;

    lan = ((mesh_agent_lan_socket_t *) udp->data)->lan;

    if (n <= 0 || from == NULL || lan->answers++ >= MESH_AGENT_LAN_ANSWERS
        || mesh_lan_answer_parse(&answer, lan->id, (uint8_t *) buf->base,
                                 (size_t) n)
           != MESH_OK)
    {
        return;
    }

    sin = (const struct sockaddr_in *) from;
    sin6 = (const struct sockaddr_in6 *) from;
    v6 = from->sa_family == AF_INET6;

    if (!mesh_lan_is_local(v6 ? (const uint8_t *) &sin6->sin6_addr
                              : (const uint8_t *) &sin->sin_addr, v6 ? 16 : 4))
    {
        return;
    }

    scope[0] = '\0';
    scoped = 0;

    if (v6) {
        (void) uv_ip6_name(sin6, name, sizeof(name));
        len = sizeof(scope);
        scoped = sin6->sin6_scope_id != 0
                 && uv_if_indextoname(sin6->sin6_scope_id, scope, &len) == 0;
    } else {
        (void) uv_ip4_name(sin, name, sizeof(name));
    }

    (void) snprintf(url, sizeof(url), "wss://%s%s%s%s%s:%u%.*s", v6 ? "[" : "",
                    name, scoped ? "%" : "", scoped ? scope : "",
                    v6 ? "]" : "", answer.port, (int) answer.path_len,
                    (const char *) answer.path);
    mesh_agent_lan_keep(lan, url);
}


/* who answers often takes no place of another, and early is no better */
static void
mesh_agent_lan_keep(mesh_agent_lan_t *lan, const char *url)
{
    unsigned  i;
    uint32_t  any;

    for (i = 0; i < lan->nurls; i++) {
        if (strcmp(lan->urls[i], url) == 0) {
            return;
        }
    }

    if (lan->nurls == 0) {
        (void) uv_timer_start(&lan->timer, mesh_agent_lan_turn,
                              MESH_AGENT_LAN_MORE, 0);
    }

    if (lan->nurls < MESH_AGENT_LAN_URLS) {
        lan->urls[lan->nurls++] = mesh_agent_strdup(url);
        return;
    }

    any = 0;
    (void) RAND_bytes((uint8_t *) &any, sizeof(any));
    i = any % lan->answers;

    if (i < MESH_AGENT_LAN_URLS) {
        free(lan->urls[i]);
        lan->urls[i] = mesh_agent_strdup(url);
    }
}
