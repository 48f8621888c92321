/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* mesh-signer show and check: what is in a folder of keys. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "mesh_signer.h"
#include "../proto/mesh_agent_msg.h"


#define MESH_SIGNER_WARN_DAYS   30


typedef struct {
    const char  *name;
    unsigned     needed:1;
    unsigned     rsa:1;         /* its peers take nothing else */
    unsigned     ours:1;        /* must be signed by root; a web certificate
                                   may have been replaced */
} mesh_signer_item_t;


typedef struct {
    const char  *dir;
    X509        *root;
    EVP_PKEY    *root_key;      /* borrowed from root */
    int          bad;
} mesh_signer_check_t;


static const char *mesh_signer_one_folder(int argc, char **argv);
static int mesh_signer_show_item(const char *dir,
    const mesh_signer_item_t *item);
static int mesh_signer_check_item(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item);
static int mesh_signer_check_key(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item, X509 *cert);
static int mesh_signer_check_issuer(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item, X509 *cert);
static int mesh_signer_check_time(const mesh_signer_item_t *item, X509 *cert);
static int mesh_signer_check_mode(mesh_signer_check_t *ctx, const char *name,
    int secret);
static const char *mesh_signer_key_text(EVP_PKEY *key, char *buf,
    size_t size);


static const mesh_signer_item_t  mesh_signer_items[] = {
    { "root",        1, 1, 1 },
    { "agentserver", 1, 1, 1 },
    { "mps",         1, 1, 1 },
    { "web-rsa",     1, 1, 0 },
    { "web-ecdsa",   0, 0, 0 },
    { NULL, 0, 0, 0 }
};


int
mesh_signer_show(int argc, char **argv)
{
    int                        rc;
    const char                *dir;
    const mesh_signer_item_t  *item;

    dir = mesh_signer_one_folder(argc, argv);

    if (dir == NULL) {
        return MESH_SIGNER_EXIT_USAGE;
    }

    rc = EXIT_SUCCESS;

    for (item = mesh_signer_items; item->name; item++) {

        if (mesh_signer_show_item(dir, item) != MESH_OK) {
            rc = EXIT_FAILURE;
        }
    }

    return rc;
}


static const char *
mesh_signer_one_folder(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        mesh_signer_log("emerg", "%s: give one folder", argv[0]);
        return NULL;
    }

    return argv[1];
}


/* only certificates are read: everybody who sees them may run this */

static int
mesh_signer_show_item(const char *dir, const mesh_signer_item_t *item)
{
    BIO      *out;
    char      name[32], text[64], hex[2 * MESH_HASH_LEN + 1];
    X509     *cert;
    uint8_t   full[MESH_HASH_LEN], key[MESH_HASH_LEN];

    snprintf(name, sizeof(name), "%s.pem", item->name);

    cert = mesh_signer_read_cert_file(dir, name, item->needed);

    if (cert == NULL) {
        return item->needed ? MESH_ERROR : MESH_OK;
    }

    out = BIO_new_fp(stdout, BIO_NOCLOSE);

    if (out == NULL || mesh_signer_full_hash(cert, full) != MESH_OK
        || mesh_signer_key_hash(cert, key) != MESH_OK)
    {
        mesh_signer_log_ssl("err", "cannot show \"%s\"", name);
        BIO_free(out);
        X509_free(cert);
        return MESH_ERROR;
    }

    BIO_printf(out, "%s\n    subject   ", item->name);
    X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);

    BIO_printf(out, "\n    issuer    ");
    X509_NAME_print_ex(out, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253);

    BIO_printf(out, "\n    key       %s\n    expires   ",
               mesh_signer_key_text(X509_get0_pubkey(cert), text,
                                    sizeof(text)));
    ASN1_TIME_print(out, X509_get0_notAfter(cert));

    hex[2 * MESH_HASH_LEN] = '\0';

    mesh_hex_encode(hex, full, MESH_HASH_LEN, 1);
    BIO_printf(out, "\n    FullHash  %s\n", hex);

    mesh_hex_encode(hex, key, MESH_HASH_LEN, 1);
    BIO_printf(out, "    KeyHash   %s\n", hex);

    if (strcmp(item->name, "agentserver") == 0) {
        BIO_printf(out, "    ServerID  %s\n", hex);
    }

    (void) BIO_flush(out);

    BIO_free(out);
    X509_free(cert);

    return MESH_OK;
}


int
mesh_signer_check(int argc, char **argv)
{
    mesh_signer_check_t        ctx;
    const mesh_signer_item_t  *item;

    memset(&ctx, 0, sizeof(mesh_signer_check_t));

    ctx.dir = mesh_signer_one_folder(argc, argv);

    if (ctx.dir == NULL) {
        return MESH_SIGNER_EXIT_USAGE;
    }

    /* what is wrong with it is said by its own item */

    ctx.root = mesh_signer_read_cert_file(ctx.dir, "root.pem", 0);
    ERR_clear_error();

    if (ctx.root) {
        ctx.root_key = X509_get0_pubkey(ctx.root);
    }

    for (item = mesh_signer_items; item->name; item++) {

        switch (mesh_signer_check_item(&ctx, item)) {

        case MESH_OK:
            printf("%s: ok\n", item->name);
            break;

        case MESH_DECLINED:
            printf("%s: not there\n", item->name);
            break;

        default:
            printf("%s: failed\n", item->name);
            ctx.bad = 1;
        }
    }

    X509_free(ctx.root);

    return ctx.bad ? EXIT_FAILURE : EXIT_SUCCESS;
}


static int
mesh_signer_check_item(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item)
{
    int     rc;
    char    name[32], path[PATH_MAX];
    X509   *cert;

    snprintf(name, sizeof(name), "%s.pem", item->name);

    if (mesh_signer_join(path, sizeof(path), ctx->dir, name) != MESH_OK) {
        return MESH_ERROR;
    }

    if (!item->needed && access(path, F_OK) == -1 && errno == ENOENT) {

        /* a key that has lost its certificate is not "not there" */

        snprintf(name, sizeof(name), "%s.key", item->name);

        if (mesh_signer_join(path, sizeof(path), ctx->dir, name) != MESH_OK) {
            return MESH_ERROR;
        }

        if (access(path, F_OK) == -1) {
            return MESH_DECLINED;
        }

        mesh_signer_log("err", "\"%s\" has no certificate", path);
        return MESH_ERROR;
    }

    cert = mesh_signer_read_cert_file(ctx->dir, name, 1);

    if (cert == NULL) {
        return MESH_ERROR;
    }

    /* all of them, so that one run tells everything */

    rc = mesh_signer_check_mode(ctx, name, 0);
    rc |= mesh_signer_check_key(ctx, item, cert);
    rc |= mesh_signer_check_issuer(ctx, item, cert);
    rc |= mesh_signer_check_time(item, cert);

    X509_free(cert);

    return rc == MESH_OK ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_check_key(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item, X509 *cert)
{
    int        rc, bits;
    char       name[32], text[64];
    EVP_PKEY  *key;

    snprintf(name, sizeof(name), "%s.key", item->name);

    rc = mesh_signer_check_mode(ctx, name, 1);

    key = mesh_signer_read_key_file(ctx->dir, name, 1);

    if (key == NULL) {
        return MESH_ERROR;
    }

    if (X509_check_private_key(cert, key) != 1) {
        mesh_signer_log("err", "\"%s\" is not the key of \"%s.pem\"", name,
                        item->name);
        ERR_clear_error();
        rc = MESH_ERROR;
    }

    if (item->rsa) {
        bits = EVP_PKEY_get_bits(key);

        if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA
            || bits < MESH_SIGNER_MIN_BITS || bits > MESH_SIGNER_MAX_BITS)
        {
            mesh_signer_log("err", "\"%s\" is %s and must be RSA of %d to %d "
                            "bits", name,
                            mesh_signer_key_text(key, text, sizeof(text)),
                            MESH_SIGNER_MIN_BITS, MESH_SIGNER_MAX_BITS);
            rc = MESH_ERROR;
        }
    }

    EVP_PKEY_free(key);

    return rc;
}


static int
mesh_signer_check_issuer(mesh_signer_check_t *ctx,
    const mesh_signer_item_t *item, X509 *cert)
{
    if (!item->ours) {
        return MESH_OK;
    }

    if (ctx->root == NULL) {
        mesh_signer_log("err", "\"%s.pem\": no root to compare it with",
                        item->name);
        return MESH_ERROR;
    }

    if (X509_NAME_cmp(X509_get_issuer_name(cert),
                      X509_get_subject_name(ctx->root)) != 0
        || X509_verify(cert, ctx->root_key) != 1)
    {
        mesh_signer_log("err", "\"%s.pem\" was not signed by this root",
                        item->name);
        ERR_clear_error();
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
mesh_signer_check_time(const mesh_signer_item_t *item, X509 *cert)
{
    time_t  soon;

    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0) {
        mesh_signer_log("err", "\"%s.pem\" has expired", item->name);
        return MESH_ERROR;
    }

    if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0) {
        mesh_signer_log("err", "\"%s.pem\" is not valid yet", item->name);
        return MESH_ERROR;
    }

    soon = time(NULL) + MESH_SIGNER_WARN_DAYS * 86400;

    if (X509_cmp_time(X509_get0_notAfter(cert), &soon) <= 0) {
        mesh_signer_log("warn", "\"%s.pem\" expires within %d days",
                        item->name, MESH_SIGNER_WARN_DAYS);
    }

    return MESH_OK;
}


static int
mesh_signer_check_mode(mesh_signer_check_t *ctx, const char *name, int secret)
{
    char         path[PATH_MAX];
    mode_t       wrong;
    struct stat  st;

    if (mesh_signer_join(path, sizeof(path), ctx->dir, name) != MESH_OK) {
        return MESH_ERROR;
    }

    if (stat(path, &st) == -1) {

        if (errno == ENOENT) {
            return MESH_OK;         /* the reader says it */
        }

        mesh_signer_log("err", "\"%s\": %s", path, strerror(errno));
        return MESH_ERROR;
    }

    wrong = secret ? (S_IRWXG|S_IRWXO) : (S_IWGRP|S_IWOTH);

    if (st.st_mode & wrong) {
        mesh_signer_log("err", "\"%s\" has mode %04o and must have %s", path,
                        (unsigned) (st.st_mode & 07777),
                        secret ? "0600" : "0644");
        return MESH_ERROR;
    }

    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        mesh_signer_log("err", "\"%s\" belongs to user %u", path,
                        (unsigned) st.st_uid);
        return MESH_ERROR;
    }

    return MESH_OK;
}


static const char *
mesh_signer_key_text(EVP_PKEY *key, char *buf, size_t size)
{
    if (key == NULL) {
        return "unknown";
    }

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        snprintf(buf, size, "RSA %d", EVP_PKEY_get_bits(key));

    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        snprintf(buf, size, "ECDSA %d", EVP_PKEY_get_bits(key));

    } else {
        snprintf(buf, size, "neither RSA nor ECDSA");
    }

    return buf;
}
