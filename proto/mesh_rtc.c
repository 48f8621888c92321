/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_rtc.h"


typedef enum {
    MESH_RTC_NONE = 0,
    MESH_RTC_TYPE,
    MESH_RTC_ACTION
} mesh_rtc_member_e;


static void mesh_rtc_outside(mesh_rtc_t *st, uint8_t c);
static void mesh_rtc_inside(mesh_rtc_t *st, uint8_t c);
static void mesh_rtc_put(mesh_rtc_t *st, uint32_t code);
static void mesh_rtc_string(mesh_rtc_t *st);


static const struct {
    uint8_t      member;
    const char  *value;
} mesh_rtc_values[] = {
    { MESH_RTC_TYPE,   "offer" },
    { MESH_RTC_TYPE,   "answer" },
    { MESH_RTC_TYPE,   "webrtc0" },
    { MESH_RTC_TYPE,   "webrtc1" },
    { MESH_RTC_TYPE,   "webrtc2" },
    { MESH_RTC_ACTION, "webRtcSdp" },
    { MESH_RTC_ACTION, "webRtcIce" },
    { MESH_RTC_ACTION, "rtcSwitch" },
    { MESH_RTC_NONE, NULL }
};


int
mesh_rtc_find(mesh_rtc_t *st, const uint8_t *p, size_t len)
{
    const uint8_t  *last;

    for (last = p + len; p < last && !st->other && !st->found; p++) {

        if (st->string) {
            mesh_rtc_inside(st, *p);

        } else {
            mesh_rtc_outside(st, *p);
        }
    }

    if (st->found) {
        return MESH_OK;
    }

    return st->other ? MESH_DECLINED : MESH_AGAIN;
}


static void
mesh_rtc_outside(mesh_rtc_t *st, uint8_t c)
{
    switch (c) {

    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return;

    case '{':
    case '[':

        if (st->depth == 0 && c == '[') {
            break;
        }

        if (st->depth++ == 0) {
            st->value = 0;
        }

        return;

    case '}':
    case ']':

        if (st->depth) {
            st->depth--;
            return;
        }

        break;

    case '"':
        st->string = 1;
        st->len = 0;
        break;

    case ':':

        if (st->depth == 1) {
            st->value = 1;
        }

        break;

    case ',':

        if (st->depth == 1) {
            st->value = 0;
            st->member = MESH_RTC_NONE;
        }

        break;

    default:    /* a number, true, false, null */
        break;
    }

    /* it does not begin with a bracket, or goes on behind the last one */
    if (st->depth == 0) {
        st->other = 1;
    }
}


static void
mesh_rtc_inside(mesh_rtc_t *st, uint8_t c)
{
    uint8_t  digit;

    if (st->digits) {
        digit = c | 0x20;
        digit = digit >= 'a' ? (uint8_t) (digit - 'a' + 10)
                             : (uint8_t) (c - '0');

        st->code = st->code << 4 | (digit & 15);

        if (--st->digits == 0) {
            mesh_rtc_put(st, st->code);
        }

        return;
    }

    if (st->escape) {
        st->escape = 0;

        if (c == 'u') {
            st->digits = 4;
            st->code = 0;
            return;
        }

        /* what another escape stands for is in none of the words */
        mesh_rtc_put(st, 0);
        return;
    }

    switch (c) {

    case '\\':
        st->escape = 1;
        break;

    case '"':
        st->string = 0;

        if (st->depth == 1) {
            mesh_rtc_string(st);
        }

        break;

    default:
        mesh_rtc_put(st, c);
        break;
    }
}


static void
mesh_rtc_put(mesh_rtc_t *st, uint32_t code)
{
    if (st->len < MESH_RTC_WORD) {
        st->word[st->len++] = code < 0x80 ? (char) code : '\0';
    }
}


/* one of the object's own has ended: a name or a value */
static void
mesh_rtc_string(mesh_rtc_t *st)
{
    size_t  i;

#define mesh_rtc_is(s)                                                        \
    (st->len == strlen(s) && memcmp(st->word, s, st->len) == 0)

    if (!st->value) {
        st->member = mesh_rtc_is("type") ? MESH_RTC_TYPE
                     : mesh_rtc_is("action") ? MESH_RTC_ACTION
                                             : MESH_RTC_NONE;
        return;
    }

    for (i = 0; mesh_rtc_values[i].value; i++) {
        if (st->member == mesh_rtc_values[i].member
            && mesh_rtc_is(mesh_rtc_values[i].value))
        {
            st->found = 1;
        }
    }

#undef mesh_rtc_is
}
