/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <ngx_config.h>
#include <json-c/json.h>

#include "ngx_mesh_json.h"
#include "../../proto/mesh_ws.h"


/* json-c counts the values inside of the innermost as a level */
#define NGX_MESH_JSON_DEPTH   17

#define NGX_MESH_JSON_DOUBLE  9007199254740992.0      /* 2^53 */


static struct json_tokener *ngx_mesh_json_tokener(void);
static ngx_mesh_json_t *ngx_mesh_json_parse_by(struct json_tokener *tok,
    const u_char *data, size_t len);
static void ngx_mesh_jw_need(ngx_mesh_jw_t *w, size_t size);
static void ngx_mesh_jw_put(ngx_mesh_jw_t *w, const void *p, size_t len);
static void ngx_mesh_jw_quote(ngx_mesh_jw_t *w, const u_char *p, size_t len);
static void ngx_mesh_jw_begin(ngx_mesh_jw_t *w, const char *name);
static void ngx_mesh_jw_value(ngx_mesh_jw_t *w, ngx_mesh_json_t *j);
static size_t ngx_mesh_jw_char(const u_char *p, const u_char *last);


ngx_mesh_json_t *
ngx_mesh_json_parse(const u_char *data, size_t len)
{
    static struct json_tokener  *tok;

    if (tok == NULL) {
        tok = ngx_mesh_json_tokener();
    }

    return tok ? ngx_mesh_json_parse_by(tok, data, len) : NULL;
}


ngx_mesh_json_t *
ngx_mesh_json_parse_thread(const u_char *data, size_t len)
{
    ngx_mesh_json_t      *j;
    struct json_tokener  *tok;

    tok = ngx_mesh_json_tokener();
    if (tok == NULL) {
        return NULL;
    }

    j = ngx_mesh_json_parse_by(tok, data, len);
    json_tokener_free(tok);

    return j;
}


static struct json_tokener *
ngx_mesh_json_tokener(void)
{
    struct json_tokener  *tok;

    tok = json_tokener_new_ex(NGX_MESH_JSON_DEPTH);

    if (tok) {
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT
                                    |JSON_TOKENER_ALLOW_TRAILING_CHARS);
    }

    return tok;
}


static ngx_mesh_json_t *
ngx_mesh_json_parse_by(struct json_tokener *tok, const u_char *data,
    size_t len)
{
    size_t            used;
    ngx_mesh_json_t  *j;

    if (len > NGX_MAX_INT32_VALUE) {
        return NULL;
    }

    json_tokener_reset(tok);

    j = json_tokener_parse_ex(tok, (const char *) data, (int) len);
    if (j == NULL) {
        return NULL;
    }

    used = json_tokener_get_parse_end(tok);

    while (used < len && (data[used] == ' ' || data[used] == '\t'
                          || data[used] == CR || data[used] == LF))
    {
        used++;
    }

    if (used != len || !json_object_is_type(j, json_type_object)) {
        json_object_put(j);
        return NULL;
    }

    return j;
}


void
ngx_mesh_json_free(ngx_mesh_json_t *j)
{
    json_object_put(j);
}


ngx_mesh_json_t *
ngx_mesh_json_get(ngx_mesh_json_t *j, const char *name)
{
    ngx_mesh_json_t  *v;

    if (!json_object_is_type(j, json_type_object)
        || !json_object_object_get_ex(j, name, &v))
    {
        return NULL;
    }

    return v;
}


ngx_int_t
ngx_mesh_json_str(ngx_mesh_json_t *j, const char *name, ngx_str_t *s)
{
    ngx_mesh_json_t  *v;

    v = ngx_mesh_json_get(j, name);

    return v ? ngx_mesh_json_text(v, s) : NGX_DECLINED;
}


ngx_int_t
ngx_mesh_json_text(ngx_mesh_json_t *j, ngx_str_t *s)
{
    if (!json_object_is_type(j, json_type_string)) {
        return NGX_ERROR;
    }

    s->data = (u_char *) json_object_get_string(j);
    s->len = json_object_get_string_len(j);

    return ngx_strlen(s->data) == s->len ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_mesh_json_int(ngx_mesh_json_t *j, const char *name, int64_t *v,
    int64_t min, int64_t max)
{
    double            d;
    int64_t           n;
    ngx_mesh_json_t  *value;

    value = ngx_mesh_json_get(j, name);

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (json_object_is_type(value, json_type_int)) {
        /* what is past 64 bits comes as the largest */
        n = json_object_get_int64(value);

    } else if (json_object_is_type(value, json_type_double)) {
        d = json_object_get_double(value);

        /* written so that a NaN fails */
        if (!(d >= -NGX_MESH_JSON_DOUBLE && d <= NGX_MESH_JSON_DOUBLE)) {
            return NGX_ERROR;
        }

        n = (int64_t) d;

        if ((double) n != d) {
            return NGX_ERROR;
        }

    } else {
        return NGX_ERROR;
    }

    if (n < min || n > max) {
        return NGX_ERROR;
    }

    *v = n;

    return NGX_OK;
}


ngx_int_t
ngx_mesh_json_bool(ngx_mesh_json_t *j, const char *name, ngx_uint_t *v)
{
    ngx_mesh_json_t  *value;

    value = ngx_mesh_json_get(j, name);

    if (value == NULL) {
        return NGX_DECLINED;
    }

    if (!json_object_is_type(value, json_type_boolean)) {
        return NGX_ERROR;
    }

    *v = json_object_get_boolean(value) ? 1 : 0;

    return NGX_OK;
}


ngx_mesh_json_t *
ngx_mesh_json_object(ngx_mesh_json_t *j, const char *name)
{
    ngx_mesh_json_t  *v;

    v = ngx_mesh_json_get(j, name);

    return json_object_is_type(v, json_type_object) ? v : NULL;
}


ngx_mesh_json_t *
ngx_mesh_json_array(ngx_mesh_json_t *j, const char *name)
{
    ngx_mesh_json_t  *v;

    v = ngx_mesh_json_get(j, name);

    return json_object_is_type(v, json_type_array) ? v : NULL;
}


ngx_uint_t
ngx_mesh_json_count(ngx_mesh_json_t *array)
{
    return json_object_is_type(array, json_type_array)
           ? json_object_array_length(array) : 0;
}


ngx_mesh_json_t *
ngx_mesh_json_at(ngx_mesh_json_t *array, ngx_uint_t i)
{
    return i < ngx_mesh_json_count(array)
           ? json_object_array_get_idx(array, i) : NULL;
}


ngx_int_t
ngx_mesh_json_members(ngx_mesh_json_t *j,
    ngx_int_t (*fn)(const char *name, ngx_mesh_json_t *value, void *data),
    void *data)
{
    ngx_int_t              rc;
    struct lh_entry       *entry;

    if (!json_object_is_type(j, json_type_object)) {
        return NGX_DECLINED;
    }

    for (entry = json_object_get_object(j)->head;
         entry;
         entry = entry->next)
    {
        rc = fn(lh_entry_k(entry), (ngx_mesh_json_t *) lh_entry_v(entry),
                data);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_jw_init(ngx_mesh_jw_t *w, ngx_pool_t *pool, size_t size)
{
    ngx_memzero(w, sizeof(ngx_mesh_jw_t));

    w->pool = pool;
    w->start = ngx_pnalloc(pool, size);

    if (w->start == NULL) {
        w->failed = 1;
        return NGX_ERROR;
    }

    w->pos = w->start;
    w->end = w->start + size;

    return NGX_OK;
}


/* room for size bytes; if there is no memory, nothing is written any more */
static void
ngx_mesh_jw_need(ngx_mesh_jw_t *w, size_t size)
{
    u_char  *p;
    size_t   len, room;

    if (w->failed || (size_t) (w->end - w->pos) >= size) {
        return;
    }

    len = w->pos - w->start;
    room = (w->end - w->start) * 2;

    if (room < len + size) {
        room = len + size + 256;
    }

    p = ngx_pnalloc(w->pool, room);
    if (p == NULL) {
        w->failed = 1;
        return;
    }

    ngx_memcpy(p, w->start, len);

    /* a large one is its own allocation, and free again at once */
    (void) ngx_pfree(w->pool, w->start);

    w->start = p;
    w->pos = p + len;
    w->end = p + room;
}


static void
ngx_mesh_jw_put(ngx_mesh_jw_t *w, const void *p, size_t len)
{
    ngx_mesh_jw_need(w, len);

    if (!w->failed) {
        w->pos = ngx_cpymem(w->pos, p, len);
    }
}


static void
ngx_mesh_jw_begin(ngx_mesh_jw_t *w, const char *name)
{
    if (w->comma) {
        ngx_mesh_jw_put(w, ",", 1);
    }

    if (name) {
        ngx_mesh_jw_quote(w, (const u_char *) name, ngx_strlen(name));
        ngx_mesh_jw_put(w, ":", 1);
    }

    w->comma = 1;
}


void
ngx_mesh_jw_open(ngx_mesh_jw_t *w, const char *name, u_char bracket)
{
    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_put(w, &bracket, 1);

    w->comma = 0;
}


void
ngx_mesh_jw_shut(ngx_mesh_jw_t *w, u_char bracket)
{
    ngx_mesh_jw_put(w, &bracket, 1);

    w->comma = 1;
}


void
ngx_mesh_jw_str(ngx_mesh_jw_t *w, const char *name, const ngx_str_t *s)
{
    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_quote(w, s->data, s->len);
}


void
ngx_mesh_jw_cstr(ngx_mesh_jw_t *w, const char *name, const char *s)
{
    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_quote(w, (const u_char *) s, ngx_strlen(s));
}


void
ngx_mesh_jw_int(ngx_mesh_jw_t *w, const char *name, int64_t v)
{
    u_char  buf[NGX_INT64_LEN + 1], *last;

    last = ngx_sprintf(buf, "%L", v);

    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_put(w, buf, last - buf);
}


void
ngx_mesh_jw_bool(ngx_mesh_jw_t *w, const char *name, ngx_uint_t v)
{
    ngx_mesh_jw_begin(w, name);

    if (v) {
        ngx_mesh_jw_put(w, "true", 4);

    } else {
        ngx_mesh_jw_put(w, "false", 5);
    }
}


void
ngx_mesh_jw_null(ngx_mesh_jw_t *w, const char *name)
{
    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_put(w, "null", 4);
}


void
ngx_mesh_jw_raw(ngx_mesh_jw_t *w, const char *name, const ngx_str_t *s)
{
    if (s->len == 0) {
        ngx_mesh_jw_null(w, name);
        return;
    }

    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_put(w, s->data, s->len);
}


void
ngx_mesh_jw_json(ngx_mesh_jw_t *w, const char *name, ngx_mesh_json_t *j)
{
    ngx_mesh_jw_begin(w, name);
    ngx_mesh_jw_value(w, j);
}


void
ngx_mesh_jw_name(ngx_mesh_jw_t *w, const ngx_str_t *name)
{
    ngx_mesh_jw_begin(w, NULL);
    ngx_mesh_jw_quote(w, name->data, name->len);
    ngx_mesh_jw_put(w, ":", 1);

    w->comma = 0;
}


/* no deeper than the parser let it become */
static void
ngx_mesh_jw_value(ngx_mesh_jw_t *w, ngx_mesh_json_t *j)
{
    size_t             i, n;
    ngx_str_t          name;
    const char        *text;
    struct lh_entry   *entry;

    w->comma = 0;

    switch (json_object_get_type(j)) {

    case json_type_object:
        ngx_mesh_jw_put(w, "{", 1);

        for (entry = json_object_get_object(j)->head;
             entry;
             entry = entry->next)
        {
            name.data = (u_char *) lh_entry_k(entry);
            name.len = ngx_strlen(name.data);

            ngx_mesh_jw_name(w, &name);
            ngx_mesh_jw_value(w, (ngx_mesh_json_t *) lh_entry_v(entry));
        }

        ngx_mesh_jw_put(w, "}", 1);
        break;

    case json_type_array:
        ngx_mesh_jw_put(w, "[", 1);

        n = json_object_array_length(j);

        for (i = 0; i < n; i++) {
            if (i) {
                ngx_mesh_jw_put(w, ",", 1);
            }

            ngx_mesh_jw_value(w, json_object_array_get_idx(j, i));
        }

        ngx_mesh_jw_put(w, "]", 1);
        break;

    case json_type_string:
        ngx_mesh_jw_quote(w, (const u_char *) json_object_get_string(j),
                          json_object_get_string_len(j));
        break;

    case json_type_null:
        ngx_mesh_jw_put(w, "null", 4);
        break;

    default:                          /* numbers, true, false */
        text = json_object_to_json_string_ext(j, JSON_C_TO_STRING_PLAIN);

        if (text == NULL) {
            w->failed = 1;
            return;
        }

        ngx_mesh_jw_put(w, text, ngx_strlen(text));
    }

    w->comma = 1;
}


/* bytes of the character at p, or 0: it is not UTF-8 (RFC 3629) */
static size_t
ngx_mesh_jw_char(const u_char *p, const u_char *last)
{
    size_t  i, n;
    u_char  low, high;

    low = 0x80;
    high = 0xbf;

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    if (p[0] < 0xe0) {
        n = 2;

    } else if (p[0] < 0xf0) {
        n = 3;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;
        high = p[0] == 0xed ? 0x9f : 0xbf;

    } else {
        n = 4;
        low = p[0] == 0xf0 ? 0x90 : 0x80;
        high = p[0] == 0xf4 ? 0x8f : 0xbf;
    }

    if ((size_t) (last - p) < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


static void
ngx_mesh_jw_quote(ngx_mesh_jw_t *w, const u_char *p, size_t len)
{
    u_char               ch;
    size_t               n;
    const u_char        *last, *start;

    static const u_char  hex[] = "0123456789abcdef";

    last = p + len;

    ngx_mesh_jw_need(w, len + 2);
    ngx_mesh_jw_put(w, "\"", 1);

    while (p < last) {
        start = p;

        while (p < last && *p >= ' ' && *p < 0x7f && *p != '"' && *p != '\\') {
            p++;
        }

        if (p != start) {
            ngx_mesh_jw_put(w, start, p - start);
            continue;
        }

        ch = *p;

        if (ch >= 0x80) {
            n = ngx_mesh_jw_char(p, last);

            if (n == 0) {
                ngx_mesh_jw_put(w, "\xef\xbf\xbd", 3);      /* U+FFFD */
                p++;
                continue;
            }

            ngx_mesh_jw_put(w, p, n);
            p += n;
            continue;
        }

        ngx_mesh_jw_need(w, 6);

        if (w->failed) {
            return;
        }

        *w->pos++ = '\\';

        switch (ch) {

        case '"':
        case '\\':
            *w->pos++ = ch;
            break;

        case '\n':
            *w->pos++ = 'n';
            break;

        case '\r':
            *w->pos++ = 'r';
            break;

        case '\t':
            *w->pos++ = 't';
            break;

        default:
            w->pos = ngx_cpymem(w->pos, "u00", 3);
            *w->pos++ = hex[ch >> 4];
            *w->pos++ = hex[ch & 15];
        }

        p++;
    }

    ngx_mesh_jw_put(w, "\"", 1);
}


ngx_int_t
ngx_mesh_jw_done(ngx_mesh_jw_t *w, ngx_str_t *out)
{
    if (w->failed) {
        return NGX_ERROR;
    }

    out->data = w->start;
    out->len = w->pos - w->start;

    return NGX_OK;
}


void
ngx_mesh_text_clean(ngx_str_t *s)
{
    size_t       i;
    mesh_utf8_t  utf8;

    ngx_memzero(&utf8, sizeof(mesh_utf8_t));
    mesh_utf8_repair(&utf8, s->data, s->len, 0);

    for (i = 0; i < s->len; i++) {
        if (s->data[i] < 0x20 || s->data[i] == 0x7f) {
            s->data[i] = '?';
        }
    }
}
