/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Two bytes of screen, then messages: one byte that says what, one of length,
 * the message.  Whatever came, lists, counts and grid of the picture agree, and
 * each tile is somewhere once.
 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_kvm_cache.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check(mesh_kvm_cache_t *c, mesh_kvm_view_t *v)
{
    size_t            i, cells, bytes, loose;
    uint64_t          number;
    mesh_kvm_tile_t  *t, *before;
    unsigned          found;

    bytes = 0;
    loose = 0;
    cells = 0;
    number = 0;
    found = (v->tile == NULL);
    before = NULL;

    for (t = c->oldest; t; before = t, t = t->next) {
        if (t->prev != before || t->number <= number || !t->shown
            || t->right > c->width || t->bottom > c->height
            || t->left >= t->right || t->top >= t->bottom
            || (t->cells == 0 && !t->loose))
        {
            abort();
        }

        number = t->number;
        bytes += t->size + sizeof(mesh_kvm_tile_t);
        loose += t->loose;
        cells += t->cells;
        found |= (t == v->tile);
    }

    if (c->newest != before || bytes != c->bytes || loose != c->nloose
        || !found)
    {
        abort();
    }

    for (i = 0; i < (size_t) c->cols * c->rows; i++) {
        if (c->grid && c->grid[i]) {
            if (!c->grid[i]->shown) {
                abort();
            }

            cells--;
        }
    }

    if (cells != 0) {
        abort();
    }
}


static void
collect(mesh_kvm_cache_t *c)
{
    mesh_kvm_tile_t  *t;

    while ((t = c->dropped) != NULL) {
        c->dropped = t->next;
        free(t->packet);
        free(t);
    }
}


static void
add(mesh_kvm_cache_t *c, const uint8_t *p, size_t len)
{
    mesh_kvm_tile_t  *t;

    t = calloc(1, sizeof(mesh_kvm_tile_t));
    if (t == NULL) {
        abort();
    }

    t->packet = malloc(len + 1);
    if (t->packet == NULL) {
        abort();
    }

    memcpy(t->packet, p, len);
    t->size = len;

    if (mesh_kvm_cache_add(c, t) != MESH_OK) {
        free(t->packet);
        free(t);
    }
}


static void
screen(mesh_kvm_cache_t *c, uint16_t w, uint16_t h)
{
    mesh_kvm_tile_t  **grid, **old;

    if (mesh_kvm_cache_cells(w, h) == 0) {
        return;
    }

    grid = calloc(mesh_kvm_cache_cells(w, h), sizeof(mesh_kvm_tile_t *));
    if (grid == NULL) {
        abort();
    }

    old = c->grid;
    mesh_kvm_cache_screen(c, w, h, grid);
    free(old);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            n;
    mesh_kvm_view_t   v;
    mesh_kvm_cache_t  c;

    if (size < 2) {
        return 0;
    }

    memset(&c, 0, sizeof(c));
    memset(&v, 0, sizeof(v));

    screen(&c, (uint16_t) (data[0] * 8), (uint16_t) (data[1] * 8));
    mesh_kvm_view_join(&c, &v);
    data += 2;
    size -= 2;

    while (size >= 2) {
        n = data[1] < size - 2 ? data[1] : size - 2;

        switch (data[0] % 8) {
        case 0:
            (void) mesh_kvm_view_next(&v);
            break;
        case 1:
            mesh_kvm_view_rewind(&c, &v);
            break;
        case 2:
            mesh_kvm_cache_shrink(&c, (size_t) data[1] * 16);
            n = 0;
            break;
        case 3:
            screen(&c, (uint16_t) (data[1] * 8), (uint16_t) (n * 8));
            n = 0;
            break;
        default:
            add(&c, data + 2, n);
        }

        data += 2 + n;
        size -= 2 + n;

        collect(&c);
        check(&c, &v);
    }

    mesh_kvm_view_leave(&c, &v);
    mesh_kvm_cache_shrink(&c, 0);
    collect(&c);
    free(c.grid);

    return 0;
}
