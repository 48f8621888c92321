/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The handshake, agent.md 2 and 3.  The agent proves its key over the hash of
 * the certificate that it saw; we prove ours, unless it said (command 4) that
 * it knows this certificate already.
 */

#include "ngx_mesh_agent.h"
#include "../../proto/mesh_cert.h"
#include <openssl/bn.h>
#include <openssl/pkcs7.h>


#define NGX_MESH_AGENT_BITS_MIN  2048
#define NGX_MESH_AGENT_BITS_MAX  4096
#define NGX_MESH_AGENT_MODULUS   (NGX_MESH_AGENT_BITS_MAX / 8)
#define NGX_MESH_AGENT_NONCES    16       /* made at a time */
#define NGX_MESH_AGENT_QUIET     60000    /* ms between two warnings */


typedef ngx_int_t (*ngx_mesh_agent_auth_pt)(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);

typedef struct {
    uint16_t                cmd;
    ngx_mesh_agent_auth_pt  handler;
} ngx_mesh_agent_auth_row_t;


static ngx_int_t ngx_mesh_agent_identity(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_confirm(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_request(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_certificate(ngx_mesh_agent_t *a);
static ngx_int_t ngx_mesh_agent_answer(ngx_mesh_agent_t *a);
static ngx_int_t ngx_mesh_agent_nonce(u_char *nonce);
static void ngx_mesh_agent_signed(void *data, ngx_int_t rc);
static ngx_int_t ngx_mesh_agent_verify(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_check(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_signature(const mesh_cert_rsa_t *cert,
    const u_char *input, const u_char *sig, size_t len);
static ngx_int_t ngx_mesh_agent_power(const mesh_cert_rsa_t *cert,
    const u_char *sig, u_char *em, size_t len);
static ngx_int_t ngx_mesh_agent_cms(const mesh_cert_rsa_t *cert,
    const u_char *input, const u_char *sig, size_t len);
static ngx_int_t ngx_mesh_agent_info(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_ignore(ngx_mesh_agent_t *a,
    mesh_agent_msg_t *m);
static ngx_int_t ngx_mesh_agent_proved(ngx_mesh_agent_t *a);
static void ngx_mesh_agent_named(ngx_mesh_agent_t *a, u_char *data,
    size_t len);


static const ngx_mesh_agent_auth_row_t  ngx_mesh_agent_auth_rows[] = {
    { MESH_AGENT_SERVER_ID,    ngx_mesh_agent_identity },
    { MESH_AGENT_AUTH_CONFIRM, ngx_mesh_agent_confirm },
    { MESH_AGENT_AUTH_REQUEST, ngx_mesh_agent_request },
    { MESH_AGENT_AUTH_VERIFY,  ngx_mesh_agent_verify },
    { MESH_AGENT_AUTH_INFO,    ngx_mesh_agent_info },
    { MESH_AGENT_COMMIT_DATE,  ngx_mesh_agent_ignore },
    { MESH_AGENT_HOST_INFO,    ngx_mesh_agent_ignore },
    { 0, NULL }
};


/* one message before command 4; nothing but a bound over it closes */
ngx_int_t
ngx_mesh_agent_auth(ngx_mesh_agent_t *a, u_char *data, size_t len)
{
    mesh_agent_msg_t                  m;
    ngx_mesh_handshake_t             *hs;
    const ngx_mesh_agent_auth_row_t  *row;

    hs = a->hs;
    hs->messages++;
    hs->bytes += len;

    if (hs->messages > NGX_MESH_AGENT_MESSAGES
        || hs->bytes > NGX_MESH_AGENT_BYTES)
    {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_PROTOCOL);
        return NGX_OK;
    }

    if (len && data[0] == '{') {
        ngx_mesh_agent_named(a, data, len);
        return NGX_OK;
    }

    if (mesh_agent_msg_parse(&m, data, len) != MESH_OK) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    for (row = ngx_mesh_agent_auth_rows; row->handler; row++) {
        if (row->cmd == m.cmd) {
            return row->handler(a, &m);
        }
    }

    /* commands above are dropped until we have sent 4 */
    ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_agent_ignore(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    return NGX_OK;
}


/* {"action":"agentName","value":...}: a name that it would like to have */
static void
ngx_mesh_agent_named(ngx_mesh_agent_t *a, u_char *data, size_t len)
{
    ngx_str_t         action, value;
    ngx_mesh_json_t  *j;

    j = ngx_mesh_json_parse(data, len);

    if (j == NULL) {
        ngx_mesh_count(NGX_MESH_C_BAD_JSON);
        return;
    }

    if (ngx_mesh_json_str(j, "action", &action) == NGX_OK
        && action.len == 9 && ngx_memcmp(action.data, "agentName", 9) == 0
        && ngx_mesh_json_str(j, "value", &value) == NGX_OK
        && value.len > 0 && value.len <= NGX_MESH_AGENT_NAME)
    {
        ngx_memcpy(a->hs->agent_name, value.data, value.len);
        a->hs->agent_name_len = value.len;
    }

    ngx_mesh_json_free(j);
}


/* 5: which of our identities it was told to expect */
static ngx_int_t
ngx_mesh_agent_identity(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    u_char      keyhash[NGX_MESH_ID_LEN];
    ngx_str_t   der;
    ngx_uint_t  n;

    if (a->hs->requested) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    for (n = 0; ngx_mesh_signer_identity(n, &der, keyhash) == NGX_OK; n++) {
        if (ngx_memcmp(keyhash, m->u.hash.hash, NGX_MESH_ID_LEN) == 0) {
            a->hs->identity = n;
            break;
        }
    }

    return NGX_OK;
}


/* 4: it has verified this certificate before */
static ngx_int_t
ngx_mesh_agent_confirm(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    if (a->hs->requested || a->hs->skip) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    a->hs->skip = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_agent_request(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    if (hs->requested) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    hs->requested = 1;
    ngx_memcpy(hs->web, m->u.request.web_hash, NGX_MESH_ID_LEN);
    ngx_memcpy(hs->agent_nonce, m->u.request.nonce, NGX_MESH_ID_LEN);

    return ngx_mesh_agent_certificate(a);
}


/* is what it saw one of ours? */
static ngx_int_t
ngx_mesh_agent_certificate(ngx_mesh_agent_t *a)
{
    u_char                 seen[96];
    ngx_int_t              rc;
    ngx_uint_t             i, n, level;
    ngx_mesh_outer_t       list[4];
    ngx_mesh_handshake_t  *hs;

    static ngx_msec_t      told;

    hs = a->hs;
    rc = ngx_mesh_cert_accept(a->s->srv, a->s->c, hs->web, hs->full);

    if (rc == NGX_AGAIN) {
        hs->waiting_cert = 1;
        return NGX_OK;
    }

    hs->waiting_cert = 0;

    if (rc == NGX_OK) {
        return ngx_mesh_agent_answer(a);
    }

    level = NGX_LOG_INFO;

    if (told == 0 || ngx_current_msec - told > NGX_MESH_AGENT_QUIET) {
        level = NGX_LOG_WARN;
        told = ngx_current_msec ? ngx_current_msec : 1;
    }

    ngx_hex_dump(seen, hs->web, NGX_MESH_ID_LEN);
    n = ngx_mesh_cert_list(a->s->srv, list, 4);

    for (i = 0; i < n; i++) {
        u_char  own[96];

        ngx_hex_dump(own, list[i].full, NGX_MESH_ID_LEN);
        ngx_log_error(level, a->s->c->log, 0,
                      "mesh agent: saw certificate %*s, ours is %*s of \"%V\" "
                      "until %T", (size_t) 96, seen, (size_t) 96, own,
                      &list[i].subject, list[i].expires);
    }

    ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_HASH);

    return NGX_OK;
}


static ngx_int_t
ngx_mesh_agent_answer(ngx_mesh_agent_t *a)
{
    u_char                 msg[MESH_AGENT_AUTH_REQUEST_LEN];
    u_char                *stored;
    size_t                 n;
    ngx_int_t              rc;
    mesh_agent_msg_t       m;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    if (ngx_mesh_agent_nonce(hs->nonce) != NGX_OK) {
        return NGX_ERROR;
    }

    hs->answered = 1;

    n = mesh_agent_write_auth_request(msg, hs->web, hs->nonce);

    if (ngx_mesh_agent_send(a, msg, n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (hs->skip) {
        ngx_mesh_count(NGX_MESH_C_SKIPPED);

    } else {
        mesh_agent_sign_input(hs->sign.input, MESH_AGENT_SIGN_SERVER,
                              hs->full, hs->agent_nonce, hs->nonce);
        hs->sign.key = hs->identity;
        hs->sign.done = ngx_mesh_agent_signed;
        hs->sign.data = a;
        ngx_mesh_sign(&hs->sign);
    }

    if (hs->verify == NULL) {
        return NGX_OK;
    }

    /* its 2 was faster than its 1 */
    stored = hs->verify;
    n = hs->verify_len;
    hs->verify = NULL;
    rc = NGX_OK;

    if (mesh_agent_msg_parse(&m, stored, n) == MESH_OK) {
        rc = ngx_mesh_agent_verify(a, &m);
    }

    ngx_free(stored);

    return rc;
}


/* OpenSSL needs as long for one as for many; each is given out once */
static ngx_int_t
ngx_mesh_agent_nonce(u_char *nonce)
{
    u_char             *p;

    static u_char       nonces[NGX_MESH_AGENT_NONCES][NGX_MESH_ID_LEN];
    static ngx_uint_t   left;

    if (left == 0) {

        if (ngx_mesh_random(nonces[0], sizeof(nonces)) != NGX_OK) {
            return NGX_ERROR;
        }

        left = NGX_MESH_AGENT_NONCES;
    }

    p = nonces[--left];
    ngx_memcpy(nonce, p, NGX_MESH_ID_LEN);
    ngx_explicit_memzero(p, NGX_MESH_ID_LEN);

    return NGX_OK;
}


static void
ngx_mesh_agent_signed(void *data, ngx_int_t rc)
{
    ngx_mesh_agent_t *a = data;

    size_t                 n;
    u_char                 keyhash[NGX_MESH_ID_LEN];
    u_char                 msg[4 + NGX_MESH_AGENT_CERT + 512];
    ngx_str_t              der;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    if (rc != NGX_OK
        || ngx_mesh_signer_identity(hs->identity, &der, keyhash) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, a->s->c->log, 0,
                      "mesh agent: no signature for it");
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_TIMEOUT);
        return;
    }

    n = mesh_agent_write_auth_verify(msg, sizeof(msg), der.data, der.len,
                                     hs->sign.signature, hs->sign.len);

    if (n) {
        (void) ngx_mesh_agent_send(a, msg, n);
    }
}


static ngx_int_t
ngx_mesh_agent_verify(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    ngx_int_t              reason;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    if (hs->verified || hs->verify) {
        ngx_mesh_count(NGX_MESH_C_UNKNOWN_MSG);
        return NGX_OK;
    }

    if (!hs->answered) {

        /* kept until its 1 is here; bounded by the message limit */
        hs->verify_len = 4 + m->u.verify.cert_len + m->u.verify.sig_len;
        hs->verify = ngx_alloc(hs->verify_len, a->s->c->log);

        if (hs->verify == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(hs->verify, m->u.verify.cert - 4, hs->verify_len);

        return NGX_OK;
    }

    reason = ngx_mesh_agent_check(a, m);

    if (reason) {
        ngx_mesh_agent_hold(a, reason);
        return NGX_OK;
    }

    hs->verified = 1;

    return ngx_mesh_agent_proved(a);
}


/* 0, or why not; a hostile key costs no more than one of 4096 bits */
static ngx_int_t
ngx_mesh_agent_check(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    u_char                 input[MESH_AGENT_SIGN_LEN];
    ngx_int_t              rc;
    ngx_uint_t             bits;
    mesh_cert_rsa_t        cert;
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    rc = mesh_cert_rsa(m->u.verify.cert, m->u.verify.cert_len, &cert);

    if (rc != MESH_OK) {
        return rc == MESH_DECLINED ? NGX_MESH_REFUSED_KEY
                                   : NGX_MESH_REFUSED_SIGNATURE;
    }

    bits = mesh_cert_bits(cert.n, cert.n_len);

    if (bits < NGX_MESH_AGENT_BITS_MIN || bits > NGX_MESH_AGENT_BITS_MAX
        || mesh_cert_bits(cert.e, cert.e_len) > 33)
    {
        return NGX_MESH_REFUSED_KEY;
    }

    mesh_agent_sign_input(input, MESH_AGENT_SIGN_AGENT, hs->full,
                          hs->agent_nonce, hs->nonce);

    /* the length of a raw signature is that of the modulus */
    if (m->u.verify.sig_len == (bits + 7) / 8) {
        rc = ngx_mesh_agent_signature(&cert, input, m->u.verify.sig,
                                      m->u.verify.sig_len);
    } else {
        rc = ngx_mesh_agent_cms(&cert, input, m->u.verify.sig,
                                m->u.verify.sig_len);
    }

    ERR_clear_error();

    if (rc != NGX_OK) {
        return NGX_MESH_REFUSED_SIGNATURE;
    }

    ngx_mesh_sha384(cert.key, cert.key_len, a->id);

    return 0;
}


/*
 * RSASSA-PKCS1-v1_5 by comparing encodings, RFC 8017 8.2.2: what the signature
 * gives must be, byte for byte, the one encoding of our hash.  A key object of
 * OpenSSL 3 for one use costs as much as the power itself.
 */
static ngx_int_t
ngx_mesh_agent_signature(const mesh_cert_rsa_t *cert, const u_char *input,
    const u_char *sig, size_t len)
{
    u_char               *p;
    u_char                em[NGX_MESH_AGENT_MODULUS];
    u_char                own[NGX_MESH_AGENT_MODULUS];

    static const u_char   sha384[] = {
        0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
        0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30
    };

    if (len != (mesh_cert_bits(cert->n, cert->n_len) + 7) / 8
        || ngx_mesh_agent_power(cert, sig, em, len) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    /* 00 01 ff .. ff 00, the algorithm, the hash */

    p = own + len - NGX_MESH_ID_LEN;
    ngx_mesh_sha384(input, MESH_AGENT_SIGN_LEN, p);

    p -= sizeof(sha384);
    ngx_memcpy(p, sha384, sizeof(sha384));

    ngx_memset(own, 0xff, p - own);
    own[0] = 0;
    own[1] = 1;
    p[-1] = 0;

    return ngx_memcmp(em, own, len) == 0 ? NGX_OK : NGX_DECLINED;
}


/* em = sig ^ e mod n, len bytes each */
static ngx_int_t
ngx_mesh_agent_power(const mesh_cert_rsa_t *cert, const u_char *sig, u_char *em,
    size_t len)
{
    BIGNUM         *n, *e, *s;
    ngx_int_t       rc;

    static BN_CTX  *ctx;

    if (ctx == NULL) {
        ctx = BN_CTX_new();
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    BN_CTX_start(ctx);

    n = BN_CTX_get(ctx);
    e = BN_CTX_get(ctx);
    s = BN_CTX_get(ctx);
    rc = NGX_DECLINED;

    if (s != NULL
        && BN_bin2bn(cert->n, cert->n_len, n) != NULL
        && BN_bin2bn(cert->e, cert->e_len, e) != NULL
        && BN_bin2bn(sig, len, s) != NULL
        && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e)
        && BN_ucmp(s, n) < 0
        && BN_mod_exp_mont(s, s, e, n, ctx, NULL) == 1
        && BN_bn2binpad(s, em, len) == (int) len)
    {
        rc = NGX_OK;
    }

    BN_CTX_end(ctx);

    return rc;
}


/*
 * Windows keeps the key in a store that signs as PKCS#7 only.  Of it counts the
 * one signer's encrypted digest, over our own 144 bytes, not its content.
 */
static ngx_int_t
ngx_mesh_agent_cms(const mesh_cert_rsa_t *cert, const u_char *input,
    const u_char *sig, size_t len)
{
    PKCS7                        *p7;
    ngx_int_t                     rc;
    const u_char                 *p;
    PKCS7_SIGNER_INFO            *si;
    STACK_OF(PKCS7_SIGNER_INFO)  *signers;

    p = sig;
    p7 = d2i_PKCS7(NULL, &p, len);
    rc = NGX_DECLINED;

    if (p7 && PKCS7_type_is_signed(p7)) {
        signers = PKCS7_get_signer_info(p7);

        if (signers && sk_PKCS7_SIGNER_INFO_num(signers) == 1) {
            si = sk_PKCS7_SIGNER_INFO_value(signers, 0);

            if (si->enc_digest) {
                rc = ngx_mesh_agent_signature(cert, input,
                                              si->enc_digest->data,
                                              si->enc_digest->length);
            }
        }
    }

    PKCS7_free(p7);

    return rc;
}


static ngx_int_t
ngx_mesh_agent_info(ngx_mesh_agent_t *a, mesh_agent_msg_t *m)
{
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    /* after a signature of ours it says this again */
    if (hs->informed) {
        return NGX_OK;
    }

    hs->informed = 1;
    a->sent_info = 1;

    hs->agent_id = m->u.info.agent_id;
    hs->version = m->u.info.agent_version;
    hs->platform = m->u.info.platform;
    hs->caps = m->u.info.caps;
    ngx_memcpy(hs->mesh, m->u.info.mesh, m->u.info.mesh_len);

    hs->name_len = ngx_min(m->u.info.name_len, NGX_MESH_AGENT_NAME);
    ngx_memcpy(hs->name, m->u.info.name, hs->name_len);

    return ngx_mesh_agent_proved(a);
}


/* who it is and what it says of itself are both here */
static ngx_int_t
ngx_mesh_agent_proved(ngx_mesh_agent_t *a)
{
    ngx_str_t   name;
    ngx_uint_t  n;

    if (!a->hs->verified || !a->hs->informed) {
        return NGX_OK;
    }

    /* a cloned disk, or a fault that makes it come again and again */
    name.data = a->id;
    name.len = NGX_MESH_ID_LEN;

    n = ngx_mesh_rate(NGX_MESH_RATE_NODE, &name, 1, 120);

    /* without room for a counter there is none for a device either */
    if (n > 6 && n != NGX_MESH_RATE_UNKNOWN) {
        ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_OFTEN);
        return NGX_OK;
    }

    a->state = NGX_MESH_AGENT_DEVICE;
    ngx_mesh_agent_device(a);

    return NGX_OK;
}


/* each second until it is in: what we wait for ourselves does not count */
void
ngx_mesh_agent_auth_tick(ngx_mesh_agent_t *a)
{
    ngx_mesh_handshake_t  *hs;

    hs = a->hs;

    if (a->state == NGX_MESH_AGENT_DEVICE) {

        if (a->db == NULL) {
            ngx_mesh_agent_device(a);
        }

    } else if (hs->waiting_cert) {

        if (ngx_mesh_agent_certificate(a) != NGX_OK) {
            ngx_mesh_ws_close(a->s, MESH_WS_CODE_AWAY);
            return;
        }

    } else if (!hs->sign.busy && ngx_time() >= hs->deadline) {

        if (a->sent_info) {
            ngx_mesh_agent_hold(a, NGX_MESH_REFUSED_TIMEOUT);

        } else {
            ngx_mesh_ws_close(a->s, MESH_WS_CODE_POLICY);
            return;
        }
    }

    if (a->hs) {
        ngx_mesh_ws_deadline(a->s, 1);
    }
}


void
ngx_mesh_agent_auth_free(ngx_mesh_agent_t *a)
{
    if (a->hs == NULL) {
        return;
    }

    if (a->hs->sign.busy) {
        ngx_mesh_sign_cancel(&a->hs->sign);
    }

    if (a->hs->verify) {
        ngx_free(a->hs->verify);
    }

    ngx_free(a->hs);
    a->hs = NULL;
}
