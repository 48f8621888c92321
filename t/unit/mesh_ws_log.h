/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * What mesh_ws_parse() said about some bytes, as text that does not depend on
 * how they were cut: pieces of payload are joined.  Used by the unit test and
 * by the fuzz target.
 *
 *   H1.1.5      HEAD: opcode, fin + 2 * first, length
 *   [hello]     DATA, joined
 *   F E5        FRAME_END; END, with the bytes of the message
 *   C8.1000[x]  CONTROL: opcode, code, payload
 *   O9 D9       OVER, with the length; DISCARD, joined
 *   X1002       MESH_ERROR; nothing follows
 */

#ifndef MESH_WS_LOG_H_INCLUDED
#define MESH_WS_LOG_H_INCLUDED


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_ws.h"


typedef struct {
    mesh_ws_parse_t   st;
    mesh_ws_limits_t  lim;
    char             *text;
    size_t            len;
    size_t            size;
    uint64_t          dropped;
    int               open;         /* within [ ] of data */
    int               failed;
    int               wrong;        /* an event that cannot be */
} mesh_ws_log_t;


static inline void
mesh_ws_log_put(mesh_ws_log_t *log, const void *p, size_t n)
{
    if (log->size - log->len < n + 1) {
        log->size = 2 * log->size + n + 1;
        log->text = realloc(log->text, log->size);

        if (log->text == NULL) {
            abort();
        }
    }

    if (n) {
        memcpy(log->text + log->len, p, n);
    }

    log->len += n;
    log->text[log->len] = '\0';
}


static inline void
mesh_ws_log_end(mesh_ws_log_t *log)
{
    char  text[32];

    if (log->open) {
        mesh_ws_log_put(log, "]", 1);
        log->open = 0;
    }

    if (log->dropped) {
        snprintf(text, sizeof(text), "D%llu ",
                 (unsigned long long) log->dropped);
        mesh_ws_log_put(log, text, strlen(text));
        log->dropped = 0;
    }
}


/* p is changed; takes all of it */

static inline void
mesh_ws_log_feed(mesh_ws_log_t *log, uint8_t *p, size_t n)
{
    int              rc;
    char             text[64];
    uint8_t         *pos, *last, *before;
    mesh_ws_event_t  ev;

    pos = p;
    last = p + n;

    while (!log->failed) {

        before = pos;
        memset(&ev, 0xa5, sizeof(mesh_ws_event_t));

        rc = mesh_ws_parse(&log->st, &log->lim, &pos, last, &ev);

        if (rc == MESH_AGAIN) {
            log->wrong |= pos != last;
            return;
        }

        log->wrong |= ev.what != rc || pos < before || pos > last;

        if (rc == MESH_WS_DATA) {
            log->wrong |= ev.size == 0 || ev.data < before
                          || ev.data + ev.size != pos
                          || ev.len != log->st.left;

            if (!log->open) {
                mesh_ws_log_end(log);
                mesh_ws_log_put(log, "[", 1);
                log->open = 1;
            }

            if (ev.mask) {
                (void) mesh_ws_unmask(ev.data, ev.data, ev.size, ev.mask,
                                      ev.phase);
            }

            mesh_ws_log_put(log, ev.data, ev.size);
            continue;
        }

        if (rc == MESH_WS_DISCARD) {
            log->wrong |= ev.size == 0 || ev.len != log->st.left;
            log->dropped += ev.size;
            continue;
        }

        mesh_ws_log_end(log);

        switch (rc) {

        case MESH_WS_HEAD:
            snprintf(text, sizeof(text), "H%u.%u.%llu", ev.opcode,
                     ev.fin + 2U * ev.first, (unsigned long long) ev.len);
            break;

        case MESH_WS_FRAME_END:
            snprintf(text, sizeof(text), "F ");
            break;

        case MESH_WS_END:
            snprintf(text, sizeof(text), "E%llu ",
                     (unsigned long long) ev.len);
            break;

        case MESH_WS_OVER:
            snprintf(text, sizeof(text), "O%llu ",
                     (unsigned long long) ev.len);
            break;

        case MESH_WS_CONTROL:
            snprintf(text, sizeof(text), "C%u.%u[", ev.opcode, ev.code);
            mesh_ws_log_put(log, text, strlen(text));
            mesh_ws_log_put(log, ev.data, ev.size);
            snprintf(text, sizeof(text), "] ");
            break;

        case MESH_ERROR:
            snprintf(text, sizeof(text), "X%u", ev.code);
            log->failed = 1;
            break;

        default:
            snprintf(text, sizeof(text), "?%d", rc);
            log->wrong = 1;
            log->failed = 1;
        }

        mesh_ws_log_put(log, text, strlen(text));
    }
}


#endif /* MESH_WS_LOG_H_INCLUDED */
