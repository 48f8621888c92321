/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Who is it?  One answer for control, relay and web (control.md 2.3). */

#ifndef _NGX_MESH_AUTH_H_INCLUDED_
#define _NGX_MESH_AUTH_H_INCLUDED_


#include "../ngx_mesh.h"
#include "ngx_mesh_id.h"


#define NGX_MESH_AUTH_SESSION  1      /* cookie of a browser */
#define NGX_MESH_AUTH_TICKET   2      /* auth= */
#define NGX_MESH_AUTH_HEADER   3      /* x-meshauth: */


typedef struct {
    int64_t      domain_id;
    int64_t      account_id;
    int64_t      password_at;         /* of the account when it was asked */
    u_char       session[32];         /* SHA-256 of the web session's token,
                                         or zeros */
    int64_t      expires_at;          /* of that session, ms; 0: none */
    ngx_uint_t   heard;               /* of sessions that ended, when it was
                                         asked: ngx_mesh_model_ended() */
    ngx_uint_t   how;                 /* NGX_MESH_AUTH_* */
} ngx_mesh_auth_t;


/* what the variables of the http module show of a request */
typedef struct {
    const char  *kind;                /* of its session, and that */
    uint64_t     serial;              /* 0: it has none */
    int64_t      account_id;          /* who it is of, 0: nobody is known */
    u_char       node[48];            /* on which device, or zeros */
} ngx_mesh_ctx_t;

/* made when it is first asked for; NULL: no memory */
ngx_mesh_ctx_t *ngx_mesh_ctx(ngx_http_request_t *r);
/* the request is of that account, and on that device; NULL: on none */
void ngx_mesh_ctx_who(ngx_http_request_t *r, int64_t account_id,
    const u_char *node);


/*
 * who NULL: nobody; cause and msg are what control.md 2.3 says, or NULL: it
 * cannot be told now (database away).  done() finalizes the request.
 */
typedef void (*ngx_mesh_auth_pt)(void *data, ngx_mesh_auth_t *who,
    const char *cause, const char *msg);

/*
 * Asks in the order ticket, header, session; a cookie counts only with an
 * acceptable Origin.  Checks Origin first.
 *   NGX_DONE  done() is or will be called
 *   other     what the handler must return; done() is not called
 */
ngx_int_t ngx_mesh_auth(ngx_http_request_t *r, ngx_mesh_auth_pt done,
    void *data);

/*
 * As above, and auth= may also be what getcookie gave, which stands for one
 * target: *route is it then; its kind is 0 where somebody came otherwise.
 */
ngx_int_t ngx_mesh_auth_route(ngx_http_request_t *r, ngx_mesh_ticket_t *route,
    ngx_mesh_auth_pt done, void *data);

/*
 * Only the session cookie, whatever the Origin: for answers that no other
 * origin can read (GET) and for requests with a CSRF token.  As above, but
 * nobody is (NULL, "noauth", "noauth").
 */
ngx_int_t ngx_mesh_auth_session(ngx_http_request_t *r, ngx_mesh_auth_pt done,
    void *data);

/* As ngx_mesh_auth_session(), but a ticket in the argument c is asked first. */
ngx_int_t ngx_mesh_auth_link(ngx_http_request_t *r, ngx_mesh_auth_pt done,
    void *data);

/* 101 and the JSON close, or 503: what to finalize the request with */
ngx_int_t ngx_mesh_auth_refuse(ngx_http_request_t *r, const char *cause,
    const char *msg);

/* 1 if who's account still exists, is not locked, has the same password */
ngx_uint_t ngx_mesh_auth_holds(const ngx_mesh_auth_t *who);

/*
 * Does who's web session still count?  For what runs in it, when one of the
 * account's has ended: NGX_MESH_CHANGE_SESSION.
 *   NGX_OK     it is of no web session
 *   NGX_AGAIN  done() will be called with the serial; lives 0: it has ended,
 *              or cannot be told
 *   NGX_ERROR  cannot be asked
 */
ngx_int_t ngx_mesh_auth_ask(const u_char *session, uint64_t serial,
    void (*done)(uint64_t serial, ngx_uint_t lives));


/* A user name and a password, counted and locked out. */

typedef struct ngx_mesh_login_s  ngx_mesh_login_t;

struct ngx_mesh_login_s {
    ngx_http_request_t   *r;
    int64_t               domain_id;
    ngx_str_t             user;       /* as typed */
    ngx_str_t             password;   /* wiped before done() */
    void                (*done)(ngx_mesh_login_t *login);
    void                 *data;

    /*
     * rc:  NGX_OK        account_id is set
     *      NGX_DECLINED  wrong, unknown, or a locked account
     *      NGX_BUSY      too many failures, again in retry seconds
     *      NGX_ABORT     cannot be told now
     */
    ngx_int_t             rc;
    int64_t               account_id;
    ngx_uint_t            retry;      /* seconds */

    ngx_mesh_password_t   hash;       /* private from here */
    ngx_mesh_model_wait_t wait;
    ngx_str_t             name;       /* of the counter */
    ngx_str_t             address;
    ngx_str_t             old;
    ngx_event_t           event;
    unsigned              counted:1;
    u_char                buf[160];
};

/* what the guesses of a peer are counted under; written to buf */
#define NGX_MESH_LOGIN_ADDRESS_LEN  64

void ngx_mesh_login_address(ngx_connection_t *c, u_char *buf,
    ngx_str_t *address);

/* forgets the wrong passwords of an account */
void ngx_mesh_login_unlock(int64_t account_id);

/* login lives until done(), which is never called from inside */
void ngx_mesh_login(ngx_mesh_login_t *login);

/* the events 107 (in) and 110 (failed), and when the account was seen */
void ngx_mesh_login_event(ngx_http_request_t *r, int64_t domain_id,
    int64_t account_id, ngx_uint_t in);

/*
 * An argument of the URL, unescaped.  NGX_DECLINED: not there; NGX_ERROR: it
 * is twice there, badly escaped, or holds a NUL.  What follows a second '?'
 * is not part of it.
 */
ngx_int_t ngx_mesh_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* a cookie by exact name; NGX_DECLINED: none, or twice */
ngx_int_t ngx_mesh_cookie_value(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* a request header by lower-case name, or NULL */
ngx_table_elt_t *ngx_mesh_header(ngx_http_request_t *r, const char *name);

/* the address of the peer, as nginx (realip) believes it */
ngx_str_t *ngx_mesh_address(ngx_http_request_t *r);

/* a ticket of who asks, for so many seconds; all else of it is empty */
void ngx_mesh_ticket_begin(ngx_mesh_ticket_t *ticket, u_char kind,
    const ngx_mesh_auth_t *who, time_t seconds);

/* of mesh_url, without slashes at its ends; mostly empty */
void ngx_mesh_url_path(ngx_http_mesh_srv_conf_t *srv, ngx_str_t *path);

/* a session on a device counts for both; NGX_BUSY: too many, none is counted */
ngx_int_t ngx_mesh_limit_relay(ngx_http_mesh_srv_conf_t *srv,
    int64_t account_id, const ngx_str_t *address);
void ngx_mesh_limit_relay_leave(int64_t account_id, const ngx_str_t *address);


#define NGX_MESH_COOKIE_SESSION  "__Host-mesh"
#define NGX_MESH_COOKIE_CSRF     "__Host-mesh-csrf"

#define NGX_MESH_SESSION_IDLE    86400000      /* ms */
#define NGX_MESH_SESSION_MAX     604800000     /* ms */


#endif /* _NGX_MESH_AUTH_H_INCLUDED_ */
