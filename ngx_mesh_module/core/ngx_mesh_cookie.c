/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <ngx_config.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "ngx_mesh_cookie.h"
#include "ngx_mesh_conf.h"
#include "../../proto/mesh_ticket.h"


#define NGX_MESH_TICKET_KEY       32
#define NGX_MESH_TICKET_MAX       1536  /* bytes of text */
#define NGX_MESH_TICKET_SKEW      30    /* seconds */

#define NGX_MESH_KEYS             16
#define NGX_MESH_KEY_NAME         32
#define NGX_MESH_KEY_MAX          128   /* bytes */

/*
 * 200,000 rounds for one block of SHA-384 take 110 ms here.  More output than
 * a block costs us more and whoever guesses nothing: he compares the first.
 */
#define NGX_MESH_PASSWORD_ROUNDS  200000
#define NGX_MESH_PASSWORD_LEN     48
#define NGX_MESH_PASSWORD_SALT    24    /* bytes: 32 characters */
#define NGX_MESH_PASSWORD_MIN     1000
#define NGX_MESH_PASSWORD_MOST    5000000
#define NGX_MESH_PASSWORD_OUT     128   /* imported ones (control.md 2.6) */
#define NGX_MESH_PASSWORD_TEXT    160
#define NGX_MESH_PASSWORD_RUN     2     /* at once */
#define NGX_MESH_PASSWORD_WAIT    64

#define NGX_MESH_PASSWORD_SCHEME  "pbkdf2-sha384$"


typedef struct {
    u_char                name[NGX_MESH_KEY_NAME];
    u_char                secret[NGX_MESH_KEY_MAX];
    ngx_str_t             value;
    int64_t               created_at;
} ngx_mesh_key_t;


typedef struct {
    ngx_mesh_password_t  *password;
    ngx_queue_t           queue;
    ngx_thread_task_t    *task;
    u_char               *out;          /* room for the made text */
    u_char                salt[NGX_MESH_PASSWORD_SALT];
    unsigned              hash:1;       /* make one, else verify */
    unsigned              ok:1;
    unsigned              rehash:1;
} ngx_mesh_password_ctx_t;


static void ngx_mesh_server_keys_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc);
static ngx_mesh_key_t *ngx_mesh_server_key_find(const char *name);

static ngx_int_t ngx_mesh_ticket_json(const ngx_mesh_ticket_t *t,
    ngx_pool_t *pool, ngx_str_t *json);
static ngx_int_t ngx_mesh_ticket_seal(const ngx_str_t *key, u_char kind,
    const ngx_str_t *json, u_char *out);
static ngx_int_t ngx_mesh_ticket_unseal(const ngx_str_t *key, u_char kind,
    const u_char *in, size_t len, u_char *out);
static ngx_int_t ngx_mesh_ticket_fields(ngx_mesh_ticket_t *t,
    ngx_mesh_json_t *j, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_ticket_text(ngx_mesh_json_t *j, const char *name,
    ngx_str_t *dst, ngx_pool_t *pool);
static ngx_int_t ngx_mesh_ticket_hex(ngx_mesh_json_t *j, const char *name,
    u_char *dst, size_t len);
static ngx_int_t ngx_mesh_hex_parse(u_char *dst, const u_char *src,
    size_t len);

static ngx_int_t ngx_mesh_password_post(ngx_mesh_password_t *p,
    ngx_uint_t hash);
static ngx_int_t ngx_mesh_password_start(ngx_mesh_password_ctx_t *ctx);
static void ngx_mesh_password_thread(void *data, ngx_log_t *log);
static void ngx_mesh_password_check(ngx_mesh_password_ctx_t *ctx);
static void ngx_mesh_password_make(ngx_mesh_password_ctx_t *ctx);
static void ngx_mesh_password_done(ngx_event_t *ev);


static ngx_mesh_key_t   ngx_mesh_keys[NGX_MESH_KEYS];
static ngx_uint_t       ngx_mesh_nkeys;

static ngx_queue_t      ngx_mesh_password_queue;
static ngx_uint_t       ngx_mesh_password_waiting;
static ngx_uint_t       ngx_mesh_password_running;


void
ngx_mesh_server_keys_load(void)
{
    ngx_mesh_db_req_t  *q;

    q = ngx_mesh_db_create(ngx_mesh_server_keys_loaded, NULL);

    if (q) {
        ngx_mesh_db_stmt(q, MESH_SQL_MODEL_KEYS);
        (void) ngx_mesh_db_send(q);
    }
}


static void
ngx_mesh_server_keys_loaded(ngx_mesh_db_req_t *q, ngx_int_t rc)
{
    ngx_str_t       *row;
    ngx_uint_t       i;
    ngx_mesh_key_t  *key;

    if (rc != NGX_OK) {
        return;                       /* when the database is back, again */
    }

    ngx_explicit_memzero(ngx_mesh_keys, sizeof(ngx_mesh_keys));
    ngx_mesh_nkeys = 0;

    for (i = 0; i < ngx_mesh_db_rows(q, 0); i++) {
        row = ngx_mesh_db_row(q, 0, i);

        if (ngx_mesh_nkeys == NGX_MESH_KEYS
            || row[0].len >= NGX_MESH_KEY_NAME
            || row[1].len > NGX_MESH_KEY_MAX * 2)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "mesh key \"%V\": too long or too many", &row[0]);
            continue;
        }

        key = &ngx_mesh_keys[ngx_mesh_nkeys];

        if (ngx_mesh_hex_parse(key->secret, row[1].data, row[1].len)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "mesh key \"%V\": not hex", &row[0]);
            continue;
        }

        (void) ngx_cpystrn(key->name, row[0].data, row[0].len + 1);
        key->value.data = key->secret;
        key->value.len = row[1].len / 2;
        key->created_at = ngx_mesh_db_num(&row[2]);

        ngx_mesh_nkeys++;
    }
}


static ngx_mesh_key_t *
ngx_mesh_server_key_find(const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_mesh_nkeys; i++) {
        if (ngx_strcmp(ngx_mesh_keys[i].name, name) == 0) {
            return &ngx_mesh_keys[i];
        }
    }

    return NULL;
}


ngx_str_t *
ngx_mesh_server_key(const char *name)
{
    ngx_mesh_key_t  *key;

    key = ngx_mesh_server_key_find(name);

    return key ? &key->value : NULL;
}


ngx_int_t
ngx_mesh_ticket_write(const ngx_mesh_ticket_t *t, ngx_pool_t *pool,
    ngx_str_t *out)
{
    u_char           sealed[MESH_TICKET_HEAD + NGX_MESH_TICKET_MAX];
    ngx_str_t        json;
    ngx_uint_t       n;
    ngx_mesh_key_t  *key;

    key = ngx_mesh_server_key_find("ticket");

    if (key == NULL || key->value.len < NGX_MESH_TICKET_KEY
        || ngx_mesh_ticket_json(t, pool, &json) != NGX_OK
        || json.len > NGX_MESH_TICKET_MAX * 3 / 4 - MESH_TICKET_HEAD)
    {
        return NGX_ERROR;
    }

    out->data = ngx_pnalloc(pool,
                            mesh_ticket_len(MESH_TICKET_HEAD + json.len));
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    /* one in 20 has to be made again; 64: never */

    for (n = 0; n < 64; n++) {
        if (ngx_mesh_ticket_seal(&key->value, t->kind, &json, sealed)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        out->len = mesh_ticket_encode((char *) out->data, sealed,
                                      MESH_TICKET_HEAD + json.len);

        if (out->len) {
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* what is zero is left out */
static ngx_int_t
ngx_mesh_ticket_json(const ngx_mesh_ticket_t *t, ngx_pool_t *pool,
    ngx_str_t *json)
{
    u_char               hex[96];
    size_t               i;
    ngx_str_t            s;
    ngx_mesh_jw_t        w;

    static const u_char  zeros[48];

    const struct {
        const char      *name;
        int64_t          n;
    } number[] = {
        { "t", (int64_t) ngx_time() },
        { "e", (int64_t) t->expires },
        { "dom", t->domain_id },
        { "acc", t->account_id },
        { "dev", t->device_id },
        { "grp", t->group_id },
        { "pw", t->password_at },
        { "p", (int64_t) t->p },
        { "r", (int64_t) t->rights },
        { "to", (int64_t) t->port }
    };

    if (ngx_mesh_jw_init(&w, pool, 512) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_mesh_jw_open(&w, NULL, '{');

    for (i = 0; i < sizeof(number) / sizeof(number[0]); i++) {
        if (number[i].n) {
            ngx_mesh_jw_int(&w, number[i].name, number[i].n);
        }
    }

    s.data = hex;

    if (ngx_memcmp(t->node, zeros, 48) != 0) {
        s.len = ngx_hex_dump(hex, (u_char *) t->node, 48) - hex;
        ngx_mesh_jw_str(&w, "n", &s);
    }

    if (ngx_memcmp(t->session, zeros, 32) != 0) {
        s.len = ngx_hex_dump(hex, (u_char *) t->session, 32) - hex;
        ngx_mesh_jw_str(&w, "s", &s);
    }

    if (t->id.len) {
        ngx_mesh_jw_str(&w, "id", &t->id);
    }

    if (t->addr.len) {
        ngx_mesh_jw_str(&w, "at", &t->addr);
    }

    ngx_mesh_jw_shut(&w, '}');

    return ngx_mesh_jw_done(&w, json);
}


/* iv, tag, ciphertext */
static ngx_int_t
ngx_mesh_ticket_seal(const ngx_str_t *key, u_char kind, const ngx_str_t *json,
    u_char *out)
{
    int              n;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    if (ngx_mesh_random(out, MESH_TICKET_IV) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->data, out) == 1
        && EVP_EncryptUpdate(ctx, NULL, &n, &kind, 1) == 1
        && EVP_EncryptUpdate(ctx, out + MESH_TICKET_HEAD, &n, json->data,
                             (int) json->len)
           == 1
        && EVP_EncryptFinal_ex(ctx, out + MESH_TICKET_HEAD + n, &n) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, MESH_TICKET_TAG,
                               out + MESH_TICKET_IV)
           == 1)
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


static ngx_int_t
ngx_mesh_ticket_unseal(const ngx_str_t *key, u_char kind, const u_char *in,
    size_t len, u_char *out)
{
    int              n;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_DECLINED;

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->data, in) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, MESH_TICKET_TAG,
                               (void *) (in + MESH_TICKET_IV))
           == 1
        && EVP_DecryptUpdate(ctx, NULL, &n, &kind, 1) == 1
        && EVP_DecryptUpdate(ctx, out, &n, in + MESH_TICKET_HEAD,
                             (int) (len - MESH_TICKET_HEAD))
           == 1
        && EVP_DecryptFinal_ex(ctx, out + n, &n) == 1)
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


ngx_int_t
ngx_mesh_ticket_read(ngx_mesh_ticket_t *t, u_char kind, const ngx_str_t *text,
    ngx_pool_t *pool)
{
    int               len;
    u_char            bin[NGX_MESH_TICKET_MAX], json[NGX_MESH_TICKET_MAX];
    ngx_int_t         rc;
    ngx_mesh_key_t   *key, *old;
    ngx_mesh_json_t  *j;

    if (text->len > NGX_MESH_TICKET_MAX) {
        return NGX_DECLINED;
    }

    len = mesh_ticket_decode(bin, sizeof(bin), (char *) text->data, text->len);

    if (len == MESH_ERROR) {
        return NGX_DECLINED;
    }

    key = ngx_mesh_server_key_find("ticket");
    old = ngx_mesh_server_key_find("ticket-old");

    rc = NGX_DECLINED;

    if (key && key->value.len >= NGX_MESH_TICKET_KEY) {
        rc = ngx_mesh_ticket_unseal(&key->value, kind, bin, len, json);

        if (rc == NGX_DECLINED && old && old->value.len >= NGX_MESH_TICKET_KEY
            && key->created_at + NGX_MESH_TICKET_OVERLAP > ngx_mesh_now_ms())
        {
            rc = ngx_mesh_ticket_unseal(&old->value, kind, bin, len, json);
        }
    }

    if (rc != NGX_OK) {
        return NGX_DECLINED;
    }

    j = ngx_mesh_json_parse(json, len - MESH_TICKET_HEAD);
    if (j == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(t, sizeof(ngx_mesh_ticket_t));
    t->kind = kind;

    rc = ngx_mesh_ticket_fields(t, j, pool);

    ngx_mesh_json_free(j);

    return rc;
}


static ngx_int_t
ngx_mesh_ticket_fields(ngx_mesh_ticket_t *t, ngx_mesh_json_t *j,
    ngx_pool_t *pool)
{
    int64_t    created, expires, p, rights, port;
    ngx_int_t  rc;

    created = 0;
    expires = 0;
    p = 0;
    rights = 0;
    port = 0;

    if (ngx_mesh_json_int(j, "t", &created, 1, NGX_MAX_INT_T_VALUE) != NGX_OK
        || ngx_mesh_json_int(j, "e", &expires, 1, NGX_MAX_INT_T_VALUE)
           != NGX_OK
        || created > (int64_t) ngx_time() + NGX_MESH_TICKET_SKEW
        || expires <= (int64_t) ngx_time())
    {
        return NGX_DECLINED;
    }

    if (ngx_mesh_json_int(j, "dom", &t->domain_id, 1, NGX_MAX_INT_T_VALUE)
           == NGX_ERROR
        || ngx_mesh_json_int(j, "acc", &t->account_id, 1, NGX_MAX_INT_T_VALUE)
           == NGX_ERROR
        || ngx_mesh_json_int(j, "dev", &t->device_id, 1, NGX_MAX_INT_T_VALUE)
           == NGX_ERROR
        || ngx_mesh_json_int(j, "grp", &t->group_id, 1, NGX_MAX_INT_T_VALUE)
           == NGX_ERROR
        || ngx_mesh_json_int(j, "pw", &t->password_at, 1, NGX_MAX_INT_T_VALUE)
           == NGX_ERROR
        || ngx_mesh_json_int(j, "p", &p, 1, 0xffffffff) == NGX_ERROR
        || ngx_mesh_json_int(j, "r", &rights, 1, 0xffffffff) == NGX_ERROR
        || ngx_mesh_json_int(j, "to", &port, 1, 65535) == NGX_ERROR
        || ngx_mesh_ticket_hex(j, "n", t->node, 48) != NGX_OK
        || ngx_mesh_ticket_hex(j, "s", t->session, 32) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    t->expires = (time_t) expires;
    t->p = (uint32_t) p;
    t->rights = (uint32_t) rights;
    t->port = (uint32_t) port;

    rc = ngx_mesh_ticket_text(j, "id", &t->id, pool);

    return rc == NGX_OK ? ngx_mesh_ticket_text(j, "at", &t->addr, pool) : rc;
}


/* absent: dst stays as it is */
static ngx_int_t
ngx_mesh_ticket_text(ngx_mesh_json_t *j, const char *name, ngx_str_t *dst,
    ngx_pool_t *pool)
{
    ngx_str_t  s;

    switch (ngx_mesh_json_str(j, name, &s)) {

    case NGX_OK:
        dst->data = ngx_pstrdup(pool, &s);
        if (dst->data == NULL) {
            return NGX_ERROR;
        }

        dst->len = s.len;
        return NGX_OK;

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/* absent: dst stays as it is */
static ngx_int_t
ngx_mesh_ticket_hex(ngx_mesh_json_t *j, const char *name, u_char *dst,
    size_t len)
{
    ngx_str_t  s;

    switch (ngx_mesh_json_str(j, name, &s)) {

    case NGX_OK:
        return s.len == len * 2 ? ngx_mesh_hex_parse(dst, s.data, s.len)
                                : NGX_ERROR;

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


static ngx_int_t
ngx_mesh_hex_parse(u_char *dst, const u_char *src, size_t len)
{
    size_t     i;
    ngx_int_t  n;

    if (len % 2) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i += 2) {
        n = ngx_hextoi((u_char *) src + i, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *dst++ = (u_char) n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mesh_password_verify(ngx_mesh_password_t *p)
{
    return ngx_mesh_password_post(p, 0);
}


ngx_int_t
ngx_mesh_password_hash(ngx_mesh_password_t *p)
{
    return ngx_mesh_password_post(p, 1);
}


static ngx_int_t
ngx_mesh_password_post(ngx_mesh_password_t *p, ngx_uint_t hash)
{
    ngx_thread_task_t        *task;
    ngx_mesh_password_ctx_t  *ctx;

    p->ok = 0;
    p->rehash = 0;
    ngx_str_null(&p->made);

    if (ngx_mesh_password_running >= NGX_MESH_PASSWORD_RUN
        && ngx_mesh_password_waiting >= NGX_MESH_PASSWORD_WAIT)
    {
        return NGX_BUSY;
    }

    task = ngx_thread_task_alloc(p->pool, sizeof(ngx_mesh_password_ctx_t));
    if (task == NULL) {
        return NGX_ERROR;
    }

    ctx = task->ctx;
    ctx->password = p;
    ctx->task = task;
    ctx->hash = hash;

    task->handler = ngx_mesh_password_thread;
    task->event.handler = ngx_mesh_password_done;
    task->event.data = ctx;
    task->event.log = ngx_cycle->log;

    if (hash) {
        ctx->out = ngx_pnalloc(p->pool, NGX_MESH_PASSWORD_TEXT);

        if (ctx->out == NULL
            || ngx_mesh_random(ctx->salt, NGX_MESH_PASSWORD_SALT) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_mesh_password_running >= NGX_MESH_PASSWORD_RUN) {
        if (ngx_mesh_password_queue.next == NULL) {
            ngx_queue_init(&ngx_mesh_password_queue);
        }

        ngx_queue_insert_tail(&ngx_mesh_password_queue, &ctx->queue);
        ngx_mesh_password_waiting++;

        return NGX_OK;
    }

    return ngx_mesh_password_start(ctx);
}


static ngx_int_t
ngx_mesh_password_start(ngx_mesh_password_ctx_t *ctx)
{
    ngx_str_t           name = ngx_string("default");
    ngx_thread_pool_t  *tp;

    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    if (tp == NULL || ngx_thread_task_post(tp, ctx->task) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "mesh password: no thread for it");
        return NGX_ERROR;
    }

    ngx_mesh_password_running++;

    return NGX_OK;
}


/* in a thread: touches nothing but ctx and what the request lent to it */
static void
ngx_mesh_password_thread(void *data, ngx_log_t *log)
{
    ngx_mesh_password_ctx_t  *ctx = data;

    if (ctx->hash) {
        ngx_mesh_password_make(ctx);

    } else {
        ngx_mesh_password_check(ctx);
    }
}


static void
ngx_mesh_password_check(ngx_mesh_password_ctx_t *ctx)
{
    u_char                want[NGX_MESH_PASSWORD_OUT + 2];
    u_char                got[NGX_MESH_PASSWORD_OUT];
    u_char               *p, *last, *next;
    size_t                len, cost;
    ngx_int_t             rounds;
    ngx_str_t             salt, b64, hash;
    ngx_mesh_password_t  *pw;

    pw = ctx->password;

    p = pw->stored.data;
    last = p + pw->stored.len;

    len = sizeof(NGX_MESH_PASSWORD_SCHEME) - 1;
    hash.len = 0;
    cost = 0;

    if (pw->stored.len < len
        || ngx_memcmp(p, NGX_MESH_PASSWORD_SCHEME, len) != 0)
    {
        goto dummy;
    }

    p += len;
    next = ngx_strlchr(p, last, '$');

    if (next == NULL) {
        goto dummy;
    }

    rounds = ngx_atoi(p, next - p);

    if (rounds < NGX_MESH_PASSWORD_MIN || rounds > NGX_MESH_PASSWORD_MOST) {
        goto dummy;
    }

    salt.data = next + 1;
    next = ngx_strlchr(salt.data, last, '$');

    if (next == NULL) {
        goto dummy;
    }

    salt.len = next - salt.data;

    b64.data = next + 1;
    b64.len = last - b64.data;
    hash.data = want;

    if (ngx_base64_decoded_length(b64.len) > sizeof(want)
        || ngx_decode_base64(&hash, &b64) != NGX_OK
        || hash.len < 32 || hash.len > NGX_MESH_PASSWORD_OUT)
    {
        goto dummy;
    }

    if (PKCS5_PBKDF2_HMAC((char *) pw->password.data, (int) pw->password.len,
                          salt.data, (int) salt.len, (int) rounds,
                          EVP_sha384(), (int) hash.len, got)
        == 1)
    {
        ctx->ok = ngx_mesh_equal(got, want, hash.len);
    }

    cost = rounds * ((hash.len + 47) / 48);
    ctx->rehash = (cost < NGX_MESH_PASSWORD_ROUNDS);

dummy:

    /* a wrong answer takes as long whoever is asked for (S-44) */

    if (cost < NGX_MESH_PASSWORD_ROUNDS) {
        (void) PKCS5_PBKDF2_HMAC((char *) pw->password.data,
                                 (int) pw->password.len,
                                 (u_char *) "dummy", 5,
                                 (int) (NGX_MESH_PASSWORD_ROUNDS - cost),
                                 EVP_sha384(), NGX_MESH_PASSWORD_LEN, got);
    }

    OPENSSL_cleanse(got, sizeof(got));
    OPENSSL_cleanse(want, sizeof(want));
}


static void
ngx_mesh_password_make(ngx_mesh_password_ctx_t *ctx)
{
    u_char               *p, salt_text[64], got[NGX_MESH_PASSWORD_LEN];
    ngx_str_t             salt, bin, text;
    ngx_mesh_password_t  *pw;

    pw = ctx->password;

    bin.data = ctx->salt;
    bin.len = NGX_MESH_PASSWORD_SALT;
    salt.data = salt_text;
    ngx_encode_base64(&salt, &bin);

    /* the bytes of the text are the salt, as in imported ones */

    if (PKCS5_PBKDF2_HMAC((char *) pw->password.data, (int) pw->password.len,
                          salt.data, (int) salt.len, NGX_MESH_PASSWORD_ROUNDS,
                          EVP_sha384(), NGX_MESH_PASSWORD_LEN, got)
        != 1)
    {
        return;
    }

    p = ngx_sprintf(ctx->out, NGX_MESH_PASSWORD_SCHEME "%d$%V$",
                    NGX_MESH_PASSWORD_ROUNDS, &salt);

    bin.data = got;
    bin.len = NGX_MESH_PASSWORD_LEN;
    text.data = p;
    ngx_encode_base64(&text, &bin);

    pw->made.data = ctx->out;
    pw->made.len = p + text.len - ctx->out;

    OPENSSL_cleanse(got, sizeof(got));
}


static void
ngx_mesh_password_done(ngx_event_t *ev)
{
    ngx_queue_t              *head;
    ngx_mesh_password_t      *p;
    ngx_mesh_password_ctx_t  *ctx, *next;

    ctx = ev->data;
    p = ctx->password;

    p->ok = ctx->ok;
    p->rehash = ctx->rehash;

    ngx_mesh_password_running--;

    while (ngx_mesh_password_waiting
           && ngx_mesh_password_running < NGX_MESH_PASSWORD_RUN)
    {
        head = ngx_queue_head(&ngx_mesh_password_queue);
        ngx_queue_remove(head);
        ngx_mesh_password_waiting--;

        next = ngx_queue_data(head, ngx_mesh_password_ctx_t, queue);

        if (ngx_mesh_password_start(next) != NGX_OK) {
            /* as wrong, and made empty: nobody is let in by a failure */
            next->password->done(next->password->data);
        }
    }

    p->done(p->data);                 /* ctx may be gone */
}


ngx_int_t
ngx_mesh_random(u_char *p, size_t n)
{
    if (RAND_bytes(p, (int) n) == 1) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                  "mesh: no random bytes from OpenSSL");

    return NGX_ERROR;
}


ngx_uint_t
ngx_mesh_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}


void
ngx_mesh_sha256(const void *data, size_t len, u_char *hash)
{
    static EVP_MD  *md;

    /* fetched once: looking it up costs more than a short hash */
    if (md == NULL) {
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
    }

    if (md == NULL || EVP_Digest(data, len, hash, NULL, md, NULL) != 1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh: no SHA-256 from OpenSSL");
        ngx_abort();
    }
}


void
ngx_mesh_sha384(const void *data, size_t len, u_char *hash)
{
    static EVP_MD  *md;

    if (md == NULL) {
        md = EVP_MD_fetch(NULL, "SHA384", NULL);
    }

    if (md == NULL || EVP_Digest(data, len, hash, NULL, md, NULL) != 1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh: no SHA-384 from OpenSSL");
        ngx_abort();
    }
}


void
ngx_mesh_hmac_sha256(const ngx_str_t *key, const void *data, size_t len,
    u_char *mac)
{
    unsigned  n;

    if (HMAC(EVP_sha256(), key->data, (int) key->len, data, len, mac, &n)
        == NULL)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "mesh: no HMAC from OpenSSL");
        ngx_abort();
    }
}
