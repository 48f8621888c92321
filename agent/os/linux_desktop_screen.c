/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The pixels of the screen, and which cells of them the viewers do not have.
 *
 * What the server gives is used where it lies when it is 32 bits of blue, green
 * and red and not scaled; else it is brought into that form, only those
 * lines that changed.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "../mesh_agent.h"
#include "linux_desktop.h"


#define MESH_AGENT_DESK_PRIME  0x9e3779b97f4a7c15ULL


static int mesh_agent_desk_image(mesh_agent_desk_t *d);
static int mesh_agent_desk_image_shared(mesh_agent_desk_t *d);
static int mesh_agent_desk_format(mesh_agent_desk_t *d);
static void mesh_agent_desk_damaged(mesh_agent_desk_t *d, int *top,
    int *bottom);
static void mesh_agent_desk_look(mesh_agent_desk_screen_t *s,
    const XRectangle *r, int *top, int *bottom);
static int mesh_agent_desk_fetch(mesh_agent_desk_t *d, int top, int bottom);
static void mesh_agent_desk_convert(mesh_agent_desk_screen_t *s, int top,
    int bottom);
static void mesh_agent_desk_add(mesh_agent_desk_screen_t *s,
    const uint8_t *line);
static const uint8_t *mesh_agent_desk_unpack(mesh_agent_desk_screen_t *s,
    int y);
static int mesh_agent_desk_scale(int n, int to, int from);
static void mesh_agent_desk_compare(mesh_agent_desk_screen_t *s);
static uint64_t mesh_agent_desk_hash(const uint8_t *p, size_t stride, int w,
    int h);


int
mesh_agent_desk_screen_init(mesh_agent_desk_t *d, mesh_agent_desk_rect_t area,
    unsigned scaling)
{
    size_t                     n;
    mesh_agent_desk_screen_t  *s = &d->screen;

    mesh_agent_desk_screen_free(d);

    if (area.w > 65535 || area.h > 65535
        || (size_t) area.w * (size_t) area.h > MESH_AGENT_DESK_PIXELS)
    {
        (void) snprintf(d->why, sizeof(d->why), "The screen is too large.");
        return MESH_ERROR;
    }

    s->scaling = scaling;

    /* more pixels than there are would show nothing new */
    if (scaling > MESH_KVM_SCALE_FULL) {
        scaling = MESH_KVM_SCALE_FULL;
    }

    s->area = area;
    s->w = (int) ((unsigned) area.w * scaling / MESH_KVM_SCALE_FULL);
    s->h = (int) ((unsigned) area.h * scaling / MESH_KVM_SCALE_FULL);
    s->w += s->w == 0;
    s->h += s->h == 0;
    s->cols = (s->w + MESH_AGENT_DESK_CELL - 1) / MESH_AGENT_DESK_CELL;
    s->rows = (s->h + MESH_AGENT_DESK_CELL - 1) / MESH_AGENT_DESK_CELL;

    if (mesh_agent_desk_image(d) != MESH_OK
        || mesh_agent_desk_format(d) != MESH_OK)
    {
        return MESH_ERROR;
    }

    n = (size_t) s->cols * (size_t) s->rows;
    s->now = mesh_agent_alloc(n * sizeof(uint64_t));
    s->sent = mesh_agent_alloc(n * sizeof(uint64_t));
    s->dirty = mesh_agent_alloc(n);
    s->look = mesh_agent_alloc(n);

    mesh_agent_desk_screen_refresh(s);

    return MESH_OK;
}


static int
mesh_agent_desk_image(mesh_agent_desk_t *d)
{
    mesh_agent_desk_screen_t  *s = &d->screen;

    if (d->has_shm && mesh_agent_desk_image_shared(d) == MESH_OK) {
        return MESH_OK;
    }

    s->image = d->x.XGetImage(d->dpy, d->root, s->area.x, s->area.y,
                              (unsigned) s->area.w, (unsigned) s->area.h,
                              AllPlanes, ZPixmap);
    if (s->image == NULL) {
        (void) snprintf(d->why, sizeof(d->why),
                        "The X server does not let the agent see the screen.");
        return MESH_ERROR;
    }

    s->memory = (uint8_t *) s->image->data;

    return MESH_OK;
}


static int
mesh_agent_desk_image_shared(mesh_agent_desk_t *d)
{
    Screen                    *screen;
    mesh_agent_desk_screen_t  *s = &d->screen;

    screen = DefaultScreenOfDisplay(d->dpy);
    s->image = d->x.XShmCreateImage(d->dpy, DefaultVisualOfScreen(screen),
                                    (unsigned) DefaultDepthOfScreen(screen),
                                    ZPixmap, NULL, &s->shm,
                                    (unsigned) s->area.w,
                                    (unsigned) s->area.h);
    if (s->image == NULL) {
        return MESH_ERROR;
    }

    s->shm.shmid = shmget(IPC_PRIVATE, (size_t) s->image->bytes_per_line
                                       * (size_t) s->area.h, IPC_CREAT|0600);
    s->shm.shmaddr = s->shm.shmid != -1 ? shmat(s->shm.shmid, NULL, 0)
                                        : (char *) -1;

    if (s->shm.shmaddr != (char *) -1) {
        s->shm.readOnly = False;
        s->image->data = s->shm.shmaddr;
        s->shared = d->x.XShmAttach(d->dpy, &s->shm) != 0;
        (void) d->x.XSync(d->dpy, False);
    }

    /* it goes with the last one that has it */
    if (s->shm.shmid != -1) {
        (void) shmctl(s->shm.shmid, IPC_RMID, NULL);
    }

    /* a server on another machine says no only now */
    if (s->shared
        && d->x.XShmGetImage(d->dpy, d->root, s->image, s->area.x, s->area.y,
                             AllPlanes))
    {
        s->memory = (uint8_t *) s->shm.shmaddr;
        return MESH_OK;
    }

    if (s->shm.shmaddr != (char *) -1) {
        (void) shmdt(s->shm.shmaddr);
    }

    s->shared = 0;
    s->image->data = NULL;
    (void) XDestroyImage(s->image);
    s->image = NULL;
    d->has_shm = 0;

    return MESH_ERROR;
}


static int
mesh_agent_desk_format(mesh_agent_desk_t *d)
{
    int                        x;
    XImage                    *image;
    mesh_agent_desk_screen_t  *s = &d->screen;

    image = s->image;

    if ((image->bits_per_pixel != 32 && image->bits_per_pixel != 16)
        || image->byte_order != LSBFirst || image->red_mask == 0
        || image->green_mask == 0 || image->blue_mask == 0)
    {
        (void) snprintf(d->why, sizeof(d->why),
                        "The screen has a depth of %d bits, which the agent "
                        "cannot show.", image->depth);
        return MESH_ERROR;
    }

    s->plain = image->bits_per_pixel == 32 && image->red_mask == 0xff0000
               && image->green_mask == 0xff00 && image->blue_mask == 0xff;
    s->direct = s->plain && s->w == s->area.w && s->h == s->area.h;

    if (s->direct) {
        s->pixels = s->memory;
        s->stride = (size_t) image->bytes_per_line;
        return MESH_OK;
    }

    s->stride = (size_t) s->w * 4;
    s->pixels = mesh_agent_alloc(s->stride * (size_t) s->h);
    s->line = mesh_agent_alloc((size_t) s->area.w * 4);
    s->sums = mesh_agent_alloc((size_t) s->w * 3 * sizeof(uint32_t));
    s->edges = mesh_agent_alloc(((size_t) s->w + 1) * sizeof(int));

    for (x = 0; x <= s->w; x++) {
        s->edges[x] = mesh_agent_desk_scale(x, s->area.w, s->w);
    }

    return MESH_OK;
}


void
mesh_agent_desk_screen_free(mesh_agent_desk_t *d)
{
    mesh_agent_desk_screen_t  *s = &d->screen;

    if (s->image != NULL) {
        if (s->shared) {
            (void) d->x.XShmDetach(d->dpy, &s->shm);
            (void) d->x.XSync(d->dpy, False);
            (void) shmdt(s->shm.shmaddr);
            s->image->data = NULL;

        } else {
            s->image->data = (char *) s->memory;
        }

        (void) XDestroyImage(s->image);
    }

    if (!s->direct) {
        free(s->pixels);
    }

    free(s->line);
    free(s->sums);
    free(s->edges);
    free(s->now);
    free(s->sent);
    free(s->dirty);
    free(s->look);
    memset(s, 0, sizeof(mesh_agent_desk_screen_t));
}


void
mesh_agent_desk_screen_refresh(mesh_agent_desk_screen_t *s)
{
    size_t  n;

    n = (size_t) s->cols * (size_t) s->rows;
    memset(s->sent, 0, n * sizeof(uint64_t));
    memset(s->dirty, 1, n);
    memset(s->look, 1, n);
    s->ndirty = (int) n;
    s->at = 0;
}


int
mesh_agent_desk_screen_capture(mesh_agent_desk_t *d)
{
    int                        top, bottom;
    size_t                     n;
    mesh_agent_desk_screen_t  *s = &d->screen;

    top = s->area.h;
    bottom = 0;
    n = (size_t) s->cols * (size_t) s->rows;

    if (d->has_damage) {
        mesh_agent_desk_damaged(d, &top, &bottom);

    } else {
        memset(s->look, 1, n);
    }

    /* a refresh looks everywhere */
    if (memchr(s->look, 1, n) == NULL) {
        return MESH_OK;
    }

    if (!d->has_damage || s->ndirty == (int) n) {
        top = 0;
        bottom = s->area.h;
    }

    if (top < bottom && mesh_agent_desk_fetch(d, top, bottom) != MESH_OK) {
        return MESH_ERROR;
    }

    mesh_agent_desk_compare(s);

    return MESH_OK;
}


/* marks the cells that were drawn on since the last call */
static void
mesh_agent_desk_damaged(mesh_agent_desk_t *d, int *top, int *bottom)
{
    int          i, n;
    XRectangle  *list;

    /* taken away before the pixels are fetched: what comes later is told */
    d->x.XDamageSubtract(d->dpy, d->damage, None, d->region);
    list = d->x.XFixesFetchRegion(d->dpy, d->region, &n);

    if (list == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        mesh_agent_desk_look(&d->screen, &list[i], top, bottom);
    }

    (void) d->x.XFree(list);
}


static void
mesh_agent_desk_look(mesh_agent_desk_screen_t *s, const XRectangle *r,
    int *top, int *bottom)
{
    int  x0, y0, x1, y1, y, n;

    x0 = r->x - s->area.x;
    y0 = r->y - s->area.y;
    x1 = x0 + r->width;
    y1 = y0 + r->height;

    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 > s->area.w ? s->area.w : x1;
    y1 = y1 > s->area.h ? s->area.h : y1;

    if (x0 >= x1 || y0 >= y1) {
        return;
    }

    *top = y0 < *top ? y0 : *top;
    *bottom = y1 > *bottom ? y1 : *bottom;

    if (s->w != s->area.w || s->h != s->area.h) {
        x0 = mesh_agent_desk_scale(x0, s->w, s->area.w);
        y0 = mesh_agent_desk_scale(y0, s->h, s->area.h);
        x1 = mesh_agent_desk_scale(x1, s->w, s->area.w) + 1;
        y1 = mesh_agent_desk_scale(y1, s->h, s->area.h) + 1;
        x1 = x1 > s->w ? s->w : x1;
        y1 = y1 > s->h ? s->h : y1;
    }

    x0 /= MESH_AGENT_DESK_CELL;
    n = (x1 - 1) / MESH_AGENT_DESK_CELL - x0 + 1;

    for (y = y0 / MESH_AGENT_DESK_CELL; y <= (y1 - 1) / MESH_AGENT_DESK_CELL;
         y++)
    {
        memset(s->look + (size_t) y * (size_t) s->cols + (size_t) x0, 1,
               (size_t) n);
    }
}


/* lines of the area from the server */
static int
mesh_agent_desk_fetch(mesh_agent_desk_t *d, int top, int bottom)
{
    int                        ok;
    XImage                    *image, *part;
    mesh_agent_desk_screen_t  *s = &d->screen;

    image = s->image;

    if (s->shared) {
        /* the library takes the place in the segment from the data */
        image->data = (char *) s->memory
                      + (size_t) top * (size_t) image->bytes_per_line;
        image->height = bottom - top;
        ok = d->x.XShmGetImage(d->dpy, d->root, image, s->area.x,
                               s->area.y + top, AllPlanes);
        image->data = (char *) s->memory;
        image->height = s->area.h;

    } else {
        part = d->x.XGetImage(d->dpy, d->root, s->area.x, s->area.y + top,
                              (unsigned) s->area.w,
                              (unsigned) (bottom - top), AllPlanes, ZPixmap);
        ok = part != NULL && part->bytes_per_line == image->bytes_per_line;

        if (ok) {
            memcpy(s->memory + (size_t) top * (size_t) image->bytes_per_line,
                   part->data, (size_t) (bottom - top)
                               * (size_t) image->bytes_per_line);
        }

        if (part != NULL) {
            (void) XDestroyImage(part);
        }
    }

    if (!ok) {
        return MESH_ERROR;
    }

    if (!s->direct) {
        mesh_agent_desk_convert(s, top, bottom);
    }

    return MESH_OK;
}


/* brings lines of the area into pixels; those of one picture line are summed */
static void
mesh_agent_desk_convert(mesh_agent_desk_screen_t *s, int top, int bottom)
{
    int        i, j, x, y, last, end;
    unsigned   n;
    uint8_t   *out;
    uint32_t  *sum;

    y = mesh_agent_desk_scale(top, s->h, s->area.h);
    last = mesh_agent_desk_scale(bottom, s->h, s->area.h) + 1;
    last = last > s->h ? s->h : last;

    for ( /* void */ ; y < last; y++) {
        memset(s->sums, 0, (size_t) s->w * 3 * sizeof(uint32_t));

        j = mesh_agent_desk_scale(y, s->area.h, s->h);
        end = mesh_agent_desk_scale(y + 1, s->area.h, s->h);
        n = (unsigned) (end - j);

        for ( /* void */ ; j < end; j++) {
            mesh_agent_desk_add(s, mesh_agent_desk_unpack(s, j));
        }

        out = s->pixels + (size_t) y * s->stride;
        sum = s->sums;

        for (x = 0; x < s->w; x++, sum += 3, out += 4) {
            j = (s->edges[x + 1] - s->edges[x]) * (int) n;

            for (i = 0; i < 3; i++) {
                out[i] = (uint8_t) (sum[i] / (unsigned) j);
            }
        }
    }
}


static void
mesh_agent_desk_add(mesh_agent_desk_screen_t *s, const uint8_t *line)
{
    int        i, x;
    uint32_t  *sum;

    sum = s->sums;

    for (x = 0; x < s->w; x++, sum += 3) {
        for (i = s->edges[x]; i < s->edges[x + 1]; i++, line += 4) {
            sum[0] += line[0];
            sum[1] += line[1];
            sum[2] += line[2];
        }
    }
}


/* a line of the server as blue, green and red */
static const uint8_t *
mesh_agent_desk_unpack(mesh_agent_desk_screen_t *s, int y)
{
    int             i, x;
    uint8_t        *out;
    uint16_t        half;
    uint32_t        value;
    unsigned long   mask[3], low[3];
    const XImage   *image;
    const uint8_t  *line;

    image = s->image;
    line = s->memory + (size_t) y * (size_t) image->bytes_per_line;

    if (s->plain) {
        return line;
    }

    mask[0] = image->blue_mask;
    mask[1] = image->green_mask;
    mask[2] = image->red_mask;

    for (i = 0; i < 3; i++) {
        low[i] = mask[i] & -mask[i];
    }

    out = s->line;

    for (x = 0; x < s->area.w; x++, out += 4) {

        if (image->bits_per_pixel == 32) {
            memcpy(&value, line + (size_t) x * 4, 4);

        } else {
            memcpy(&half, line + (size_t) x * 2, 2);
            value = half;
        }

        for (i = 0; i < 3; i++) {
            out[i] = (uint8_t) ((value & mask[i]) / low[i] * 255
                                / (mask[i] / low[i]));
        }
    }

    return s->line;
}


static int
mesh_agent_desk_scale(int n, int to, int from)
{
    return (int) ((int64_t) n * to / from);
}


/* of the cells that were looked at, which are not as they were sent */
static void
mesh_agent_desk_compare(mesh_agent_desk_screen_t *s)
{
    int       x, y, w, h;
    size_t    i;
    uint64_t  hash;

    for (i = 0, y = 0; y < s->rows; y++) {
        h = s->h - y * MESH_AGENT_DESK_CELL;
        h = h > MESH_AGENT_DESK_CELL ? MESH_AGENT_DESK_CELL : h;

        for (x = 0; x < s->cols; x++, i++) {

            if (!s->look[i]) {
                continue;
            }

            s->look[i] = 0;
            w = s->w - x * MESH_AGENT_DESK_CELL;
            w = w > MESH_AGENT_DESK_CELL ? MESH_AGENT_DESK_CELL : w;

            hash = mesh_agent_desk_hash(s->pixels
                       + (size_t) y * MESH_AGENT_DESK_CELL * s->stride
                       + (size_t) x * MESH_AGENT_DESK_CELL * 4,
                       s->stride, w, h);

            s->now[i] = hash;

            /* what viewers never had stays dirty; what came back does not */
            if (s->sent[i] != 0 && (s->sent[i] != hash) != s->dirty[i]) {
                s->dirty[i] = !s->dirty[i];
                s->ndirty += s->dirty[i] ? 1 : -1;
            }
        }
    }
}


/* never 0; the fourth byte of a pixel means nothing */
static uint64_t
mesh_agent_desk_hash(const uint8_t *p, size_t stride, int w, int h)
{
    int             x;
    uint64_t        v[2], a, b;
    const uint8_t  *q;

    a = 1;
    b = 2;

    for ( /* void */ ; h > 0; h--, p += stride) {

        for (q = p, x = w; x >= 4; x -= 4, q += 16) {
            memcpy(v, q, 16);
            a = (a ^ (v[0] & 0x00ffffff00ffffffULL)) * MESH_AGENT_DESK_PRIME;
            b = (b ^ (v[1] & 0x00ffffff00ffffffULL)) * MESH_AGENT_DESK_PRIME;
            a ^= a >> 29;
            b ^= b >> 29;
        }

        for ( /* void */ ; x > 0; x--, q += 4) {
            v[0] = q[0] | (uint64_t) q[1] << 8 | (uint64_t) q[2] << 16;
            a = (a ^ v[0]) * MESH_AGENT_DESK_PRIME;
            a ^= a >> 29;
        }
    }

    a = (a ^ (b << 31 | b >> 33)) * MESH_AGENT_DESK_PRIME;

    return a ^ a >> 32 ? a ^ a >> 32 : 1;
}


int
mesh_agent_desk_screen_next(mesh_agent_desk_screen_t *s,
    mesh_agent_desk_rect_t *rect)
{
    int     x, y, w, h, n, max;
    size_t  i;

    if (s->ndirty == 0) {
        return 0;
    }

    n = s->cols * s->rows;

    /* goes on where it was: what changes all the time starves nothing */
    while (!s->dirty[s->at]) {
        s->at = s->at + 1 < n ? s->at + 1 : 0;
    }

    x = s->at % s->cols;
    y = s->at / s->cols;
    max = MESH_AGENT_DESK_AREA / (MESH_AGENT_DESK_CELL * MESH_AGENT_DESK_CELL);
    i = (size_t) s->at;

    for (w = 1; x + w < s->cols && w < max && s->dirty[i + (size_t) w]; w++) {
        /* void */
    }

    for (h = 1; y + h < s->rows && (h + 1) * w <= max; h++) {
        if (memchr(s->dirty + i + (size_t) (h * s->cols), 0, (size_t) w)
            != NULL)
        {
            break;
        }
    }

    for (n = 0; n < h; n++) {
        memset(s->dirty + i + (size_t) (n * s->cols), 0, (size_t) w);
        memcpy(s->sent + i + (size_t) (n * s->cols),
               s->now + i + (size_t) (n * s->cols),
               (size_t) w * sizeof(uint64_t));
    }

    s->ndirty -= w * h;
    rect->x = x * MESH_AGENT_DESK_CELL;
    rect->y = y * MESH_AGENT_DESK_CELL;
    rect->w = w * MESH_AGENT_DESK_CELL;
    rect->h = h * MESH_AGENT_DESK_CELL;

    return 1;
}
