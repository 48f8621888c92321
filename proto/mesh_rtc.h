/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Which texts of a session lead beside the server: session.md 6.1, 7.3.
 */

#ifndef MESH_RTC_H_INCLUDED
#define MESH_RTC_H_INCLUDED


#include "mesh.h"


#define MESH_RTC_WORD  16             /* more than the longest word and NUL */


/* all zero at the start of a text */

typedef struct {
    uint64_t    depth;                /* of brackets, 0: outside */
    uint32_t    code;                 /* of \uXXXX, so far */
    uint8_t     len;                  /* of word */
    uint8_t     digits;               /* of \uXXXX, still to come */
    uint8_t     member;               /* whose value comes next */
    char        word[MESH_RTC_WORD];
    unsigned    other:1;              /* this text is no object */
    unsigned    string:1;             /* within one */
    unsigned    escape:1;             /* behind its \ */
    unsigned    value:1;              /* behind a colon */
    unsigned    found:1;
} mesh_rtc_t;


/*
 * Reads the next piece of a text.  Any JSON that a peer could read is read as
 * it reads it; where a member is there twice, each counts.
 *
 *   MESH_OK        it is an object that leads beside the server: its own member
 *                  "type" is offer, answer, webrtc0, webrtc1 or webrtc2, or
 *                  "action" webRtcSdp, webRtcIce or rtcSwitch
 *   MESH_AGAIN     nothing like that so far
 *   MESH_DECLINED  it is no object, whatever follows
 */
int mesh_rtc_find(mesh_rtc_t *st, const uint8_t *p, size_t len);


#endif /* MESH_RTC_H_INCLUDED */
