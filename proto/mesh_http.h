/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the agent reads of HTTP: the header of an answer, from its server or a
 * proxy on the way, and where the two are to be found.
 */

#ifndef MESH_HTTP_H_INCLUDED
#define MESH_HTTP_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include "mesh.h"


#define MESH_HTTP_HOST_MAX  255           /* bytes of a host's name */


typedef struct {
    const char  *head;                    /* borrowed */
    size_t       size;                    /* bytes, with the empty line */
    size_t       line;                    /* bytes of the first, without CRLF */
    unsigned     status;                  /* 100-999 */
} mesh_http_answer_t;

/*
 * Reads a header from the front of buf; keeps nothing between calls.
 *
 *   MESH_OK     *answer is set; what is behind size belongs to others
 *   MESH_AGAIN  buf may hold the start of one: the caller knows how long it
 *               may become
 *   MESH_ERROR  no HTTP/1, or a control character in it
 *
 * Source: RFC 9112, 2.1 and 4.
 */
int mesh_http_answer_parse(mesh_http_answer_t *answer, const char *buf,
    size_t len);

/*
 * The value of the first line of that name, which is written in lower case,
 * without the blanks around it; NULL: there is none.
 */
const char *mesh_http_line(const mesh_http_answer_t *answer, const char *name,
    size_t *len);

/* digits alone: their number, max where it is more; -1: something else */
long mesh_http_number(const char *text, size_t len, long max);


/* scheme://host[:port][/path][?query][#fragment], of wss, ws, https, http */
typedef struct {
    const char  *host;                    /* without brackets, borrowed */
    const char  *path;                    /* with the query, or empty */
    size_t       host_len;
    size_t       path_len;
    uint16_t     port;
    unsigned     tls:1;
    unsigned     explicit_port:1;         /* not the scheme's own */
} mesh_http_url_t;

/*
 * MESH_ERROR: no such URL; also one with a name before "@", and with
 * characters that would end the line of a request, so that nobody who gives us
 * a URL can write header lines
 */
int mesh_http_url_parse(mesh_http_url_t *url, const char *text, size_t len);


/* [http://][user:password@]host:port[/] */
typedef struct {
    const char  *auth;                    /* NULL: none; borrowed */
    const char  *host;                    /* without brackets, borrowed */
    size_t       auth_len;
    size_t       host_len;
    uint16_t     port;
} mesh_http_proxy_t;

/* MESH_ERROR: it is not written so */
int mesh_http_proxy_parse(mesh_http_proxy_t *proxy, const char *text,
    size_t len);


#endif /* MESH_HTTP_H_INCLUDED */
