/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What the web relay reads in the headers of a device's page: cookies, and the
 * addresses that it leads to.  The lines are whole and without their ends.
 */

#ifndef MESH_WEB_H_INCLUDED
#define MESH_WEB_H_INCLUDED


#include "mesh.h"


#define MESH_WEB_COOKIE  4096   /* bytes of a cookie, name and value */


/* within the line that was read */
typedef struct {
    const uint8_t  *name;
    size_t          name_len;
    const uint8_t  *value;
    size_t          value_len;
    const uint8_t  *expires;    /* a date, to be looked at, or NULL */
    size_t          expires_len;
    int             gone;       /* it is to be deleted */
} mesh_web_cookie_t;


/*
 * The value of Set-Cookie.  MESH_ERROR: without a name, with control
 * characters, or longer than MESH_WEB_COOKIE.  Domain and Path are not looked
 * at: the relay has one host and one path.
 *
 * Source: RFC 6265, 5.2.
 */
int mesh_web_cookie_parse(mesh_web_cookie_t *c, const uint8_t *p, size_t len);

/*
 * The next pair of the value of Cookie, from *pos, which moves behind it; only
 * name and value are set.  MESH_DECLINED: there is none.
 */
int mesh_web_cookie_next(mesh_web_cookie_t *c, const uint8_t **pos,
    const uint8_t *last);

/*
 * An address that the page at https (or http) host:port leads to.  *path is
 * what of it a browser is given: all, or what follows the host if that is the
 * page's own (of no bytes for "/").
 *
 *   MESH_OK        within the page's own origin
 *   MESH_DECLINED  elsewhere
 *   MESH_ERROR     with characters that no address has, which browsers read
 *                  each in their way
 */
int mesh_web_location(const uint8_t **path, size_t *path_len,
    const uint8_t *p, size_t len, int https, const char *host, uint16_t port);


#endif /* MESH_WEB_H_INCLUDED */
