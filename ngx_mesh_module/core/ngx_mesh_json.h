/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * JSON: reading through getters that check type, range and text (json-c
 * behind), and writing into a growing buffer in a pool.
 */

#ifndef _NGX_MESH_JSON_H_INCLUDED_
#define _NGX_MESH_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

struct json_object;
typedef struct json_object  ngx_mesh_json_t;


/*
 * Depth at most 16, one object, nothing behind it.  NULL: does not parse.
 * Free with ngx_mesh_json_free().
 */
ngx_mesh_json_t *ngx_mesh_json_parse(const u_char *data, size_t len);
/* the same, in any thread */
ngx_mesh_json_t *ngx_mesh_json_parse_thread(const u_char *data, size_t len);
void ngx_mesh_json_free(ngx_mesh_json_t *j);

/* NGX_OK; NGX_DECLINED: absent (or null); NGX_ERROR: another type or range */
ngx_int_t ngx_mesh_json_str(ngx_mesh_json_t *j, const char *name,
    ngx_str_t *s);                    /* borrows; never NUL inside: NGX_ERROR */
ngx_int_t ngx_mesh_json_int(ngx_mesh_json_t *j, const char *name, int64_t *v,
    int64_t min, int64_t max);
ngx_int_t ngx_mesh_json_bool(ngx_mesh_json_t *j, const char *name,
    ngx_uint_t *v);
/* borrowed child, or NULL when absent or of another type */
ngx_mesh_json_t *ngx_mesh_json_object(ngx_mesh_json_t *j, const char *name);
ngx_mesh_json_t *ngx_mesh_json_array(ngx_mesh_json_t *j, const char *name);
ngx_mesh_json_t *ngx_mesh_json_get(ngx_mesh_json_t *j, const char *name);
ngx_uint_t ngx_mesh_json_count(ngx_mesh_json_t *array);
ngx_mesh_json_t *ngx_mesh_json_at(ngx_mesh_json_t *array, ngx_uint_t i);
/* the value itself as string */
ngx_int_t ngx_mesh_json_text(ngx_mesh_json_t *j, ngx_str_t *s);
/* walks the members of an object; fn returns NGX_OK to go on */
ngx_int_t ngx_mesh_json_members(ngx_mesh_json_t *j,
    ngx_int_t (*fn)(const char *name, ngx_mesh_json_t *value, void *data),
    void *data);


/*
 * Text of a peer, in place and with the same length: bad UTF-8 and control
 * characters become marks that every page can show.
 */
void ngx_mesh_text_clean(ngx_str_t *s);


/* The writer: commas by itself; errors are sticky, seen at the end. */

typedef struct {
    ngx_pool_t  *pool;
    u_char      *start, *pos, *end;
    unsigned     comma:1;
    unsigned     failed:1;
} ngx_mesh_jw_t;

ngx_int_t ngx_mesh_jw_init(ngx_mesh_jw_t *w, ngx_pool_t *pool, size_t size);
void ngx_mesh_jw_open(ngx_mesh_jw_t *w, const char *name, u_char bracket);
                                      /* '{' or '['; name NULL in arrays */
void ngx_mesh_jw_shut(ngx_mesh_jw_t *w, u_char bracket);   /* '}' or ']' */
void ngx_mesh_jw_str(ngx_mesh_jw_t *w, const char *name, const ngx_str_t *s);
void ngx_mesh_jw_cstr(ngx_mesh_jw_t *w, const char *name, const char *s);
void ngx_mesh_jw_int(ngx_mesh_jw_t *w, const char *name, int64_t v);
void ngx_mesh_jw_bool(ngx_mesh_jw_t *w, const char *name, ngx_uint_t v);
void ngx_mesh_jw_null(ngx_mesh_jw_t *w, const char *name);
/* text that is JSON already (from the database or a parsed value) */
void ngx_mesh_jw_raw(ngx_mesh_jw_t *w, const char *name, const ngx_str_t *s);
/* a parsed value, written anew with text repaired */
void ngx_mesh_jw_json(ngx_mesh_jw_t *w, const char *name, ngx_mesh_json_t *j);
/* member whose name is data of a peer */
void ngx_mesh_jw_name(ngx_mesh_jw_t *w, const ngx_str_t *name);
/* NGX_OK and the text, or NGX_ERROR (no memory) */
ngx_int_t ngx_mesh_jw_done(ngx_mesh_jw_t *w, ngx_str_t *out);


#endif /* _NGX_MESH_JSON_H_INCLUDED_ */
