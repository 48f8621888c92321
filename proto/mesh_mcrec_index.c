/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_mcrec_index.h"


#define MESH_MCREC_INDEX_OVERRUN  32    /* pixels that a tile may go over */


typedef struct {
    char    *buf;
    size_t   size, len;
} mesh_mcrec_text_t;


static void mesh_mcrec_index_place(mesh_mcrec_index_t *ix, uint64_t at);
static void mesh_mcrec_index_thin(mesh_mcrec_index_t *ix);
static void mesh_mcrec_index_packet(mesh_mcrec_index_t *ix, uint64_t at,
    uint64_t size, const uint8_t *head, size_t len);
static void mesh_mcrec_index_screen(mesh_mcrec_index_t *ix, uint16_t width,
    uint16_t height);
static void mesh_mcrec_index_tile(mesh_mcrec_index_t *ix, uint64_t at,
    const uint8_t *p, size_t len);
static void mesh_mcrec_index_dropped(mesh_mcrec_index_t *ix);
static void mesh_mcrec_index_text(mesh_mcrec_text_t *t, const char *text);
static void mesh_mcrec_index_number(mesh_mcrec_text_t *t, uint64_t n);


void
mesh_mcrec_index_block(mesh_mcrec_index_t *ix, uint64_t at,
    const mesh_mcrec_block_t *b, const uint8_t *head, size_t len)
{
    if (ix->none || b->type != MESH_MCREC_DATA) {
        return;
    }

    if (!ix->begun) {
        ix->begun = 1;
        ix->first = at;
        ix->start = b->time;
        ix->interval = MESH_MCREC_INDEX_MS;
    }

    while (b->time >= ix->start + ix->interval * (ix->places + 1)) {
        mesh_mcrec_index_place(ix, at);
    }

    if (b->flags == MESH_MCREC_BINARY && b->size >= MESH_KVM_HEAD) {
        mesh_mcrec_index_packet(ix, at, b->size, head, len);
    }
}


/* what is seen before the block at at */
static void
mesh_mcrec_index_place(mesh_mcrec_index_t *ix, uint64_t at)
{
    size_t            from;
    mesh_kvm_tile_t  *tile;

    if (MESH_MCREC_INDEX_NUMBERS - ix->n < MESH_MCREC_INDEX_TILES + 4) {
        mesh_mcrec_index_thin(ix);
        return;
    }

    from = ix->n++;
    ix->numbers[ix->n++] = at - ix->first;
    ix->numbers[ix->n++] = ix->cache.width;
    ix->numbers[ix->n++] = ix->cache.height;

    for (tile = ix->cache.oldest; tile; tile = tile->next) {
        ix->numbers[ix->n++] = ((mesh_mcrec_tile_t *) tile)->at - ix->first;
    }

    ix->numbers[from] = ix->n - from - 1;
    ix->places++;
}


static void
mesh_mcrec_index_thin(mesh_mcrec_index_t *ix)
{
    size_t  i, from, size, n;

    from = 0;
    n = 0;

    for (i = 0; i < ix->places; i++) {
        size = (size_t) ix->numbers[from] + 1;

        if (i % 2) {
            memmove(ix->numbers + n, ix->numbers + from,
                    size * sizeof(uint64_t));
            n += size;
        }

        from += size;
    }

    ix->n = n;
    ix->places /= 2;
    ix->interval *= 2;
}


static void
mesh_mcrec_index_packet(mesh_mcrec_index_t *ix, uint64_t at, uint64_t size,
    const uint8_t *head, size_t len)
{
    size_t    inner;
    uint16_t  cmd;
    uint64_t  n;

    if (len < MESH_KVM_HEAD) {
        ix->cut = 1;
        return;
    }

    inner = 0;
    cmd = mesh_get16(head);
    n = mesh_get16(head + 2);

    if (cmd == MESH_KVM_JUMBO && len >= 12) {
        inner = 8;
        cmd = mesh_get16(head + 8);
        n = 8 + (uint64_t) mesh_get32(head + 4);
    }

    /* places are those of messages: a packet must be one, but for the last */
    if (ix->cut || cmd == MESH_KVM_COPY) {
        ix->none = 1;
        return;
    }

    if (n != size) {
        ix->cut = 1;
        return;
    }

    head += inner;
    len -= inner;

    if (cmd == MESH_KVM_SIZE && len >= 8) {
        mesh_mcrec_index_screen(ix, mesh_get16(head + 4),
                                mesh_get16(head + 6));

    } else if (cmd == MESH_KVM_TILE && len > 8) {
        mesh_mcrec_index_tile(ix, at, head, len);
    }
}


static void
mesh_mcrec_index_screen(mesh_mcrec_index_t *ix, uint16_t width,
    uint16_t height)
{
    /* one that is said again changes nothing */
    if (width == ix->cache.width && height == ix->cache.height) {
        return;
    }

    memset(ix->grid, 0, mesh_kvm_cache_cells(width, height)
                        * sizeof(mesh_kvm_tile_t *));

    mesh_kvm_cache_screen(&ix->cache, width, height, ix->grid);
    mesh_mcrec_index_dropped(ix);
}


static void
mesh_mcrec_index_tile(mesh_mcrec_index_t *ix, uint64_t at, const uint8_t *p,
    size_t len)
{
    uint8_t             buf[MESH_MCREC_INDEX_HEAD];
    uint32_t            w, h, x, y;
    mesh_mcrec_tile_t  *t;

    x = mesh_get16(p + 4);
    y = mesh_get16(p + 6);

    if (mesh_kvm_image_size(p + 8, len - 8, &w, &h) != MESH_OK) {
        ix->none = 1;
        return;
    }

    /* no player draws it */
    if (x >= ix->cache.width || y >= ix->cache.height
        || w >= ix->cache.width - x + MESH_MCREC_INDEX_OVERRUN
        || h >= ix->cache.height - y + MESH_MCREC_INDEX_OVERRUN)
    {
        return;
    }

    if (ix->spare) {
        t = (mesh_mcrec_tile_t *) ix->spare;
        ix->spare = t->tile.next;
        memset(t, 0, sizeof(mesh_mcrec_tile_t));

    } else if (ix->used < MESH_MCREC_INDEX_TILES) {
        t = &ix->tiles[ix->used++];

    } else {
        ix->none = 1;
        return;
    }

    /* its head is all that the cache looks at: a packet as long as that */
    len = len < sizeof(buf) ? len : sizeof(buf);
    memcpy(buf, p, len);
    (void) mesh_put16(buf + 2, (uint16_t) len);

    t->at = at;
    t->tile.packet = buf;
    t->tile.size = len;

    if (mesh_kvm_cache_add(&ix->cache, &t->tile) != MESH_OK) {
        ix->none = 1;
    }

    t->tile.packet = NULL;

    mesh_mcrec_index_dropped(ix);

    if (ix->cache.holes) {
        ix->none = 1;
    }
}


static void
mesh_mcrec_index_dropped(mesh_mcrec_index_t *ix)
{
    mesh_kvm_tile_t  *tile;

    while (ix->cache.dropped) {
        tile = ix->cache.dropped;
        ix->cache.dropped = tile->next;
        tile->next = ix->spare;
        ix->spare = tile;
    }
}


size_t
mesh_mcrec_index_write(const mesh_mcrec_index_t *ix, char *buf, size_t size)
{
    size_t             i, k, n;
    mesh_mcrec_text_t  t;

    if (!ix->begun || ix->none) {
        return 0;
    }

    t.buf = buf;
    t.size = size;
    t.len = 0;

    mesh_mcrec_index_text(&t, "{\"indexInterval\":");
    mesh_mcrec_index_number(&t, ix->interval / 1000);
    mesh_mcrec_index_text(&t, ",\"indexStartTime\":");
    mesh_mcrec_index_number(&t, ix->start);
    mesh_mcrec_index_text(&t, ",\"indexes\":[");

    n = 0;

    for (i = 0; i < ix->places; i++) {
        mesh_mcrec_index_text(&t, i ? ",[" : "[");

        for (k = (size_t) ix->numbers[n++]; k > 0; k--) {
            mesh_mcrec_index_number(&t, ix->numbers[n++]);
            mesh_mcrec_index_text(&t, k > 1 ? "," : "]");
        }
    }

    mesh_mcrec_index_text(&t, "]}");

    return t.len;
}


static void
mesh_mcrec_index_text(mesh_mcrec_text_t *t, const char *text)
{
    for ( /* void */ ; *text; text++) {
        if (t->len < t->size) {
            t->buf[t->len] = *text;
        }

        t->len++;
    }
}


static void
mesh_mcrec_index_number(mesh_mcrec_text_t *t, uint64_t n)
{
    char   digits[21];
    char  *p;

    p = digits + sizeof(digits) - 1;
    *p = '\0';

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    mesh_mcrec_index_text(t, p);
}
