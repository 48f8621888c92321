/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a connection through an agent goes, and the lists of device groups that
 * say where it may go.  An address has one spelling here, which is the one that
 * is checked, shown and sent to the agent: what other programs would read as an
 * address but these functions do not is no target.
 */

#ifndef MESH_TARGET_H_INCLUDED
#define MESH_TARGET_H_INCLUDED


#include "mesh.h"


#define MESH_TARGET_TEXT   253    /* bytes of an address or a name */
#define MESH_TARGET_ENTRY  320    /* bytes of an entry of a list */
#define MESH_TARGET_PORTS  16     /* ports and ranges in an entry */

#define MESH_TARGET_NAME   1      /* kinds */
#define MESH_TARGET_V4     4
#define MESH_TARGET_V6     6


typedef struct {
    uint16_t   port;
    uint8_t    kind;
    uint8_t    self;              /* loopback: the device itself */
    uint8_t    ip[16];            /* 4 of them for V4 */
    size_t     len;
    char       text[MESH_TARGET_TEXT + 1];    /* NUL-terminated */
} mesh_target_t;


/*
 * An address as somebody wrote it, empty: the device itself.  *why, set with
 * MESH_ERROR, is a sentence.
 *
 * "localhost" and ::ffff:1.2.3.4 become 127.0.0.1 and 1.2.3.4.  Refused are
 * 0.0.0.0 and ::, broadcast and multicast, an IPv4 address in any other form
 * than four decimal numbers, and those inside of other IPv6 addresses.
 */
int mesh_target_parse(mesh_target_t *t, const char *text, size_t len,
    uint32_t port, const char **why);

/*
 * An entry of a list: "10.0.0.0/8:22,80,8000-8080", "[fd00::]/64:443",
 * "printer.example:*".  A name stands for itself alone, since it is resolved
 * elsewhere.  MESH_ERROR: not one, *why is a sentence.
 */
int mesh_target_entry(const char *entry, size_t len, const char **why);

/* MESH_OK: the entry allows it; MESH_DECLINED: not this one, or no entry */
int mesh_target_match(const mesh_target_t *t, const char *entry, size_t len);


#endif /* MESH_TARGET_H_INCLUDED */
