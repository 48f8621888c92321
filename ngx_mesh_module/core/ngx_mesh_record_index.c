/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The index of a recorded desktop, made of the file when its session is over
 * (session.md 8.6).  In a thread.
 */

#include "ngx_mesh_record.h"
#include "../../proto/mesh_mcrec_index.h"


#define NGX_MESH_RECORD_TAIL  (2 * MESH_MCREC_HEAD)   /* the block of the end */


static ngx_int_t ngx_mesh_record_index_read(mesh_mcrec_index_t *ix, int fd,
    off_t size);
static ngx_int_t ngx_mesh_record_index_write(const mesh_mcrec_index_t *ix,
    int fd, off_t size, const u_char *tail, off_t *grown);
static ngx_int_t ngx_mesh_record_index_put(int fd, const u_char *p, size_t len,
    off_t offset);


off_t
ngx_mesh_record_index(int fd, off_t size)
{
    off_t                grown;
    u_char               tail[NGX_MESH_RECORD_TAIL];
    mesh_mcrec_index_t  *ix;

    grown = size;

    if (size < NGX_MESH_RECORD_TAIL
        || pread(fd, tail, sizeof(tail), size - sizeof(tail))
           != (ssize_t) sizeof(tail))
    {
        return size;
    }

    ix = calloc(1, sizeof(mesh_mcrec_index_t));
    if (ix == NULL) {
        return size;
    }

    if (ngx_mesh_record_index_read(ix, fd, size) == NGX_OK
        && ngx_mesh_record_index_write(ix, fd, size, tail, &grown) == NGX_ERROR
        && ftruncate(fd, size) == 0)
    {
        /* it ends as it did */
        (void) ngx_mesh_record_index_put(fd, tail, sizeof(tail),
                                         size - (off_t) sizeof(tail));
    }

    free(ix);

    return grown;
}


/* from head to head: of a message only what says what it draws */
static ngx_int_t
ngx_mesh_record_index_read(mesh_mcrec_index_t *ix, int fd, off_t size)
{
    off_t                at;
    u_char               buf[MESH_MCREC_HEAD + MESH_MCREC_INDEX_HEAD];
    size_t               len;
    ssize_t              n;
    mesh_mcrec_block_t   b;

    for (at = 0; at < size; at += MESH_MCREC_HEAD + (off_t) b.size) {
        n = pread(fd, buf, sizeof(buf), at);

        if (n < MESH_MCREC_HEAD
            || mesh_mcrec_parse(buf, n, &b) != MESH_OK)
        {
            return NGX_DECLINED;
        }

        len = ngx_min((size_t) n - MESH_MCREC_HEAD, b.size);

        mesh_mcrec_index_block(ix, at, &b, buf + MESH_MCREC_HEAD, len);

        if (ix->none) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* in the place of the end: the index, and an end that says where it is */
static ngx_int_t
ngx_mesh_record_index_write(const mesh_mcrec_index_t *ix, int fd, off_t size,
    const u_char *tail, off_t *grown)
{
    off_t                at;
    size_t               len, all;
    u_char              *buf, *p;
    ngx_int_t            rc;
    mesh_mcrec_block_t   b;

    len = mesh_mcrec_index_write(ix, NULL, 0);

    if (len == 0 || mesh_mcrec_parse(tail, MESH_MCREC_HEAD, &b) != MESH_OK) {
        return NGX_DECLINED;
    }

    all = MESH_MCREC_HEAD + len + NGX_MESH_RECORD_TAIL;

    buf = malloc(all);
    if (buf == NULL) {
        return NGX_DECLINED;
    }

    at = size - NGX_MESH_RECORD_TAIL;

    b.type = MESH_MCREC_INDEX;
    b.size = len;
    p = mesh_mcrec_head(buf, &b);
    (void) mesh_mcrec_index_write(ix, (char *) p, len);

    b.type = MESH_MCREC_END;
    b.size = MESH_MCREC_HEAD;
    b.time = at;
    p = mesh_mcrec_head(p + len, &b);
    ngx_memcpy(p, MESH_MCREC_INDEXED, MESH_MCREC_HEAD);

    rc = ngx_mesh_record_index_put(fd, buf, all, at);

    if (rc == NGX_OK) {
        *grown = at + (off_t) all;
    }

    free(buf);

    return rc;
}


static ngx_int_t
ngx_mesh_record_index_put(int fd, const u_char *p, size_t len, off_t offset)
{
    ssize_t  n;

    while (len) {
        n = pwrite(fd, p, len, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        p += n;
        len -= n;
        offset += n;
    }

    return NGX_OK;
}
