/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_kvm_cache.h"


static int mesh_kvm_jpeg_size(const uint8_t *image, size_t len,
    uint32_t *width, uint32_t *height);
static int mesh_kvm_webp_size(const uint8_t *image, uint32_t *width,
    uint32_t *height);
static void mesh_kvm_cache_place(mesh_kvm_cache_t *cache,
    mesh_kvm_tile_t *tile);
static void mesh_kvm_cache_cover(mesh_kvm_cache_t *cache,
    mesh_kvm_tile_t *tile);
static void mesh_kvm_cache_drop(mesh_kvm_cache_t *cache,
    mesh_kvm_tile_t *tile);
static void mesh_kvm_cache_forget(mesh_kvm_cache_t *cache,
    mesh_kvm_tile_t *tile);


static uint32_t
mesh_kvm_get24_le(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16;
}


int
mesh_kvm_image_size(const uint8_t *image, size_t len, uint32_t *width,
    uint32_t *height)
{
    int  rc;

    rc = MESH_ERROR;

    if (len >= 2 && image[0] == 0xff && image[1] == 0xd8) {
        rc = mesh_kvm_jpeg_size(image, len, width, height);

    } else if (len >= 24 && memcmp(image, "\x89PNG\r\n\x1a\n", 8) == 0
               && memcmp(image + 12, "IHDR", 4) == 0)
    {
        *width = mesh_get32(image + 16);
        *height = mesh_get32(image + 20);
        rc = MESH_OK;

    } else if (len >= 30 && memcmp(image, "RIFF", 4) == 0
               && memcmp(image + 8, "WEBP", 4) == 0)
    {
        rc = mesh_kvm_webp_size(image, width, height);
    }

    return rc == MESH_OK && *width && *height ? MESH_OK : MESH_ERROR;
}


static int
mesh_kvm_jpeg_size(const uint8_t *image, size_t len, uint32_t *width,
    uint32_t *height)
{
    size_t   at, n;
    uint8_t  marker;

    at = 2;

    while (len - at >= 9 && image[at] == 0xff) {
        marker = image[at + 1];

        if (marker == 0xff) {       /* filling */
            at++;
            continue;
        }

        /* a frame's head: SOF0 to SOF15, without DHT, JPG and DAC */
        if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4
            && marker != 0xc8 && marker != 0xcc)
        {
            *height = mesh_get16(image + at + 5);
            *width = mesh_get16(image + at + 7);
            return MESH_OK;
        }

        n = mesh_get16(image + at + 2);

        if (marker == 0xda || marker == 0xd9 || n < 2 || n + 2 > len - at) {
            break;
        }

        at += 2 + n;
    }

    return MESH_ERROR;
}


/* the caller has seen 30 bytes */
static int
mesh_kvm_webp_size(const uint8_t *image, uint32_t *width, uint32_t *height)
{
    if (memcmp(image + 12, "VP8 ", 4) == 0) {
        *width = mesh_kvm_get24_le(image + 26) & 0x3fff;
        *height = mesh_kvm_get24_le(image + 27) >> 8 & 0x3fff;
        return MESH_OK;
    }

    if (memcmp(image + 12, "VP8L", 4) == 0) {
        *width = (mesh_kvm_get24_le(image + 21) & 0x3fff) + 1;
        *height = (mesh_kvm_get24_le(image + 22) >> 6 & 0x3fff) + 1;
        return MESH_OK;
    }

    if (memcmp(image + 12, "VP8X", 4) == 0) {
        *width = mesh_kvm_get24_le(image + 24) + 1;
        *height = mesh_kvm_get24_le(image + 27) + 1;
        return MESH_OK;
    }

    return MESH_ERROR;
}


static uint32_t
mesh_kvm_cell(uint16_t width, uint16_t height, uint32_t *cols, uint32_t *rows)
{
    uint32_t  cell;

    for (cell = MESH_KVM_CELL; ; cell *= 2) {
        *cols = (width + cell - 1) / cell;
        *rows = (height + cell - 1) / cell;

        if (*cols * *rows <= MESH_KVM_CACHE_CELLS) {
            return cell;
        }
    }
}


size_t
mesh_kvm_cache_cells(uint16_t width, uint16_t height)
{
    uint32_t  cols, rows;

    (void) mesh_kvm_cell(width, height, &cols, &rows);

    return (size_t) cols * rows;
}


void
mesh_kvm_cache_screen(mesh_kvm_cache_t *cache, uint16_t width,
    uint16_t height, mesh_kvm_tile_t **grid)
{
    mesh_kvm_view_t  *view;

    /* the grid goes with them: none is to be taken out of it */
    cache->grid = NULL;

    while (cache->oldest) {
        mesh_kvm_cache_drop(cache, cache->oldest);
    }

    cache->width = width;
    cache->height = height;
    cache->cell = mesh_kvm_cell(width, height, &cache->cols, &cache->rows);
    cache->grid = grid;
    cache->holes = 0;
    cache->missed = 0;

    for (view = cache->views; view; view = view->next) {
        view->screen = 1;
    }
}


int
mesh_kvm_cache_add(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile)
{
    uint32_t            w, h;
    mesh_kvm_view_t    *view;
    mesh_kvm_packet_t   pkt;

    if (mesh_kvm_parse(&pkt, tile->packet, tile->size, tile->size) != MESH_OK
        || pkt.size != tile->size || pkt.cmd != MESH_KVM_TILE || pkt.len < 4
        || mesh_kvm_image_size(pkt.data + 4, pkt.len - 4, &w, &h) != MESH_OK)
    {
        return MESH_ERROR;
    }

    tile->left = mesh_get16(pkt.data);
    tile->top = mesh_get16(pkt.data + 2);

    if (tile->left >= cache->width || tile->top >= cache->height) {
        return MESH_ERROR;
    }

    /* tiles at the edges reach past the screen */
    w = w < cache->width - tile->left ? w : cache->width - tile->left;
    h = h < cache->height - tile->top ? h : cache->height - tile->top;
    tile->right = tile->left + w;
    tile->bottom = tile->top + h;

    tile->number = ++cache->number;
    tile->next = NULL;
    tile->prev = cache->newest;
    tile->shown = 1;

    if (cache->newest) {
        cache->newest->next = tile;

    } else {
        cache->oldest = tile;
    }

    cache->newest = tile;
    cache->bytes += tile->size + sizeof(mesh_kvm_tile_t);

    for (view = cache->views; view; view = view->next) {
        if (view->tile == NULL) {
            view->tile = tile;
        }
    }

    mesh_kvm_cache_place(cache, tile);
    mesh_kvm_cache_cover(cache, tile);

    return MESH_OK;
}


/* into the cells that it fills, from whoever had them */
static void
mesh_kvm_cache_place(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile)
{
    uint32_t           x, y, x1, y1, x2, y2, cell;
    mesh_kvm_tile_t   *old, **p;

    cell = cache->cell;

    /* cells at the edges end with the screen */
    x1 = (tile->left + cell - 1) / cell;
    y1 = (tile->top + cell - 1) / cell;
    x2 = tile->right == cache->width ? cache->cols : tile->right / cell;
    y2 = tile->bottom == cache->height ? cache->rows : tile->bottom / cell;

    tile->loose = x1 * cell != tile->left || y1 * cell != tile->top
                  || (tile->right != cache->width
                      && x2 * cell != tile->right)
                  || (tile->bottom != cache->height
                      && y2 * cell != tile->bottom);

    for (y = y1; y < y2; y++) {
        p = cache->grid + (size_t) y * cache->cols;

        for (x = x1; x < x2; x++) {
            old = p[x];
            p[x] = tile;
            tile->cells++;
            cache->work++;

            if (old && --old->cells == 0 && !old->loose) {
                mesh_kvm_cache_drop(cache, old);
            }
        }
    }
}


/*
 * What ends within a cell is beside the grid: it goes with a tile that covers
 * all of it, and no agent sends many of them.
 */
static void
mesh_kvm_cache_cover(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile)
{
    size_t            i;
    mesh_kvm_tile_t  *old;

    cache->work += cache->nloose;

    for (i = cache->nloose; i > 0; i--) {
        old = cache->loose[i - 1];

        if (old->left >= tile->left && old->top >= tile->top
            && old->right <= tile->right && old->bottom <= tile->bottom)
        {
            mesh_kvm_cache_drop(cache, old);
        }
    }

    if (!tile->loose) {
        return;
    }

    if (cache->nloose == MESH_KVM_CACHE_LOOSE) {
        mesh_kvm_cache_forget(cache, cache->loose[0]);
    }

    cache->loose[cache->nloose++] = tile;
}


static void
mesh_kvm_cache_drop(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile)
{
    size_t            i;
    uint32_t          x, y, x2, y2;
    mesh_kvm_view_t  *view;

    if (tile->cells && cache->grid) {
        x2 = (tile->right + cache->cell - 1) / cache->cell;
        y2 = (tile->bottom + cache->cell - 1) / cache->cell;

        for (y = tile->top / cache->cell; y < y2; y++) {
            for (x = tile->left / cache->cell; x < x2; x++) {
                cache->work++;

                if (cache->grid[(size_t) y * cache->cols + x] == tile) {
                    cache->grid[(size_t) y * cache->cols + x] = NULL;
                }
            }
        }
    }

    if (tile->loose) {
        for (i = 0; cache->loose[i] != tile; i++) { /* void */ }

        cache->nloose--;

        for ( /* void */ ; i < cache->nloose; i++) {
            cache->loose[i] = cache->loose[i + 1];
        }
    }

    for (view = cache->views; view; view = view->next) {
        if (view->tile == tile) {
            view->tile = tile->next;
        }
    }

    if (tile->prev) {
        tile->prev->next = tile->next;

    } else {
        cache->oldest = tile->next;
    }

    if (tile->next) {
        tile->next->prev = tile->prev;

    } else {
        cache->newest = tile->prev;
    }

    cache->bytes -= tile->size + sizeof(mesh_kvm_tile_t);

    tile->cells = 0;
    tile->shown = 0;
    tile->prev = NULL;
    tile->next = cache->dropped;
    cache->dropped = tile;
}


/* drops what is still to be seen */
static void
mesh_kvm_cache_forget(mesh_kvm_cache_t *cache, mesh_kvm_tile_t *tile)
{
    mesh_kvm_view_t  *view;

    cache->holes = 1;

    for (view = cache->views; view; view = view->next) {
        if (view->tile && view->tile->number <= tile->number) {
            cache->missed = 1;
        }
    }

    mesh_kvm_cache_drop(cache, tile);
}


void
mesh_kvm_cache_shrink(mesh_kvm_cache_t *cache, size_t max)
{
    while (cache->bytes > max) {
        mesh_kvm_cache_forget(cache, cache->oldest);
    }
}


void
mesh_kvm_view_join(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view)
{
    view->prev = NULL;
    view->next = cache->views;

    if (cache->views) {
        cache->views->prev = view;
    }

    cache->views = view;

    mesh_kvm_view_rewind(cache, view);
}


void
mesh_kvm_view_rewind(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view)
{
    view->tile = cache->oldest;
    view->screen = cache->width != 0;
}


void
mesh_kvm_view_leave(mesh_kvm_cache_t *cache, mesh_kvm_view_t *view)
{
    if (view->prev) {
        view->prev->next = view->next;

    } else {
        cache->views = view->next;
    }

    if (view->next) {
        view->next->prev = view->prev;
    }

    view->prev = NULL;
    view->next = NULL;
    view->tile = NULL;
}


mesh_kvm_tile_t *
mesh_kvm_view_next(mesh_kvm_view_t *view)
{
    mesh_kvm_tile_t  *tile;

    tile = view->tile;

    if (tile) {
        view->tile = tile->next;
    }

    return tile;
}
