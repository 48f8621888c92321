/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_target.h"


typedef struct {
    mesh_target_t   net;
    unsigned        bits;
    const char     *ports;        /* to the end of the entry */
    const char     *last;
} mesh_target_entry_t;


static int mesh_target_address(mesh_target_t *t, const char *p, size_t len,
    const char **why);
static int mesh_target_v4(uint8_t *ip, const char *p, size_t len);
static int mesh_target_v6(uint8_t *ip, const char *p, size_t len);
static int mesh_target_v6_parts(uint8_t *ip, const char *p, const char *last,
    unsigned *n, unsigned *gap);
static int mesh_target_name(mesh_target_t *t, const char *p, size_t len);
static int mesh_target_inside(const uint8_t *ip);
static void mesh_target_write(mesh_target_t *t);
static char *mesh_target_digits(char *p, unsigned n, unsigned base);
static unsigned mesh_target_local(const mesh_target_t *t);
static int mesh_target_split(mesh_target_entry_t *e, const char *p,
    size_t len, const char **why);
static int mesh_target_port(const char **pos, const char *last,
    unsigned *from, unsigned *to);
static int mesh_target_number(const char **pos, const char *last,
    unsigned max, unsigned *n);
static unsigned mesh_target_same(const uint8_t *a, const uint8_t *b,
    unsigned bits);


static const char  mesh_target_why_address[] =
    "This is neither an address nor a name: write 192.168.1.20, fd00::20 or "
    "printer.example.";
static const char  mesh_target_why_port[] =
    "A port is a number from 1 to 65535.";
static const char  mesh_target_why_special[] =
    "This address names no single host.";
static const char  mesh_target_why_entry[] =
    "An entry is an address and its ports: 192.168.1.0/24:22,80 or "
    "printer.example:9100.";
static const char  mesh_target_why_bits[] =
    "The number behind / is the length of the network, at most 32 for IPv4 "
    "and 128 for IPv6.";
static const char  mesh_target_why_ports[] =
    "Ports are at most 16 numbers or ranges from 1 to 65535, as 22,80 or "
    "8000-8080, or * for all.";


int
mesh_target_parse(mesh_target_t *t, const char *text, size_t len,
    uint32_t port, const char **why)
{
    static const char  self[] = "127.0.0.1";

    if (port == 0 || port > 65535) {
        *why = mesh_target_why_port;
        return MESH_ERROR;
    }

    if (len == 0) {
        text = self;
        len = sizeof(self) - 1;
    }

    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;

        if (memchr(text, ':', len) == NULL) {
            *why = mesh_target_why_address;
            return MESH_ERROR;
        }
    }

    if (mesh_target_address(t, text, len, why) != MESH_OK) {
        return MESH_ERROR;
    }

    t->port = (uint16_t) port;

    /* 0.0.0.0 and :: reach the host itself on some systems */

    if ((t->kind == MESH_TARGET_V4 && (t->ip[0] == 0 || t->ip[0] >= 224))
        || (t->kind == MESH_TARGET_V6
            && (t->ip[0] == 0xff || mesh_target_same(t->ip, (uint8_t[16]) { 0 },
                                                     128))))
    {
        *why = mesh_target_why_special;
        return MESH_ERROR;
    }

    return MESH_OK;
}


/* of a target or a network; text and self too */
static int
mesh_target_address(mesh_target_t *t, const char *p, size_t len,
    const char **why)
{
    static const uint8_t  one[16] = { 0, 0, 0, 0, 0, 0, 0, 0,
                                      0, 0, 0, 0, 0, 0, 0, 1 };
    static const uint8_t  mapped[12] = { 0, 0, 0, 0, 0, 0,
                                         0, 0, 0, 0, 0xff, 0xff };

    memset(t, 0, sizeof(mesh_target_t));
    *why = mesh_target_why_address;

    if (len > MESH_TARGET_TEXT) {
        return MESH_ERROR;
    }

    if (len && memchr(p, ':', len)) {

        if (mesh_target_v6(t->ip, p, len) != MESH_OK) {
            return MESH_ERROR;
        }

        t->kind = MESH_TARGET_V6;

        if (memcmp(t->ip, mapped, 12) == 0) {
            memmove(t->ip, t->ip + 12, 4);
            memset(t->ip + 4, 0, 12);
            t->kind = MESH_TARGET_V4;

        } else if (memcmp(t->ip, one, 16) != 0
                   && mesh_target_inside(t->ip) != MESH_OK)
        {
            return MESH_ERROR;
        }

    } else if (mesh_target_v4(t->ip, p, len) == MESH_OK) {
        t->kind = MESH_TARGET_V4;

    } else if (mesh_target_name(t, p, len) != MESH_OK) {
        return MESH_ERROR;
    }

    t->self = (t->kind == MESH_TARGET_V4 && t->ip[0] == 127)
              || (t->kind == MESH_TARGET_V6 && memcmp(t->ip, one, 16) == 0);

    mesh_target_write(t);

    return MESH_OK;
}


static int
mesh_target_v4(uint8_t *ip, const char *p, size_t len)
{
    unsigned     i, n;
    const char  *last;

    last = p + len;

    for (i = 0; i < 4; i++) {

        if (i) {
            if (p == last || *p++ != '.') {
                return MESH_ERROR;
            }
        }

        if (mesh_target_number(&p, last, 255, &n) != MESH_OK) {
            return MESH_ERROR;
        }

        ip[i] = (uint8_t) n;
    }

    return p == last ? MESH_OK : MESH_ERROR;
}


static int
mesh_target_v6(uint8_t *ip, const char *p, size_t len)
{
    unsigned  n, gap;

    if (len < 2 || len > 45) {
        return MESH_ERROR;
    }

    memset(ip, 0, 16);

    if (mesh_target_v6_parts(ip, p, p + len, &n, &gap) != MESH_OK) {
        return MESH_ERROR;
    }

    if (gap > 8) {
        return n == 8 ? MESH_OK : MESH_ERROR;
    }

    /* "::" stands for one part at least */
    if (n == 8) {
        return MESH_ERROR;
    }

    memmove(ip + 2 * gap + 2 * (8 - n), ip + 2 * gap, 2 * (n - gap));
    memset(ip + 2 * gap, 0, 2 * (8 - n));

    return MESH_OK;
}


/* n parts as they come; gap: how many stand before "::", 9: there is none */
static int
mesh_target_v6_parts(uint8_t *ip, const char *p, const char *last,
    unsigned *n, unsigned *gap)
{
    unsigned     digits, value, digit;
    const char  *start;

    *n = 0;
    *gap = 9;

    if (p[0] == ':') {
        if (p[1] != ':') {
            return MESH_ERROR;
        }

        p++;
    }

    while (p < last) {

        if (*p == ':') {
            /* behind a part and its ':', or at the front */
            if (*gap != 9) {
                return MESH_ERROR;
            }

            *gap = *n;
            p++;
            continue;
        }

        if (*n == 8) {
            return MESH_ERROR;
        }

        start = p;
        value = 0;

        for (digits = 0; p < last && *p != ':' && *p != '.'; digits++) {

            if (*p >= '0' && *p <= '9') {
                digit = (unsigned) (*p - '0');

            } else if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f') {
                digit = (unsigned) ((*p | 0x20) - 'a') + 10;

            } else {
                return MESH_ERROR;
            }

            if (digits == 4) {
                return MESH_ERROR;
            }

            value = value << 4 | digit;
            p++;
        }

        if (p < last && *p == '.') {
            if (*n > 6
                || mesh_target_v4(ip + 2 * *n, start, (size_t) (last - start))
                   != MESH_OK)
            {
                return MESH_ERROR;
            }

            *n += 2;
            return MESH_OK;
        }

        ip[2 * *n] = (uint8_t) (value >> 8);
        ip[2 * *n + 1] = (uint8_t) value;
        (*n)++;

        if (p < last) {
            p++;

            if (p == last) {
                return MESH_ERROR;
            }
        }
    }

    return MESH_OK;
}


/* MESH_ERROR: an IPv4 address travels inside, which would not be looked at */
static int
mesh_target_inside(const uint8_t *ip)
{
    unsigned  i, compatible;

    static const uint8_t  nat64[4] = { 0x00, 0x64, 0xff, 0x9b };
    static const uint8_t  teredo[4] = { 0x20, 0x01, 0x00, 0x00 };
    static const uint8_t  isatap[3] = { 0x00, 0x5e, 0xfe };

    compatible = 1;

    for (i = 0; i < 12; i++) {
        if (ip[i]) {
            compatible = 0;
            break;
        }
    }

    if (compatible && (ip[12] || ip[13])) {
        return MESH_ERROR;
    }

    if (memcmp(ip, nat64, 4) == 0 || memcmp(ip, teredo, 4) == 0
        || (ip[0] == 0x20 && ip[1] == 0x02)
        || ((ip[8] & 0xfd) == 0 && memcmp(ip + 9, isatap, 3) == 0))
    {
        return MESH_ERROR;
    }

    return MESH_OK;
}


/* in small letters, into t->text */
static int
mesh_target_name(mesh_target_t *t, const char *p, size_t len)
{
    char      ch;
    size_t    i, label;

    if (len && p[len - 1] == '.') {
        len--;
    }

    if (len == 0) {
        return MESH_ERROR;
    }

    label = 0;

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch == '.') {
            if (i == label || p[i - 1] == '-') {
                return MESH_ERROR;
            }

            label = i + 1;
            continue;
        }

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (!(ch >= 'a' && ch <= 'z') && !(ch >= '0' && ch <= '9')
            && !((ch == '-' || ch == '_') && i > label)
            && !(ch == '_' && i == label))
        {
            return MESH_ERROR;
        }

        if (i - label == 63) {
            return MESH_ERROR;
        }
    }

    /* 127.1, 0x7f000001, 2130706433: what resolvers read as an address */

    if (label == len || p[len - 1] == '-'
        || (p[label] >= '0' && p[label] <= '9'))
    {
        return MESH_ERROR;
    }

    for (i = 0; i < len; i++) {
        t->text[i] = (p[i] >= 'A' && p[i] <= 'Z') ? (char) (p[i] | 0x20)
                                                  : p[i];
    }

    t->kind = MESH_TARGET_NAME;
    t->len = len;

    if (len == 9 && memcmp(t->text, "localhost", 9) == 0) {
        memset(t->text, 0, sizeof(t->text));
        t->kind = MESH_TARGET_V4;
        t->ip[0] = 127;
        t->ip[3] = 1;
    }

    return MESH_OK;
}


static void
mesh_target_write(mesh_target_t *t)
{
    char      *p;
    unsigned   i, run, best, length;

    if (t->kind == MESH_TARGET_NAME) {
        return;
    }

    p = t->text;

    if (t->kind == MESH_TARGET_V4) {

        for (i = 0; i < 4; i++) {
            if (i) {
                *p++ = '.';
            }

            p = mesh_target_digits(p, t->ip[i], 10);
        }

        t->len = (size_t) (p - t->text);
        return;
    }

    /* RFC 5952: the first of the longest runs of two zeros or more */

    best = 8;
    length = 1;

    for (i = 0; i < 8; i++) {
        for (run = 0; i + run < 8 && mesh_get16(t->ip + 2 * (i + run)) == 0;
             run++) { /* void */ }

        if (run > length) {
            best = i;
            length = run;
        }

        if (run) {
            i += run - 1;
        }
    }

    for (i = 0; i < 8; i++) {

        if (i == best) {
            *p++ = ':';
            *p++ = ':';
            i += length - 1;
            continue;
        }

        if (i && i != best + length) {
            *p++ = ':';
        }

        p = mesh_target_digits(p, mesh_get16(t->ip + 2 * i), 16);
    }

    t->len = (size_t) (p - t->text);
}


static char *
mesh_target_digits(char *p, unsigned n, unsigned base)
{
    unsigned  d;

    d = 1;

    while (n / d >= base) {
        d *= base;
    }

    for ( /* void */ ; d; d /= base) {
        *p++ = "0123456789abcdef"[n / d % base];
    }

    return p;
}


int
mesh_target_entry(const char *entry, size_t len, const char **why)
{
    unsigned              n, from, to;
    const char           *p;
    mesh_target_entry_t   e;

    if (mesh_target_split(&e, entry, len, why) != MESH_OK) {
        return MESH_ERROR;
    }

    p = e.ports;

    if (e.last - p == 1 && *p == '*') {
        return MESH_OK;
    }

    *why = mesh_target_why_ports;

    for (n = 0; n < MESH_TARGET_PORTS; n++) {

        if (mesh_target_port(&p, e.last, &from, &to) != MESH_OK) {
            return MESH_ERROR;
        }

        if (p == e.last) {
            return MESH_OK;
        }
    }

    return MESH_ERROR;
}


int
mesh_target_match(const mesh_target_t *t, const char *entry, size_t len)
{
    unsigned              from, to;
    const char           *p, *why;
    mesh_target_entry_t   e;

    if (mesh_target_entry(entry, len, &why) != MESH_OK
        || mesh_target_split(&e, entry, len, &why) != MESH_OK
        || t->kind != e.net.kind)
    {
        return MESH_DECLINED;
    }

    if (t->kind == MESH_TARGET_NAME) {
        if (t->len != e.net.len || memcmp(t->text, e.net.text, t->len) != 0) {
            return MESH_DECLINED;
        }

    } else if (!mesh_target_same(t->ip, e.net.ip, e.bits)) {
        return MESH_DECLINED;
    }

    /* metadata services live there: only who names the network means it */

    if (mesh_target_local(t)
        && (!mesh_target_local(&e.net)
            || e.bits < (t->kind == MESH_TARGET_V4 ? 16 : 10)))
    {
        return MESH_DECLINED;
    }

    p = e.ports;

    if (*p == '*') {
        return MESH_OK;
    }

    while (p < e.last && mesh_target_port(&p, e.last, &from, &to) == MESH_OK) {
        if (t->port >= from && t->port <= to) {
            return MESH_OK;
        }
    }

    return MESH_DECLINED;
}


static unsigned
mesh_target_local(const mesh_target_t *t)
{
    return (t->kind == MESH_TARGET_V4 && t->ip[0] == 169 && t->ip[1] == 254)
           || (t->kind == MESH_TARGET_V6 && t->ip[0] == 0xfe
               && (t->ip[1] & 0xc0) == 0x80);
}


static int
mesh_target_split(mesh_target_entry_t *e, const char *p, size_t len,
    const char **why)
{
    size_t       n;
    unsigned     max;
    const char  *address, *end;

    *why = mesh_target_why_entry;

    if (len == 0 || len > MESH_TARGET_ENTRY) {
        return MESH_ERROR;
    }

    e->last = p + len;

    if (*p == '[') {
        address = p + 1;
        end = memchr(p, ']', len);

        if (end == NULL || memchr(address, ':', (size_t) (end - address))
                           == NULL)
        {
            return MESH_ERROR;
        }

        p = end + 1;

    } else {
        address = p;

        while (p < e->last && *p != '/' && *p != ':') {
            p++;
        }

        end = p;
    }

    n = (size_t) (end - address);

    if (mesh_target_address(&e->net, address, n, why) != MESH_OK) {
        return MESH_ERROR;
    }

    *why = mesh_target_why_entry;

    max = e->net.kind == MESH_TARGET_V4 ? 32
          : e->net.kind == MESH_TARGET_V6 ? 128 : 0;
    e->bits = max;

    if (p < e->last && *p == '/') {
        p++;
        *why = mesh_target_why_bits;

        if (max == 0 || mesh_target_number(&p, e->last, max, &e->bits)
                        != MESH_OK)
        {
            return MESH_ERROR;
        }

        *why = mesh_target_why_entry;
    }

    if (p == e->last || *p++ != ':' || p == e->last) {
        return MESH_ERROR;
    }

    e->ports = p;

    return MESH_OK;
}


/* "22" or "8000-8080", and the comma behind it, which another must follow */
static int
mesh_target_port(const char **pos, const char *last, unsigned *from,
    unsigned *to)
{
    const char  *p;

    p = *pos;

    if (mesh_target_number(&p, last, 65535, from) != MESH_OK || *from == 0) {
        return MESH_ERROR;
    }

    *to = *from;

    if (p < last && *p == '-') {
        p++;

        if (mesh_target_number(&p, last, 65535, to) != MESH_OK
            || *to < *from)
        {
            return MESH_ERROR;
        }
    }

    if (p < last) {
        if (*p++ != ',' || p == last) {
            return MESH_ERROR;
        }
    }

    *pos = p;

    return MESH_OK;
}


/* decimal, without zeros in front, which some read as octal */
static int
mesh_target_number(const char **pos, const char *last, unsigned max,
    unsigned *n)
{
    const char  *p;

    *n = 0;

    for (p = *pos; p < last && *p >= '0' && *p <= '9'; p++) {

        if (p > *pos && *n == 0) {
            return MESH_ERROR;
        }

        *n = *n * 10 + (unsigned) (*p - '0');

        if (*n > max) {
            return MESH_ERROR;
        }
    }

    if (p == *pos) {
        return MESH_ERROR;
    }

    *pos = p;

    return MESH_OK;
}


static unsigned
mesh_target_same(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned  whole, rest;

    whole = bits / 8;
    rest = bits % 8;

    return memcmp(a, b, whole) == 0
           && (rest == 0
               || ((unsigned) (a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}
