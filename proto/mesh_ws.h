/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * WebSocket frames (RFC 6455): parse, unmask, build; and the UTF-8 of what is
 * in them.
 */

#ifndef MESH_WS_H_INCLUDED
#define MESH_WS_H_INCLUDED


#include "mesh.h"


#define MESH_WS_CONT             0
#define MESH_WS_TEXT             1
#define MESH_WS_BINARY           2
#define MESH_WS_CLOSE            8
#define MESH_WS_PING             9
#define MESH_WS_PONG             10

#define MESH_WS_MAX_HEAD         10     /* unmasked header */
#define MESH_WS_MAX_HEAD_MASKED  14
#define MESH_WS_MAX_CONTROL      125    /* payload of a control frame */

/* close codes, RFC 6455, 7.4.1 */
#define MESH_WS_CODE_NORMAL      1000
#define MESH_WS_CODE_AWAY        1001
#define MESH_WS_CODE_PROTOCOL    1002
#define MESH_WS_CODE_NONE        1005   /* never on the wire */
#define MESH_WS_CODE_TEXT        1007
#define MESH_WS_CODE_POLICY      1008
#define MESH_WS_CODE_BIG         1009
#define MESH_WS_CODE_INTERNAL    1011


/* what mesh_ws_parse() has found; the same value is in ev->what */

#define MESH_WS_HEAD             1
#define MESH_WS_DATA             2
#define MESH_WS_FRAME_END        3
#define MESH_WS_END              4
#define MESH_WS_CONTROL          5
#define MESH_WS_OVER             6
#define MESH_WS_DISCARD          7


/* all zero at the start of a connection */

typedef struct {
    uint64_t    left;           /* payload bytes still to come in this frame */
    uint64_t    message;        /* bytes so far in this message, this frame's
                                   header counted as if all had come */
    uint8_t     head[MESH_WS_MAX_HEAD_MASKED];  /* header being collected */
    uint8_t     mask[4];
    uint8_t     ncontrol;       /* bytes in control[] */
    uint8_t     control[MESH_WS_MAX_CONTROL];
    unsigned    nhead:4;
    unsigned    phase:2;        /* mask byte to use next */
    unsigned    opcode:4;       /* of the frame */
    unsigned    started:4;      /* opcode of the open message, 0 if none */
    unsigned    fin:1;
    unsigned    first:1;        /* frame is the first of its message */
    unsigned    masked:1;
    unsigned    payload:1;      /* the header is complete */
    unsigned    ending:1;       /* END comes next */
    unsigned    over:1;         /* the open message is thrown away */
} mesh_ws_parse_t;


typedef struct {
    uint64_t    frame_max;      /* bytes of payload; 0 = none */
    uint64_t    message_max;    /* bytes; 0 = none */
    unsigned    need_mask:1;    /* we are the server; 0: we are the client */
    unsigned    discard_over:1; /* past a maximum: discard, do not fail */
    unsigned    keep_mask:1;    /* DATA stays masked: see mesh_ws_unmask() */
} mesh_ws_limits_t;


typedef struct {
    int         what;           /* MESH_WS_HEAD and so on */
    uint8_t     opcode;         /* data: of the message, TEXT or BINARY;
                                   CONTROL: of the frame */
    unsigned    fin:1;          /* frame is the last of its message */
    unsigned    first:1;        /* frame is the first of its message */
    uint64_t    len;            /* HEAD, OVER: payload bytes of the frame;
                                   DATA, DISCARD: of these still to come;
                                   END: bytes of the message */
    uint8_t    *data;           /* DATA: in the caller's buffer, unmasked
                                   unless keep_mask is set;
                                   HEAD: where its payload begins, there;
                                   CONTROL: in *st, until the next call */
    size_t      size;           /* bytes at data; DISCARD: bytes dropped */
    const uint8_t  *mask;       /* DATA with keep_mask: its 4 bytes, in *st,
                                   or NULL */
    unsigned    phase;          /* and which of them is the first */
    uint16_t    code;           /* MESH_ERROR: close code to send;
                                   CONTROL with CLOSE: the peer's code, or
                                   MESH_WS_CODE_NONE */
} mesh_ws_event_t;


/*
 * Takes bytes from *pos, moves *pos, and returns at the first event.  To be
 * called again until it returns MESH_AGAIN: the events that end a frame come
 * without input of their own.
 *
 *   MESH_WS_HEAD       the header of a data frame is complete; *pos is behind
 *                      it.  An unmasked header for the same frame is at least
 *                      4 bytes shorter, so that it can be written in front of
 *                      *pos (into head room of 10 bytes before the buffer,
 *                      where the header had begun in an earlier one)
 *   MESH_WS_DATA       a piece of payload, unmasked in place unless
 *                      keep_mask is set
 *   MESH_WS_FRAME_END  each data frame, also an empty one
 *   MESH_WS_END        the message is complete; follows the FRAME_END of its
 *                      last frame
 *   MESH_WS_CONTROL    a whole close, ping or pong; a close has been checked
 *                      (code, UTF-8).  What follows a close is the caller's
 *                      to throw away
 *   MESH_WS_OVER       only with discard_over, in place of HEAD, once: this
 *                      frame's header passes a maximum.  Of this message
 *                      only DISCARD follows, neither FRAME_END nor END
 *   MESH_WS_DISCARD    a piece of payload that was skipped, not unmasked
 *   MESH_AGAIN         all input is consumed
 *   MESH_ERROR         close with ev->code: 1002; 1009 for a length past a
 *                      maximum; 1007 for the text of a close frame.  The
 *                      state is of no more use
 *
 * Text is not checked here: mesh_utf8_check() and the two repairs below.
 * Maxima are compared with the header, before a byte of payload is looked at.
 *
 * Source: RFC 6455, 5.
 */
int mesh_ws_parse(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim,
    uint8_t **pos, uint8_t *last, mesh_ws_event_t *ev);

/*
 * Throws the rest of the open message away, as if it had passed a maximum:
 * DISCARD follows.  For the caller that is out of memory for it.  To be called
 * between HEAD and END of that message, after any event but END.
 */
void mesh_ws_discard(mesh_ws_parse_t *st);

/*
 * Writes the header of a frame of len payload bytes.  Returns its size: 2, 4
 * or 10.
 */
size_t mesh_ws_head(uint8_t *p, uint8_t opcode, int fin, uint64_t len);

/* the same for a client: 6, 8 or 14 bytes; mask is 4 bytes */
size_t mesh_ws_head_masked(uint8_t *p, uint8_t opcode, int fin, uint64_t len,
    const uint8_t *mask);

/*
 * Masks or unmasks size bytes from src to dst, which is src or lies before it:
 * a relay packs in the same pass.  phase (0..3) is the byte of mask to start
 * with.  Returns the phase for the next piece.
 */
unsigned mesh_ws_unmask(uint8_t *dst, const uint8_t *src, size_t size,
    const uint8_t *mask, unsigned phase);

/* 1 for a close code that may be on the wire (RFC 6455, 7.4) */
int mesh_ws_code_valid(uint16_t code);


/* all zero at the start of a message */

typedef struct {
    uint8_t     need;           /* continuation bytes still to come */
    uint8_t     low;            /* bounds of the next one */
    uint8_t     high;
    uint8_t     fill;           /* repair: value forced on the next one, or 0 */
} mesh_utf8_t;


/*
 * Checks the next piece of a text.  No surrogates, no overlong forms, nothing
 * above U+10FFFF (RFC 3629).
 *
 *   MESH_OK     good so far; with last set: good and complete
 *   MESH_ERROR  not UTF-8, or with last set: cut within a character
 */
int mesh_utf8_check(mesh_utf8_t *u, const uint8_t *p, size_t size, int last);

/*
 * Makes the next piece of a frame's text good UTF-8 in place, with the length
 * unchanged: each surrogate becomes U+FFFD, each other bad byte '?'.  left is
 * how many payload bytes of the same frame follow this piece: ev->len of
 * MESH_WS_DATA.  Every frame that was repaired to its end is good UTF-8 by
 * itself, however it was cut into pieces; *u is all zero again then.
 *
 * The start of a character at the end of a piece is already on its way when the
 * next piece turns out not to continue it.  Then the character is completed
 * at the cost of the bytes that follow, at most 3.
 */
void mesh_utf8_repair(mesh_utf8_t *u, uint8_t *p, size_t size, uint64_t left);

/*
 * Repairs an agent's JSON as text.  The result is good UTF-8:
 *
 *   two encoded surrogates that make a pair   that character, 4 bytes
 *   other encoded surrogates                  U+FFFD
 *   other bad bytes                           '?'
 *   in strings: control characters with NUL   \n, \t or \u00XX
 *   in strings: \ that starts no escape       \\ and what follows it
 *   in strings: \uD8xx without its other half \ufffd
 *   NUL outside of strings                    a space
 *
 * What is not JSON otherwise stays so.  Returns the size of the result, at
 * most MESH_JSON_REPAIR_MAX times len; not more than size bytes are written,
 * so that a result above size means: call again with more room.  dst may be
 * NULL with size 0; it must not overlap src.
 */
#define MESH_JSON_REPAIR_MAX     6

size_t mesh_json_repair(uint8_t *dst, size_t size, const uint8_t *src,
    size_t len);

/* 1 if mesh_json_repair() would change nothing: use the bytes as they are */
int mesh_json_clean(const uint8_t *src, size_t len);


#endif /* MESH_WS_H_INCLUDED */
