/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_kvm_cache.h"
#include "tap.h"


#define JPEG  21        /* bytes of its head, as jpeg() makes it */


static size_t
jpeg(uint8_t *p, uint16_t w, uint16_t h)
{
    static const uint8_t  head[] = {
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 0, 0, 0, 3
    };

    memset(p, 0, JPEG);
    memcpy(p, head, sizeof(head));
    mesh_put16(p + 7, h);
    mesh_put16(p + 9, w);

    return JPEG;
}


/* *grid is the cache's until the next one */
static void
screen(mesh_kvm_cache_t *c, uint16_t w, uint16_t h)
{
    mesh_kvm_tile_t  **old;

    old = c->grid;
    mesh_kvm_cache_screen(c, w, h, calloc(mesh_kvm_cache_cells(w, h),
                                          sizeof(mesh_kvm_tile_t *)));
    free(old);
}


static void
tile_free(mesh_kvm_tile_t *t)
{
    free(t->packet);
    free(t);
}


/* how many are dropped, which are freed */
static size_t
dropped(mesh_kvm_cache_t *c)
{
    size_t            n;
    mesh_kvm_tile_t  *t;

    for (n = 0; (t = c->dropped) != NULL; n++) {
        c->dropped = t->next;
        tile_free(t);
    }

    return n;
}


static mesh_kvm_tile_t *
add_bytes(mesh_kvm_cache_t *c, const uint8_t *packet, size_t len)
{
    mesh_kvm_tile_t  *t;

    t = calloc(1, sizeof(mesh_kvm_tile_t));
    t->packet = malloc(len ? len : 1);
    memcpy(t->packet, packet, len);
    t->size = len;

    if (mesh_kvm_cache_add(c, t) == MESH_OK) {
        return t;
    }

    tile_free(t);

    return NULL;
}


static mesh_kvm_tile_t *
add(mesh_kvm_cache_t *c, uint16_t x, uint16_t y, uint16_t w, uint16_t h)
{
    size_t   n;
    uint8_t  p[MESH_KVM_TILE_HEAD + JPEG];

    n = mesh_kvm_write_tile(p, x, y, JPEG);

    return add_bytes(c, p, n + jpeg(p + n, w, h));
}


static size_t
count(mesh_kvm_cache_t *c)
{
    size_t            n;
    mesh_kvm_tile_t  *t;

    for (n = 0, t = c->oldest; t; t = t->next) {
        n++;
    }

    return n;
}


static void
empty(mesh_kvm_cache_t *c)
{
    mesh_kvm_cache_shrink(c, 0);
    (void) dropped(c);
    free(c->grid);
    memset(c, 0, sizeof(mesh_kvm_cache_t));
}


/* each shorter front of an image has no size */
static void
image(const char *name, const uint8_t *p, size_t len, size_t need, uint32_t w,
    uint32_t h)
{
    int       good;
    size_t    n;
    uint8_t  *copy;
    uint32_t  got_w, got_h;

    good = 1;

    for (n = 0; n <= len; n++) {
        copy = tap_copy(p, n);
        got_w = got_h = 0;

        if (n < need) {
            good &= mesh_kvm_image_size(copy, n, &got_w, &got_h)
                    == MESH_ERROR;
        } else {
            good &= mesh_kvm_image_size(copy, n, &got_w, &got_h) == MESH_OK
                    && got_w == w && got_h == h;
        }

        free(copy);
    }

    ok(good, "%s: %ux%u, cut at every byte", name, w, h);
}


static void
images(void)
{
    uint8_t   p[64];
    uint32_t  w, h;
    static const uint8_t  png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
                                  "\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
    static const uint8_t  vp8[] = "RIFF\0\0\0\0WEBPVP8 \0\0\0\0"
                                  "\x10\0\0\x9d\x01\x2a\x80\x02\xe0\x01";
    static const uint8_t  vp8l[] = "RIFF\0\0\0\0WEBPVP8L\0\0\0\0"
                                   "\x2f\x7f\xc2\x77\x00\0\0\0\0\0\0\0\0";
    static const uint8_t  vp8x[] = "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0"
                                   "\0\0\0\0\x7f\x02\0\xdf\x01\0";
    static const uint8_t  app[] = "\xff\xd8\xff\xe0\0\x04" "ab\xff\xff\xc2\0\x11"
                                  "\x08\x01\xe0\x02\x80\x03";
    static const uint8_t  scan[] = "\xff\xd8\xff\xda\0\x04" "ab\xff\xc0\0\x11"
                                   "\x08\x01\xe0\x02\x80\x03";

    (void) jpeg(p, 640, 480);
    image("JPEG", p, JPEG, 11, 640, 480);
    image("JPEG with a part before it and filling", app, sizeof(app) - 1, 18,
          640, 480);
    image("PNG", png, sizeof(png) - 1, 24, 640, 480);
    image("WebP", vp8, sizeof(vp8) - 1, 30, 640, 480);
    image("WebP without loss", vp8l, 30, 30, 640, 480);
    image("WebP with more", vp8x, 30, 30, 640, 480);

    ok(mesh_kvm_image_size(scan, sizeof(scan) - 1, &w, &h) == MESH_ERROR,
       "a JPEG whose data begins before its size has none");
    (void) jpeg(p, 0, 480);
    ok(mesh_kvm_image_size(p, JPEG, &w, &h) == MESH_ERROR,
       "nor has one without a width");
    ok(mesh_kvm_image_size((const uint8_t *) "BM                        ", 26,
                           &w, &h) == MESH_ERROR,
       "another kind of image has none");
}


/* a tile is none at every length but its own */
static void
cuts(void)
{
    int               good;
    size_t            n, len;
    uint8_t           p[64];
    mesh_kvm_cache_t  c;

    memset(&c, 0, sizeof(c));
    ok(add(&c, 0, 0, 32, 32) == NULL, "a tile before the size is none");

    screen(&c, 640, 480);

    len = mesh_kvm_write_tile(p, 32, 64, JPEG);
    len += jpeg(p + len, 64, 32);
    good = 1;

    for (n = 0; n < len; n++) {
        good &= add_bytes(&c, p, n) == NULL;
    }

    ok(good, "a tile, cut at every byte, is none");
    ok(add_bytes(&c, p, len) != NULL, "whole it is one");

    /* the same as a jumbo */
    memmove(p + 8, p, len);
    mesh_put16(mesh_put16(p, MESH_KVM_JUMBO), 8);
    mesh_put32(p + 4, (uint32_t) len);
    mesh_put16(p + 10, 0);
    good = 1;

    for (n = 0; n < len + 8; n++) {
        good &= add_bytes(&c, p, n) == NULL;
    }

    ok(good, "a long one, cut at every byte, is none");
    ok(add_bytes(&c, p, len + 8) != NULL, "whole it is one");
    ok(dropped(&c) == 1, "and covers the former");

    ok(add(&c, 640, 0, 32, 32) == NULL && add(&c, 0, 480, 32, 32) == NULL,
       "beside the screen there is none");
    ok(add(&c, 608, 448, 64, 64) != NULL && c.newest->right == 640
       && c.newest->bottom == 480, "one over the edge is clipped");

    empty(&c);
}


static void
cover(void)
{
    mesh_kvm_cache_t   c;
    mesh_kvm_view_t    v, late;
    mesh_kvm_tile_t   *a, *b, *d;

    memset(&c, 0, sizeof(c));
    memset(&v, 0, sizeof(v));
    memset(&late, 0, sizeof(late));

    screen(&c, 650, 490);
    mesh_kvm_view_join(&c, &v);
    ok(v.screen && v.tile == NULL, "a viewer begins with the size");

    a = add(&c, 0, 0, 650, 490);
    b = add(&c, 64, 64, 64, 64);
    ok(dropped(&c) == 0 && count(&c) == 2, "what is covered in part stays");
    ok(mesh_kvm_view_next(&v) == a && mesh_kvm_view_next(&v) == b
       && mesh_kvm_view_next(&v) == NULL, "a viewer gets them by age");

    d = add(&c, 64, 64, 64, 64);
    ok(c.dropped == b && dropped(&c) == 1, "what is covered whole is dropped");
    (void) add(&c, 128, 64, 64, 64);
    ok(mesh_kvm_view_next(&v) == d, "a viewer goes on behind it");

    b = add(&c, 64, 64, 128, 64);
    ok(dropped(&c) == 2, "two are covered by one");
    ok(mesh_kvm_view_next(&v) == b && mesh_kvm_view_next(&v) == NULL,
       "a slow viewer gets the newer one only");

    mesh_kvm_view_join(&c, &late);
    ok(late.screen && mesh_kvm_view_next(&late) == a
       && mesh_kvm_view_next(&late) == b, "who comes late gets what is seen");
    mesh_kvm_view_rewind(&c, &v);
    ok(v.screen && v.tile == a, "so does who begins again");

    /* halves at the edge, whose cells end with the screen */
    (void) add(&c, 0, 0, 320, 512);
    (void) add(&c, 320, 0, 352, 512);
    ok(dropped(&c) == 2 && count(&c) == 2, "tiles over the edge cover all");
    ok(v.tile == c.oldest, "viewers are moved on");

    v.screen = 0;
    screen(&c, 320, 200);
    ok(dropped(&c) == 2 && c.oldest == NULL && c.newest == NULL
       && c.bytes == 0, "another size drops all");
    ok(v.screen && late.screen && v.tile == NULL, "and all begin again");

    mesh_kvm_view_leave(&c, &v);
    (void) add(&c, 0, 0, 32, 32);
    ok(v.tile == NULL && late.tile == c.oldest, "who has left gets none");

    empty(&c);
}


/* what ends within a cell */
static void
loose(void)
{
    unsigned          i;
    mesh_kvm_cache_t  c;

    memset(&c, 0, sizeof(c));
    screen(&c, 640, 480);

    (void) add(&c, 3, 5, 20, 20);
    (void) add(&c, 0, 0, 16, 16);
    (void) add(&c, 16, 0, 16, 16);
    (void) add(&c, 16, 16, 16, 16);
    ok(dropped(&c) == 0, "what no single tile covers stays");
    (void) add(&c, 0, 0, 32, 32);
    ok(dropped(&c) == 4 && c.nloose == 0, "one that covers it drops it");

    for (i = 0; i < 3 * MESH_KVM_CACHE_LOOSE; i++) {
        (void) add(&c, (uint16_t) (1 + i % 600), 65, 7, 7);
    }

    (void) dropped(&c);
    ok(c.nloose <= MESH_KVM_CACHE_LOOSE
       && count(&c) <= MESH_KVM_CACHE_LOOSE + 1, "S-18: they are bounded");
    ok(c.holes, "and the picture says that it has holes");

    empty(&c);
}


static void
bounds(void)
{
    uint64_t          work;
    unsigned          i;
    mesh_kvm_view_t   v, fresh;
    mesh_kvm_cache_t  c;

    memset(&c, 0, sizeof(c));
    memset(&v, 0, sizeof(v));
    memset(&fresh, 0, sizeof(fresh));

    ok(mesh_kvm_cache_cells(65535, 65535) <= MESH_KVM_CACHE_CELLS
       && mesh_kvm_cache_cells(65535, 1) <= MESH_KVM_CACHE_CELLS
       && mesh_kvm_cache_cells(1920, 1080) == 120 * 68,
       "S-18: a grid is bounded, whatever the screen");
    ok(mesh_kvm_cache_cells(0, 100) == 0, "no width, no grid");

    screen(&c, 65535, 65535);
    (void) add(&c, 0, 0, 65535, 65535);
    work = c.work;
    (void) add(&c, 0, 0, 65535, 65535);
    ok(dropped(&c) == 1 && c.work - work <= MESH_KVM_CACHE_CELLS + 1,
       "S-18: so is the work of one tile");

    screen(&c, 640, 480);
    (void) dropped(&c);
    mesh_kvm_view_join(&c, &v);

    for (i = 0; i < 100; i++) {
        (void) add(&c, (uint16_t) (i % 20 * 32), (uint16_t) (i / 20 * 32), 32,
                   32);
        (void) mesh_kvm_view_next(&v);
    }

    mesh_kvm_cache_shrink(&c, c.bytes / 2);
    ok(dropped(&c) == 50 && count(&c) == 50 && c.holes && !c.missed,
       "S-18: to a bound the oldest go, which all have seen");
    mesh_kvm_view_join(&c, &fresh);
    mesh_kvm_cache_shrink(&c, c.bytes / 2);
    ok(dropped(&c) == 25 && c.missed, "or one is told to have missed some");
    ok(fresh.tile == c.oldest, "and goes on behind them");
    (void) add(&c, 0, 0, 640, 480);
    ok(dropped(&c) == 25 && count(&c) == 1,
       "their cells are free: a whole picture is one tile");

    mesh_kvm_cache_shrink(&c, 0);
    ok(dropped(&c) == 1 && c.bytes == 0 && c.oldest == NULL
       && v.tile == NULL, "the bound may be nothing");

    empty(&c);
}


int
main(void)
{
    images();
    cuts();
    cover();
    loose();
    bounds();

    return tap_done();
}
