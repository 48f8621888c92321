/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_kvm_packet.h"


typedef struct {
    uint16_t  cmd;
    uint16_t  min;              /* bytes of payload */
    uint32_t  max;
} mesh_kvm_row_t;


static const mesh_kvm_row_t *mesh_kvm_row(const mesh_kvm_row_t *rows,
    uint16_t cmd);
static void mesh_kvm_read_mouse(mesh_kvm_event_t *in,
    const mesh_kvm_packet_t *pkt);
static void mesh_kvm_read_compression(mesh_kvm_event_t *in,
    const mesh_kvm_packet_t *pkt);
static uint16_t mesh_kvm_range(uint16_t n, uint16_t min, uint16_t max);


static const mesh_kvm_row_t  mesh_kvm_inputs[] = {
    { MESH_KVM_KEY,           2, 2 },
    { MESH_KVM_MOUSE,         6, 8 },
    { MESH_KVM_COMPRESSION,   2, 6 },
    { MESH_KVM_REFRESH,       0, 0 },
    { MESH_KVM_PAUSE,         1, 1 },
    { MESH_KVM_CTRL_ALT_DEL,  0, 0 },
    { MESH_KVM_DISPLAYS,      0, 0 },
    { MESH_KVM_DISPLAY,       2, 2 },
    { MESH_KVM_INTERVAL,      2, 2 },
    { MESH_KVM_UNICODE,       3, 3 },
    { MESH_KVM_HELLO,         0, 0 },
    { MESH_KVM_RELEASE,       0, 0 },
    { 0, 0, 0 }
};

static const mesh_kvm_row_t  mesh_kvm_outputs[] = {
    { MESH_KVM_TILE,          5, MESH_KVM_MAX_OUTPUT },
    { MESH_KVM_SIZE,          4, 4 },
    { MESH_KVM_DISPLAYS,      4, 4 + 2 * (MESH_KVM_MAX_DISPLAYS + 1) },
    { MESH_KVM_DISPLAY,       2, 2 },
    { MESH_KVM_LEDS,          1, 1 },
    { MESH_KVM_ALERT,         0, MESH_KVM_MAX_TEXT },
    { MESH_KVM_GEOMETRY,      0, 10 * MESH_KVM_MAX_DISPLAYS },
    { MESH_KVM_CURSOR,        1, 1 },
    { 0, 0, 0 }
};


int
mesh_kvm_parse(mesh_kvm_packet_t *pkt, const uint8_t *buf, size_t len,
    size_t max)
{
    size_t    size, head;
    uint16_t  cmd;

    if (len < MESH_KVM_HEAD) {
        return MESH_AGAIN;
    }

    cmd = mesh_get16(buf);
    size = mesh_get16(buf + 2);
    head = MESH_KVM_HEAD;

    if (cmd == MESH_KVM_JUMBO) {

        if (size != 8) {
            return MESH_ERROR;
        }

        if (len < 12) {
            return MESH_AGAIN;
        }

        size = mesh_get32(buf + 4);
        head = 12;

        /* before the sum: 0xffffffff must not wrap it */
        if (size < MESH_KVM_HEAD || max < 8 || size > max - 8) {
            return MESH_ERROR;
        }

        size += 8;
        cmd = mesh_get16(buf + 8);

    } else if (size < MESH_KVM_HEAD || size > max) {
        return MESH_ERROR;
    }

    if (len < size) {
        return MESH_AGAIN;
    }

    pkt->cmd = cmd;
    pkt->len = size - head;
    pkt->data = buf + head;
    pkt->size = size;

    return MESH_OK;
}


size_t
mesh_kvm_need(const uint8_t *buf, size_t len)
{
    if (len < MESH_KVM_HEAD) {
        return MESH_KVM_HEAD;
    }

    if (mesh_get16(buf) != MESH_KVM_JUMBO) {
        return mesh_get16(buf + 2);
    }

    return len < 12 ? 12 : 8 + (size_t) mesh_get32(buf + 4);
}


int
mesh_kvm_read_input(mesh_kvm_event_t *in, const mesh_kvm_packet_t *pkt)
{
    const uint8_t         *p;
    const mesh_kvm_row_t  *row;

    row = mesh_kvm_row(mesh_kvm_inputs, pkt->cmd);

    if (row == NULL) {
        return MESH_DECLINED;
    }

    if (pkt->len < row->min || pkt->len > row->max) {
        return MESH_ERROR;
    }

    memset(in, 0, sizeof(mesh_kvm_event_t));
    in->cmd = pkt->cmd;
    p = pkt->data;

    switch (pkt->cmd) {

    case MESH_KVM_KEY:
        in->u.key.action = p[0];
        in->u.key.vk = p[1];
        break;

    case MESH_KVM_MOUSE:
        mesh_kvm_read_mouse(in, pkt);
        break;

    case MESH_KVM_COMPRESSION:
        mesh_kvm_read_compression(in, pkt);
        break;

    case MESH_KVM_PAUSE:
        in->u.pause = p[0];
        break;

    case MESH_KVM_DISPLAY:
        in->u.display = mesh_get16(p);
        break;

    case MESH_KVM_INTERVAL:
        in->u.interval = mesh_kvm_range(mesh_get16(p), 20, 5000);
        break;

    case MESH_KVM_UNICODE:
        in->u.unicode.action = p[0];
        in->u.unicode.code = mesh_get16(p + 1);
        break;

    default:
        break;
    }

    return MESH_OK;
}


static void
mesh_kvm_read_mouse(mesh_kvm_event_t *in, const mesh_kvm_packet_t *pkt)
{
    const uint8_t  *p = pkt->data;

    in->u.mouse.buttons = p[1];
    in->u.mouse.x = mesh_get16(p + 2);
    in->u.mouse.y = mesh_get16(p + 4);

    if (pkt->len == 8) {
        in->u.mouse.wheel = (int16_t) mesh_get16(p + 6);
    }
}


/* the two short forms end before the scaling, or before the interval */
static void
mesh_kvm_read_compression(mesh_kvm_event_t *in, const mesh_kvm_packet_t *pkt)
{
    const uint8_t  *p = pkt->data;

    in->u.compression.quality = (uint8_t) mesh_kvm_range(p[1], 1, 100);

    if (pkt->len >= 4) {
        in->u.compression.scaling = mesh_kvm_range(mesh_get16(p + 2), 64,
                                                   4096);
    }

    if (pkt->len >= 6) {
        in->u.compression.interval = mesh_kvm_range(mesh_get16(p + 4), 20,
                                                    5000);
    }
}


static uint16_t
mesh_kvm_range(uint16_t n, uint16_t min, uint16_t max)
{
    return n >= min && n <= max ? n : 0;
}


int
mesh_kvm_check_output(const mesh_kvm_packet_t *pkt)
{
    const mesh_kvm_row_t  *row;

    row = mesh_kvm_row(mesh_kvm_outputs, pkt->cmd);

    if (row == NULL || pkt->len < row->min || pkt->len > row->max) {
        return MESH_ERROR;
    }

    switch (pkt->cmd) {

    case MESH_KVM_DISPLAYS:
        return pkt->len == 4 + 2 * (size_t) mesh_get16(pkt->data)
               ? MESH_OK : MESH_ERROR;

    case MESH_KVM_GEOMETRY:
        return pkt->len % 10 == 0 ? MESH_OK : MESH_ERROR;

    default:
        return MESH_OK;
    }
}


static const mesh_kvm_row_t *
mesh_kvm_row(const mesh_kvm_row_t *rows, uint16_t cmd)
{
    for ( /* void */ ; rows->cmd != 0; rows++) {
        if (rows->cmd == cmd) {
            return rows;
        }
    }

    return NULL;
}


size_t
mesh_kvm_write_head(uint8_t *p, uint16_t cmd, size_t len)
{
    p = mesh_put16(p, cmd);
    mesh_put16(p, (uint16_t) (MESH_KVM_HEAD + len));

    return MESH_KVM_HEAD;
}


size_t
mesh_kvm_write_tile(uint8_t *p, uint16_t x, uint16_t y, size_t len)
{
    size_t  n;

    if (len > MESH_KVM_JUMBO_FROM) {
        p += mesh_kvm_write_head(p, MESH_KVM_JUMBO, 4);
        p = mesh_put32(p, (uint32_t) (8 + len));
        p = mesh_put16(p, MESH_KVM_TILE);
        p = mesh_put16(p, 0);
        n = 16;

    } else {
        p += mesh_kvm_write_head(p, MESH_KVM_TILE, 4 + len);
        n = 8;
    }

    p = mesh_put16(p, x);
    mesh_put16(p, y);

    return n;
}


size_t
mesh_kvm_write_byte(uint8_t *p, uint16_t cmd, uint8_t value)
{
    mesh_kvm_write_head(p, cmd, 1);
    p[MESH_KVM_HEAD] = value;

    return MESH_KVM_HEAD + 1;
}


size_t
mesh_kvm_write_word(uint8_t *p, uint16_t cmd, uint16_t value)
{
    mesh_put16(p + mesh_kvm_write_head(p, cmd, 2), value);

    return MESH_KVM_HEAD + 2;
}


size_t
mesh_kvm_write_size(uint8_t *p, uint16_t w, uint16_t h)
{
    p += mesh_kvm_write_head(p, MESH_KVM_SIZE, 4);
    mesh_put16(mesh_put16(p, w), h);

    return MESH_KVM_HEAD + 4;
}


size_t
mesh_kvm_write_text(uint8_t *p, uint16_t cmd, const char *text, size_t len)
{
    if (len > MESH_KVM_MAX_TEXT) {
        len = MESH_KVM_MAX_TEXT;
    }

    memcpy(p + mesh_kvm_write_head(p, cmd, len), text, len);

    return MESH_KVM_HEAD + len;
}


size_t
mesh_kvm_write_displays(uint8_t *p, const mesh_kvm_display_t *d, size_t n,
    uint16_t selected)
{
    size_t  i;

    p += mesh_kvm_write_head(p, MESH_KVM_DISPLAYS, 4 + 2 * (n + 1));
    p = mesh_put16(p, (uint16_t) (n + 1));
    p = mesh_put16(p, MESH_KVM_ALL);

    for (i = 0; i < n; i++) {
        p = mesh_put16(p, d[i].id);
    }

    mesh_put16(p, selected);

    return MESH_KVM_HEAD + 4 + 2 * (n + 1);
}


size_t
mesh_kvm_write_geometry(uint8_t *p, const mesh_kvm_display_t *d, size_t n)
{
    size_t  i;

    p += mesh_kvm_write_head(p, MESH_KVM_GEOMETRY, 10 * n);

    for (i = 0; i < n; i++) {
        p = mesh_put16(p, d[i].id);
        p = mesh_put16(p, (uint16_t) d[i].x);
        p = mesh_put16(p, (uint16_t) d[i].y);
        p = mesh_put16(p, d[i].w);
        p = mesh_put16(p, d[i].h);
    }

    return MESH_KVM_HEAD + 10 * n;
}
