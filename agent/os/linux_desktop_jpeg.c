/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* A rectangle of the screen as JPEG: baseline, every pixel with its colour. */

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>

#include "../mesh_agent.h"
#include "linux_desktop.h"


#define MESH_AGENT_DESK_JPEG_FIRST  65536
#define MESH_AGENT_DESK_JPEG_LINES  16


typedef struct {
    struct jpeg_error_mgr         base;
    jmp_buf                       failed;
} mesh_agent_desk_jpeg_error_t;

typedef struct {
    struct jpeg_destination_mgr   base;
    uint8_t                     **buf;
    size_t                       *size;
    size_t                        room;
} mesh_agent_desk_jpeg_dest_t;


static void mesh_agent_desk_jpeg_write(struct jpeg_compress_struct *cinfo,
    const mesh_agent_desk_screen_t *s, const mesh_agent_desk_rect_t *rect,
    uint8_t *line);
static const uint8_t *mesh_agent_desk_jpeg_line(
    const mesh_agent_desk_screen_t *s, const mesh_agent_desk_rect_t *rect,
    int y, uint8_t *line);
static void mesh_agent_desk_jpeg_failed(j_common_ptr cinfo);
static void mesh_agent_desk_jpeg_silent(j_common_ptr cinfo);
static void mesh_agent_desk_jpeg_init(j_compress_ptr cinfo);
static boolean mesh_agent_desk_jpeg_grow(j_compress_ptr cinfo);
static void mesh_agent_desk_jpeg_term(j_compress_ptr cinfo);


size_t
mesh_agent_desk_jpeg(const mesh_agent_desk_screen_t *s,
    const mesh_agent_desk_rect_t *rect, int quality, size_t room,
    uint8_t **buf, size_t *size)
{
    size_t                         n;
    uint8_t                       *line;
    struct jpeg_compress_struct    cinfo;
    mesh_agent_desk_jpeg_dest_t    dest;
    mesh_agent_desk_jpeg_error_t   err;

    if (*size < room + MESH_AGENT_DESK_JPEG_FIRST) {
        *size = room + MESH_AGENT_DESK_JPEG_FIRST;
        *buf = mesh_agent_realloc(*buf, *size);
    }

    line = mesh_agent_alloc((size_t) rect->w * 4 * MESH_AGENT_DESK_JPEG_LINES);

    memset(&cinfo, 0, sizeof(cinfo));
    memset(&dest, 0, sizeof(dest));
    cinfo.err = jpeg_std_error(&err.base);
    err.base.error_exit = mesh_agent_desk_jpeg_failed;
    err.base.output_message = mesh_agent_desk_jpeg_silent;

    if (setjmp(err.failed)) {
        jpeg_destroy_compress(&cinfo);
        free(line);
        return 0;
    }

    jpeg_create_compress(&cinfo);

    dest.base.init_destination = mesh_agent_desk_jpeg_init;
    dest.base.empty_output_buffer = mesh_agent_desk_jpeg_grow;
    dest.base.term_destination = mesh_agent_desk_jpeg_term;
    dest.buf = buf;
    dest.size = size;
    dest.room = room;
    cinfo.dest = &dest.base;

    cinfo.image_width = (JDIMENSION) rect->w;
    cinfo.image_height = (JDIMENSION) rect->h;
    cinfo.input_components = 4;
    cinfo.in_color_space = JCS_EXT_BGRX;

    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, quality, TRUE);
    cinfo.comp_info[0].h_samp_factor = 1;
    cinfo.comp_info[0].v_samp_factor = 1;

    jpeg_start_compress(&cinfo, TRUE);
    mesh_agent_desk_jpeg_write(&cinfo, s, rect, line);
    jpeg_finish_compress(&cinfo);

    n = *size - room - dest.base.free_in_buffer;

    jpeg_destroy_compress(&cinfo);
    free(line);

    return n;
}


static void
mesh_agent_desk_jpeg_write(struct jpeg_compress_struct *cinfo,
    const mesh_agent_desk_screen_t *s, const mesh_agent_desk_rect_t *rect,
    uint8_t *line)
{
    int       i, n, y;
    JSAMPROW  rows[MESH_AGENT_DESK_JPEG_LINES];

    for (y = 0; y < rect->h; y += n) {
        n = rect->h - y < MESH_AGENT_DESK_JPEG_LINES
            ? rect->h - y : MESH_AGENT_DESK_JPEG_LINES;

        for (i = 0; i < n; i++) {
            rows[i] = (JSAMPROW)
                      mesh_agent_desk_jpeg_line(s, rect, y + i,
                                                line + (size_t) rect->w * 4
                                                       * (size_t) i);
        }

        (void) jpeg_write_scanlines(cinfo, rows, (JDIMENSION) n);
    }
}


/* beyond the edges the last pixel goes on, which costs the fewest bytes */
static const uint8_t *
mesh_agent_desk_jpeg_line(const mesh_agent_desk_screen_t *s,
    const mesh_agent_desk_rect_t *rect, int y, uint8_t *line)
{
    int             i, w;
    const uint8_t  *p;

    y += rect->y;

    if (y >= s->h) {
        y = s->h - 1;
    }

    p = s->pixels + (size_t) y * s->stride + (size_t) rect->x * 4;

    if (rect->x + rect->w <= s->w) {
        return p;
    }

    w = s->w - rect->x;
    memcpy(line, p, (size_t) w * 4);

    for (i = w; i < rect->w; i++) {
        memcpy(line + (size_t) i * 4, p + (size_t) (w - 1) * 4, 4);
    }

    return line;
}


static void
mesh_agent_desk_jpeg_failed(j_common_ptr cinfo)
{
    mesh_agent_desk_jpeg_error_t  *err;

    err = (mesh_agent_desk_jpeg_error_t *) cinfo->err;
    longjmp(err->failed, 1);
}


static void
mesh_agent_desk_jpeg_silent(j_common_ptr cinfo)
{
    (void) cinfo;
}


static void
mesh_agent_desk_jpeg_init(j_compress_ptr cinfo)
{
    mesh_agent_desk_jpeg_dest_t  *dest;

    dest = (mesh_agent_desk_jpeg_dest_t *) cinfo->dest;
    dest->base.next_output_byte = *dest->buf + dest->room;
    dest->base.free_in_buffer = *dest->size - dest->room;
}


/* called when the buffer is full to its last byte */
static boolean
mesh_agent_desk_jpeg_grow(j_compress_ptr cinfo)
{
    size_t                        full;
    mesh_agent_desk_jpeg_dest_t  *dest;

    dest = (mesh_agent_desk_jpeg_dest_t *) cinfo->dest;
    full = *dest->size;

    if (full > MESH_KVM_MAX_OUTPUT / 2) {
        mesh_agent_desk_jpeg_failed((j_common_ptr) cinfo);
    }

    *dest->size = 2 * full;
    *dest->buf = mesh_agent_realloc(*dest->buf, *dest->size);
    dest->base.next_output_byte = *dest->buf + full;
    dest->base.free_in_buffer = *dest->size - full;

    return TRUE;
}


static void
mesh_agent_desk_jpeg_term(j_compress_ptr cinfo)
{
    (void) cinfo;
}
