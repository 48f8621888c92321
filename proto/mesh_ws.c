/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_ws.h"


#define MESH_WS_FIN    0x80
#define MESH_WS_RSV    0x70
#define MESH_WS_MASK   0x80


static int mesh_ws_parse_head(mesh_ws_parse_t *st,
    const mesh_ws_limits_t *lim, uint8_t **pos, uint8_t *last,
    mesh_ws_event_t *ev);
static int mesh_ws_read_head(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim,
    const uint8_t *p, size_t n, size_t *used);
static int mesh_ws_begin_frame(mesh_ws_parse_t *st,
    const mesh_ws_limits_t *lim, mesh_ws_event_t *ev);
static int mesh_ws_parse_control(mesh_ws_parse_t *st, uint8_t **pos,
    uint8_t *last, mesh_ws_event_t *ev);
static int mesh_ws_read_close(mesh_ws_parse_t *st, mesh_ws_event_t *ev);
static int mesh_ws_fail(mesh_ws_event_t *ev, uint16_t code);
static int mesh_ws_found(const mesh_ws_parse_t *st, mesh_ws_event_t *ev,
    int what);
static size_t mesh_ws_write_head(uint8_t *p, uint8_t opcode, int fin,
    uint64_t len, uint8_t mask);
static int mesh_utf8_lead(mesh_utf8_t *u, uint8_t ch);
static size_t mesh_utf8_ascii(const uint8_t *p, size_t size);
static size_t mesh_utf8_char(const uint8_t *p, size_t size);
static int mesh_utf8_surrogate(const uint8_t *p, size_t size);


int
mesh_ws_parse(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim, uint8_t **pos,
    uint8_t *last, mesh_ws_event_t *ev)
{
    int     rc;
    size_t  n;

    for ( ;; ) {

        if (st->ending) {
            rc = mesh_ws_found(st, ev, MESH_WS_END);
            ev->len = st->message;

            st->ending = 0;
            st->started = 0;
            st->message = 0;

            return rc;
        }

        if (!st->payload) {
            rc = mesh_ws_parse_head(st, lim, pos, last, ev);

            if (rc != MESH_OK) {
                return rc;
            }
        }

        if (st->opcode & 8) {
            return mesh_ws_parse_control(st, pos, last, ev);
        }

        if (st->left == 0) {
            st->payload = 0;

            if (!st->over) {
                st->ending = st->fin;
                return mesh_ws_found(st, ev, MESH_WS_FRAME_END);
            }

            if (st->fin) {
                st->over = 0;
                st->started = 0;
                st->message = 0;
            }

            continue;
        }

        n = (size_t) (last - *pos);

        if (n == 0) {
            return MESH_AGAIN;
        }

        if (n > st->left) {
            n = (size_t) st->left;
        }

        st->left -= n;

        rc = mesh_ws_found(st, ev, st->over ? MESH_WS_DISCARD : MESH_WS_DATA);

        ev->len = st->left;
        ev->data = *pos;
        ev->size = n;

        if (st->masked && !st->over) {

            if (lim->keep_mask) {
                ev->mask = st->mask;
                ev->phase = st->phase;
                st->phase = (st->phase + n) & 3;

            } else {
                st->phase = mesh_ws_unmask(*pos, *pos, n, st->mask, st->phase)
                            & 3;
            }
        }

        *pos += n;

        return rc;
    }
}


/* MESH_OK: the header is complete and there is nothing to tell of it */

static int
mesh_ws_parse_head(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim,
    uint8_t **pos, uint8_t *last, mesh_ws_event_t *ev)
{
    int     rc;
    size_t  n, had, used;

    n = (size_t) (last - *pos);

    if (n == 0) {
        return MESH_AGAIN;
    }

    had = st->nhead;

    if (had == 0) {
        rc = mesh_ws_read_head(st, lim, *pos, n, &used);

    } else {
        n = n < sizeof(st->head) - had ? n : sizeof(st->head) - had;
        memcpy(st->head + had, *pos, n);

        rc = mesh_ws_read_head(st, lim, st->head, had + n, &used);
    }

    if (rc == MESH_AGAIN) {

        /* an unfinished header is shorter than head[] */

        if (had == 0) {
            memcpy(st->head, *pos, n);
        }

        st->nhead = (had + n) & 0x0f;
        *pos += n;

        return MESH_AGAIN;
    }

    if (rc != MESH_OK) {
        return mesh_ws_fail(ev, MESH_WS_CODE_PROTOCOL);
    }

    *pos += used - had;

    st->nhead = 0;
    st->phase = 0;
    st->payload = 1;
    st->ncontrol = 0;

    if (st->opcode & 8) {
        return MESH_OK;
    }

    rc = mesh_ws_begin_frame(st, lim, ev);

    if (rc == MESH_WS_HEAD) {
        ev->data = *pos;
    }

    return rc;
}


/*
 * Reads a header of n bytes or more at p.  Sets in *st only what belongs to the
 * frame, so that it can be called again with more bytes.
 */

static int
mesh_ws_read_head(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim,
    const uint8_t *p, size_t n, size_t *used)
{
    size_t    need;
    uint8_t   opcode, small;
    uint64_t  len;

    if (p[0] & MESH_WS_RSV) {
        return MESH_ERROR;
    }

    opcode = p[0] & 0x0f;

    switch (opcode) {

    case MESH_WS_CONT:

        if (st->started == 0) {
            return MESH_ERROR;
        }

        break;

    case MESH_WS_TEXT:
    case MESH_WS_BINARY:

        if (st->started) {
            return MESH_ERROR;
        }

        break;

    case MESH_WS_CLOSE:
    case MESH_WS_PING:
    case MESH_WS_PONG:

        /* RFC 6455, 5.5: not fragmented */
        if (!(p[0] & MESH_WS_FIN)) {
            return MESH_ERROR;
        }

        break;

    default:
        return MESH_ERROR;
    }

    if (n < 2) {
        return MESH_AGAIN;
    }

    /* RFC 6455, 5.1: a client masks, a server does not */
    if (((p[1] & MESH_WS_MASK) != 0) != (lim->need_mask != 0)) {
        return MESH_ERROR;
    }

    small = p[1] & 0x7f;

    /* RFC 6455, 5.5 */
    if ((opcode & 8) && small > MESH_WS_MAX_CONTROL) {
        return MESH_ERROR;
    }

    need = 2;

    if (small == 126) {
        need += 2;

    } else if (small == 127) {
        need += 8;
    }

    if (n < need) {
        return MESH_AGAIN;
    }

    len = small;

    /* RFC 6455, 5.2: the shortest form, and 63 bits */

    if (small == 126) {
        len = mesh_get16(p + 2);

        if (len < 126) {
            return MESH_ERROR;
        }

    } else if (small == 127) {
        len = mesh_get64(p + 2);

        if (len < 65536 || len >> 63) {
            return MESH_ERROR;
        }
    }

    if (p[1] & MESH_WS_MASK) {

        if (n - need < 4) {
            return MESH_AGAIN;
        }

        memcpy(st->mask, p + need, 4);
        need += 4;
    }

    st->left = len;
    st->opcode = opcode & 0x0f;
    st->fin = (p[0] & MESH_WS_FIN) != 0;
    st->masked = (p[1] & MESH_WS_MASK) != 0;

    *used = need;

    return MESH_OK;
}


static int
mesh_ws_begin_frame(mesh_ws_parse_t *st, const mesh_ws_limits_t *lim,
    mesh_ws_event_t *ev)
{
    int  rc, over;

    st->first = st->opcode != MESH_WS_CONT;

    if (st->first) {
        st->started = st->opcode;
        st->message = 0;
    }

    if (st->over) {
        return MESH_OK;
    }

    over = lim->frame_max && st->left > lim->frame_max;

    /* message is at most message_max where that counts: no wrap */

    if (lim->message_max
        && (st->message > lim->message_max
            || st->left > lim->message_max - st->message))
    {
        over = 1;
    }

    if (over && !lim->discard_over) {
        return mesh_ws_fail(ev, MESH_WS_CODE_BIG);
    }

    if (st->left > UINT64_MAX - st->message) {
        return mesh_ws_fail(ev, MESH_WS_CODE_BIG);
    }

    st->message += st->left;

    st->over = over ? 1 : 0;

    rc = mesh_ws_found(st, ev, over ? MESH_WS_OVER : MESH_WS_HEAD);
    ev->len = st->left;

    return rc;
}


static int
mesh_ws_parse_control(mesh_ws_parse_t *st, uint8_t **pos, uint8_t *last,
    mesh_ws_event_t *ev)
{
    int     rc;
    size_t  n;

    n = (size_t) (last - *pos);

    if (n > st->left) {
        n = (size_t) st->left;
    }

    if (n) {
        memcpy(st->control + st->ncontrol, *pos, n);

        st->ncontrol = (uint8_t) (st->ncontrol + n);
        st->left -= n;
        *pos += n;
    }

    if (st->left) {
        return MESH_AGAIN;
    }

    st->payload = 0;

    if (st->masked) {
        (void) mesh_ws_unmask(st->control, st->control, st->ncontrol,
                              st->mask, 0);
    }

    rc = mesh_ws_found(st, ev, MESH_WS_CONTROL);

    ev->opcode = st->opcode;
    ev->fin = 1;
    ev->first = 1;
    ev->data = st->control;
    ev->size = st->ncontrol;

    if (st->opcode == MESH_WS_CLOSE) {
        return mesh_ws_read_close(st, ev);
    }

    return rc;
}


static int
mesh_ws_read_close(mesh_ws_parse_t *st, mesh_ws_event_t *ev)
{
    mesh_utf8_t  u;

    if (st->ncontrol == 0) {
        ev->code = MESH_WS_CODE_NONE;
        return MESH_WS_CONTROL;
    }

    /* RFC 6455, 5.5.1 */
    if (st->ncontrol == 1) {
        return mesh_ws_fail(ev, MESH_WS_CODE_PROTOCOL);
    }

    ev->code = mesh_get16(st->control);

    if (!mesh_ws_code_valid(ev->code)) {
        return mesh_ws_fail(ev, MESH_WS_CODE_PROTOCOL);
    }

    memset(&u, 0, sizeof(mesh_utf8_t));

    if (mesh_utf8_check(&u, st->control + 2, st->ncontrol - 2U, 1)
        != MESH_OK)
    {
        return mesh_ws_fail(ev, MESH_WS_CODE_TEXT);
    }

    return MESH_WS_CONTROL;
}


static int
mesh_ws_fail(mesh_ws_event_t *ev, uint16_t code)
{
    memset(ev, 0, sizeof(mesh_ws_event_t));

    ev->what = MESH_ERROR;
    ev->code = code;

    return MESH_ERROR;
}


static int
mesh_ws_found(const mesh_ws_parse_t *st, mesh_ws_event_t *ev, int what)
{
    ev->what = what;
    ev->opcode = st->started;
    ev->fin = st->fin;
    ev->first = st->first;
    ev->len = 0;
    ev->data = NULL;
    ev->size = 0;
    ev->mask = NULL;
    ev->phase = 0;
    ev->code = 0;

    return what;
}


void
mesh_ws_discard(mesh_ws_parse_t *st)
{
    if (st->started == 0) {
        return;
    }

    if (st->ending) {

        /* FRAME_END of the last frame was told: nothing is left of it */

        st->ending = 0;
        st->started = 0;
        st->message = 0;

        return;
    }

    st->over = 1;
}


size_t
mesh_ws_head(uint8_t *p, uint8_t opcode, int fin, uint64_t len)
{
    return mesh_ws_write_head(p, opcode, fin, len, 0);
}


size_t
mesh_ws_head_masked(uint8_t *p, uint8_t opcode, int fin, uint64_t len,
    const uint8_t *mask)
{
    size_t  n;

    n = mesh_ws_write_head(p, opcode, fin, len, MESH_WS_MASK);
    memcpy(p + n, mask, 4);

    return n + 4;
}


static size_t
mesh_ws_write_head(uint8_t *p, uint8_t opcode, int fin, uint64_t len,
    uint8_t mask)
{
    p[0] = (uint8_t) ((fin ? MESH_WS_FIN : 0) | opcode);

    if (len < 126) {
        p[1] = (uint8_t) (mask | len);
        return 2;
    }

    if (len < 65536) {
        p[1] = mask | 126;
        mesh_put16(p + 2, (uint16_t) len);
        return 4;
    }

    p[1] = mask | 127;
    mesh_put64(p + 2, len);

    return 10;
}


/* vectors: the compiler does not make them of a loop, and each byte counts */

typedef uint64_t  mesh_ws_lane_t __attribute__((vector_size(16)));

unsigned
mesh_ws_unmask(uint8_t *dst, const uint8_t *src, size_t size,
    const uint8_t *mask, unsigned phase)
{
    size_t          i;
    uint8_t         key[16];
    mesh_ws_lane_t  k, a, b;

    for (i = 0; i < sizeof(key); i++) {
        key[i] = mask[(phase + i) & 3];
    }

    memcpy(&k, key, sizeof(k));

    phase = (unsigned) ((phase + size) & 3);

    /* both are read before one is written: dst may lie just before src */

    while (size >= 32) {
        memcpy(&a, src, 16);
        memcpy(&b, src + 16, 16);

        a ^= k;
        b ^= k;

        memcpy(dst, &a, 16);
        memcpy(dst + 16, &b, 16);

        src += 32;
        dst += 32;
        size -= 32;
    }

    for (i = 0; i < size; i++) {
        dst[i] = src[i] ^ key[i & 15];
    }

    return phase;
}


int
mesh_ws_code_valid(uint16_t code)
{
    if (code >= 3000) {
        return code < 5000;
    }

    /* 1004 to 1006 are reserved, 1012 to 1014 are registered later */

    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}


int
mesh_utf8_check(mesh_utf8_t *u, const uint8_t *p, size_t size, int last)
{
    size_t  i;

    i = 0;

    while (i < size) {

        if (u->need) {

            if (p[i] < u->low || p[i] > u->high) {
                return MESH_ERROR;
            }

            u->need--;
            u->low = 0x80;
            u->high = 0xbf;
            i++;

            continue;
        }

        i += mesh_utf8_ascii(p + i, size - i);

        if (i < size) {

            if (mesh_utf8_lead(u, p[i]) != MESH_OK) {
                return MESH_ERROR;
            }

            i++;
        }
    }

    return (last && u->need) ? MESH_ERROR : MESH_OK;
}


/* sets *u for what must follow ch, which may be ASCII */

static int
mesh_utf8_lead(mesh_utf8_t *u, uint8_t ch)
{
    u->low = 0x80;
    u->high = 0xbf;

    if (ch < 0x80) {
        u->need = 0;

    } else if (ch >= 0xc2 && ch <= 0xdf) {
        u->need = 1;

    } else if (ch >= 0xe0 && ch <= 0xef) {
        u->need = 2;

        if (ch == 0xe0) {
            u->low = 0xa0;          /* overlong */

        } else if (ch == 0xed) {
            u->high = 0x9f;         /* surrogates */
        }

    } else if (ch >= 0xf0 && ch <= 0xf4) {
        u->need = 3;

        if (ch == 0xf0) {
            u->low = 0x90;          /* overlong */

        } else if (ch == 0xf4) {
            u->high = 0x8f;         /* above U+10FFFF */
        }

    } else {
        return MESH_ERROR;
    }

    return MESH_OK;
}


/* how many bytes from p on are ASCII */

static size_t
mesh_utf8_ascii(const uint8_t *p, size_t size)
{
    size_t    i;
    uint64_t  w;

    i = 0;

    while (size - i >= 8) {
        memcpy(&w, p + i, 8);

        if (w & UINT64_C(0x8080808080808080)) {
            break;
        }

        i += 8;
    }

    while (i < size && p[i] < 0x80) {
        i++;
    }

    return i;
}


/* the size of the good character at p, 0 if it is bad or cut */

static size_t
mesh_utf8_char(const uint8_t *p, size_t size)
{
    size_t       i, n;
    mesh_utf8_t  u;

    if (mesh_utf8_lead(&u, p[0]) != MESH_OK) {
        return 0;
    }

    n = u.need + 1U;

    if (n > size) {
        return 0;
    }

    for (i = 1; i < n; i++) {

        if (p[i] < u.low || p[i] > u.high) {
            return 0;
        }

        u.low = 0x80;
        u.high = 0xbf;
    }

    return n;
}


/* the code of the encoded surrogate at p, 0 if there is none */

static int
mesh_utf8_surrogate(const uint8_t *p, size_t size)
{
    if (size < 3 || p[0] != 0xed || p[1] < 0xa0 || p[1] > 0xbf
        || p[2] < 0x80 || p[2] > 0xbf)
    {
        return 0;
    }

    return 0xd000 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f);
}


/*
 * Within a piece everything is seen, and is judged as a whole.  Only the last
 * three bytes of a piece can be the start of a character that goes on in the
 * next one: what they say is then a promise that *u keeps.
 */

void
mesh_utf8_repair(mesh_utf8_t *u, uint8_t *p, size_t size, uint64_t left)
{
    size_t       i, n, have;
    mesh_utf8_t  next;

    i = 0;

    while (i < size && u->need) {

        if (u->fill) {
            p[i] = u->fill;

        } else if (p[i] < u->low || p[i] > u->high) {

            /* too late for '?': what was started has to become a character */

            p[i] = u->high;
        }

        u->need--;
        u->fill = 0;
        u->low = 0x80;
        u->high = 0xbf;
        i++;
    }

    if (u->need == 0) {
        memset(u, 0, sizeof(mesh_utf8_t));
    }

    while (i < size) {

        i += mesh_utf8_ascii(p + i, size - i);

        if (i == size) {
            break;
        }

        n = mesh_utf8_char(p + i, size - i);

        if (n) {
            i += n;
            continue;
        }

        have = size - i;

        if (mesh_utf8_surrogate(p + i, have)) {
            memcpy(p + i, "\xef\xbf\xbd", 3);
            i += 3;
            continue;
        }

        if (have == 2 && left >= 1 && p[i] == 0xed
            && p[i + 1] >= 0xa0 && p[i + 1] <= 0xbf)
        {
            /* two thirds of a surrogate: the third byte ends U+FFFD */

            memcpy(p + i, "\xef\xbf", 2);

            u->need = 1;
            u->low = 0x80;
            u->high = 0xbf;
            u->fill = 0xbd;

            return;
        }

        if (have < 4 && mesh_utf8_lead(&next, p[i]) == MESH_OK
            && next.need >= have && next.need - (have - 1) <= left)
        {
            /* cut by the end of the piece: good so far? */

            for (n = 1; n < have; n++) {

                if (p[i + n] < next.low || p[i + n] > next.high) {
                    break;
                }

                next.need--;
                next.low = 0x80;
                next.high = 0xbf;
            }

            if (n == have) {
                *u = next;
                u->fill = 0;
                return;
            }
        }

        p[i++] = '?';
    }
}


/* room: bytes are counted, and written while they fit */

typedef struct {
    uint8_t  *dst;
    size_t    size;
    size_t    len;
} mesh_json_out_t;


static int mesh_json_walk(mesh_json_out_t *out, const uint8_t *src,
    size_t len);
static size_t mesh_json_escape(mesh_json_out_t *out, const uint8_t *p,
    size_t size, int *changed);
static size_t mesh_json_bad(mesh_json_out_t *out, const uint8_t *p,
    size_t size);
static void mesh_json_control(mesh_json_out_t *out, uint8_t ch);
static int mesh_json_hex4(const uint8_t *p, size_t size);
static void mesh_json_put(mesh_json_out_t *out, const void *p, size_t n);


size_t
mesh_json_repair(uint8_t *dst, size_t size, const uint8_t *src, size_t len)
{
    mesh_json_out_t  out;

    out.dst = dst;
    out.size = size;
    out.len = 0;

    (void) mesh_json_walk(&out, src, len);

    return out.len;
}


int
mesh_json_clean(const uint8_t *src, size_t len)
{
    return mesh_json_walk(NULL, src, len);
}


/* returns 1 if nothing has to be changed; without out stops at the first */

static int
mesh_json_walk(mesh_json_out_t *out, const uint8_t *src, size_t len)
{
    int      clean, changed, string;
    size_t   i, n, from;
    uint8_t  ch;

    i = 0;
    from = 0;           /* from here to i nothing has to be changed */
    clean = 1;
    string = 0;

    while (i < len) {

        ch = src[i];

        if (ch >= 0x20 && ch < 0x80 && ch != '"' && ch != '\\') {
            i++;
            continue;
        }

        if (ch == '"') {
            string = !string;
            i++;
            continue;
        }

        if (ch >= 0x80) {
            n = mesh_utf8_char(src + i, len - i);

            if (n) {
                i += n;
                continue;
            }

        } else if (ch == '\\') {

            if (!string) {
                i++;
                continue;
            }

            n = mesh_json_escape(NULL, src + i, len - i, &changed);

            if (!changed) {
                i += n;
                continue;
            }

        } else if (!string && ch != 0) {
            i++;
            continue;
        }

        clean = 0;

        if (out == NULL) {
            break;
        }

        mesh_json_put(out, src + from, i - from);

        if (ch >= 0x80) {
            i += mesh_json_bad(out, src + i, len - i);

        } else if (ch == '\\') {
            i += mesh_json_escape(out, src + i, len - i, &changed);

        } else if (string) {
            mesh_json_control(out, ch);
            i++;

        } else {
            mesh_json_put(out, " ", 1);
            i++;
        }

        from = i;
    }

    if (out) {
        mesh_json_put(out, src + from, i - from);
    }

    return clean;
}


/* the escape at p: its size; writes it, repaired, unless out is NULL */

static size_t
mesh_json_escape(mesh_json_out_t *out, const uint8_t *p, size_t size,
    int *changed)
{
    int  code, other;

    *changed = 0;

    if (size >= 2 && p[1] != 0 && strchr("\"\\/bfnrt", p[1])) {
        return 2;
    }

    code = -1;

    if (size >= 2 && p[1] == 'u') {
        code = mesh_json_hex4(p + 2, size - 2);
    }

    if (code == -1) {
        *changed = 1;

        if (out) {
            mesh_json_put(out, "\\\\", 2);
        }

        return 1;
    }

    if (code < 0xd800 || code > 0xdfff) {
        return 6;
    }

    if (code <= 0xdbff && size >= 8 && p[6] == '\\' && p[7] == 'u') {
        other = mesh_json_hex4(p + 8, size - 8);

        if (other >= 0xdc00 && other <= 0xdfff) {
            return 12;
        }
    }

    *changed = 1;

    if (out) {
        mesh_json_put(out, "\\ufffd", 6);
    }

    return 6;
}


/* repairs the bad bytes at p; returns how many they were */

static size_t
mesh_json_bad(mesh_json_out_t *out, const uint8_t *p, size_t size)
{
    int       high, low;
    uint8_t   ch[4];
    uint32_t  code;

    high = mesh_utf8_surrogate(p, size);

    if (high == 0) {
        mesh_json_put(out, "?", 1);
        return 1;
    }

    low = mesh_utf8_surrogate(p + 3, size - 3);

    if (high > 0xdbff || low < 0xdc00) {
        mesh_json_put(out, "\xef\xbf\xbd", 3);
        return 3;
    }

    code = 0x10000 + ((uint32_t) (high & 0x3ff) << 10 | (low & 0x3ff));

    ch[0] = (uint8_t) (0xf0 | code >> 18);
    ch[1] = (uint8_t) (0x80 | (code >> 12 & 0x3f));
    ch[2] = (uint8_t) (0x80 | (code >> 6 & 0x3f));
    ch[3] = (uint8_t) (0x80 | (code & 0x3f));

    mesh_json_put(out, ch, 4);

    return 6;
}


static void
mesh_json_control(mesh_json_out_t *out, uint8_t ch)
{
    char  text[6];

    switch (ch) {

    case '\n':
        mesh_json_put(out, "\\n", 2);
        return;

    case '\r':
        mesh_json_put(out, "\\r", 2);
        return;

    case '\t':
        mesh_json_put(out, "\\t", 2);
        return;
    }

    memcpy(text, "\\u00", 4);
    text[4] = "0123456789abcdef"[ch >> 4];
    text[5] = "0123456789abcdef"[ch & 0x0f];

    mesh_json_put(out, text, 6);
}


static int
mesh_json_hex4(const uint8_t *p, size_t size)
{
    int  i, n, ch;

    if (size < 4) {
        return -1;
    }

    n = 0;

    for (i = 0; i < 4; i++) {
        ch = p[i];

        if (ch >= '0' && ch <= '9') {
            ch -= '0';

        } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
            ch = (ch | 0x20) - 'a' + 10;

        } else {
            return -1;
        }

        n = n << 4 | ch;
    }

    return n;
}


static void
mesh_json_put(mesh_json_out_t *out, const void *p, size_t n)
{
    size_t  room;

    room = out->len < out->size ? out->size - out->len : 0;

    if (room > n) {
        room = n;
    }

    if (room) {
        memcpy(out->dst + out->len, p, room);
    }

    out->len += n;
}
