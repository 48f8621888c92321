/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Desktop packets, both ways, as an agent makes and takes them:
 *
 *   u16 command | u16 size, of all of it | payload
 *
 * and, where that is more than 65500 bytes, within another one ("jumbo"):
 *
 *   u16 27 | u16 8 | u32 n | u16 command | u16 0 | payload; n from "command" on
 *
 * Source: protocol/session.md 5.
 */

#ifndef MESH_KVM_PACKET_H_INCLUDED
#define MESH_KVM_PACKET_H_INCLUDED


#include "mesh_kvm.h"


#define MESH_KVM_NOP            0
#define MESH_KVM_TILE           3
#define MESH_KVM_COPY           4
#define MESH_KVM_SIZE           7
#define MESH_KVM_MESSAGE        17
#define MESH_KVM_LEDS           18
#define MESH_KVM_JUMBO          27
#define MESH_KVM_ALERT          65
#define MESH_KVM_GEOMETRY       82
#define MESH_KVM_CURSOR         88

/* from the agent to the program that captures, never on a wire */
#define MESH_KVM_HELLO          0x100   /* a viewer came: all from the start */
#define MESH_KVM_RELEASE        0x101   /* a viewer went: no key stays down */

#define MESH_KVM_KEY_DOWN       0
#define MESH_KVM_KEY_UP         1
#define MESH_KVM_KEY_EXT_UP     3
#define MESH_KVM_KEY_EXT_DOWN   4

#define MESH_KVM_LEFT           0x02    /* down; the bit above it is up */
#define MESH_KVM_RIGHT          0x08
#define MESH_KVM_MIDDLE         0x20
#define MESH_KVM_DOUBLE         0x88

#define MESH_KVM_NUM_LOCK       1
#define MESH_KVM_SCROLL_LOCK    2
#define MESH_KVM_CAPS_LOCK      4

#define MESH_KVM_ALL            65535   /* displays */
#define MESH_KVM_SCALE_FULL     1024

#define MESH_KVM_HEAD           4
#define MESH_KVM_TILE_HEAD      16      /* at most */
#define MESH_KVM_JUMBO_FROM     65500   /* bytes of an image */
#define MESH_KVM_MAX_OUTPUT     (8 * 1024 * 1024)     /* of our own agent's */
#define MESH_KVM_MAX_TEXT       1024
#define MESH_KVM_MAX_DISPLAYS   32


typedef struct {
    uint16_t        cmd;        /* the inner one of a jumbo */
    size_t          len;        /* payload */
    const uint8_t  *data;       /* borrowed from buf */
    size_t          size;       /* of the whole packet */
} mesh_kvm_packet_t;

typedef struct {
    uint16_t        cmd;

    union {
        struct {                /* 1 */
            uint8_t   action;   /* MESH_KVM_KEY_... */
            uint8_t   vk;
        } key;

        struct {                /* 2 */
            uint8_t   buttons;
            uint16_t  x;
            uint16_t  y;
            int       wheel;    /* 0: it did not turn */
        } mouse;

        struct {                /* 5; 0: leave it as it is */
            uint8_t   quality;  /* 1 to 100 */
            uint16_t  scaling;  /* 64 to 4096 */
            uint16_t  interval; /* 20 to 5000 ms */
        } compression;

        struct {                /* 85 */
            uint8_t   action;
            uint16_t  code;     /* of UTF-16 */
        } unicode;

        uint8_t       pause;    /* 8 */
        uint16_t      display;  /* 12 */
        uint16_t      interval; /* 13; 0: leave it as it is */
    } u;
} mesh_kvm_event_t;

typedef struct {
    uint16_t        id;
    int16_t         x;
    int16_t         y;
    uint16_t        w;
    uint16_t        h;
} mesh_kvm_display_t;


/*
 * Reads one packet from the front of buf, of at most max bytes in all.  Keeps
 * nothing between calls: call again with the same bytes and more of them.
 *
 *   MESH_OK     *pkt is set; drop pkt->size bytes from the front
 *   MESH_AGAIN  buf holds the start of a packet; *pkt is untouched
 *   MESH_ERROR  shorter than its own head, longer than max, or a jumbo that is
 *               none; nothing behind it can be read
 */
int mesh_kvm_parse(mesh_kvm_packet_t *pkt, const uint8_t *buf, size_t len,
    size_t max);

/*
 * Where parse() says MESH_AGAIN: the bytes that the packet has in all, or those
 * after which that is known.  More than len.
 */
size_t mesh_kvm_need(const uint8_t *buf, size_t len);

/*
 * What a viewer wants, or the agent of its program.  Values that cannot be are
 * left out field by field, as the page expects.
 *
 *   MESH_OK        *in is set
 *   MESH_DECLINED  a number that means nothing to us; skip it
 *   MESH_ERROR     wrong in length for its number; skip it
 */
int mesh_kvm_read_input(mesh_kvm_event_t *in, const mesh_kvm_packet_t *pkt);

/* may a program that captures say this?  MESH_OK or MESH_ERROR */
int mesh_kvm_check_output(const mesh_kvm_packet_t *pkt);


/* each returns the bytes written */

/* 4 bytes; len more are to follow, at most 65531 */
size_t mesh_kvm_write_head(uint8_t *p, uint16_t cmd, size_t len);
/* 8 or 16 bytes before an image */
size_t mesh_kvm_write_tile(uint8_t *p, uint16_t x, uint16_t y, size_t len);
/* 5 bytes of 18 or 88 */
size_t mesh_kvm_write_byte(uint8_t *p, uint16_t cmd, uint8_t value);
/* 6 bytes of 12 */
size_t mesh_kvm_write_word(uint8_t *p, uint16_t cmd, uint16_t value);
/* 8 bytes of 7 */
size_t mesh_kvm_write_size(uint8_t *p, uint16_t w, uint16_t h);
/* 4 + len bytes of 17 or 65; of long ones the first MESH_KVM_MAX_TEXT bytes */
size_t mesh_kvm_write_text(uint8_t *p, uint16_t cmd, const char *text,
    size_t len);
/* 11: all of them, and each alone; n at most MESH_KVM_MAX_DISPLAYS */
size_t mesh_kvm_write_displays(uint8_t *p, const mesh_kvm_display_t *d,
    size_t n, uint16_t selected);
/* 82 */
size_t mesh_kvm_write_geometry(uint8_t *p, const mesh_kvm_display_t *d,
    size_t n);


#endif /* MESH_KVM_PACKET_H_INCLUDED */
