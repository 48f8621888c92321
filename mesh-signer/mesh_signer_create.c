/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * mesh-signer create: all keys and certificates of a new server.
 *
 *   root         self-signed; signs the others
 *   agentserver  whom agents know: its key hash is the ServerID
 *   mps          Intel AMT; RSA 2048 always, more is beyond old firmware
 *   web-rsa      TLS, for clients without elliptic curves
 *   web-ecdsa    TLS
 *
 * NAME.key is the key, NAME.pem the certificate; those for TLS are followed by
 * the root's, as nginx wants them.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "mesh_signer.h"


#define MESH_SIGNER_MAX_NAMES   32
#define MESH_SIGNER_MAX_NAME    253     /* RFC 1035 */
#define MESH_SIGNER_MAX_CN      64      /* X.520, ub-common-name */

/* wide: the clock of a device may be wrong, of Intel AMT's above all */
#define MESH_SIGNER_FROM        "20180101000000Z"
#define MESH_SIGNER_TO          "20491231235959Z"

#define MESH_SIGNER_WEB_DAYS    3650


typedef enum {
    MESH_SIGNER_ROOT = 0,
    MESH_SIGNER_AGENTSERVER,
    MESH_SIGNER_MPS,
    MESH_SIGNER_WEB_RSA,
    MESH_SIGNER_WEB_ECDSA,
    MESH_SIGNER_NFILES
} mesh_signer_file_e;


typedef struct {
    const char  *name;
    const char  *cn;            /* NULL: the name of the server */
    int          bits;          /* RSA; 0: P-256 */
    unsigned     fast:1;        /* --fastcert makes it 2048 */
    unsigned     tls:1;         /* has names, is followed by the root */
    unsigned     web:1;         /* expires */
} mesh_signer_file_t;


typedef struct {
    const char  *dir;
    const char  *cn;
    const char  *name[MESH_SIGNER_MAX_NAMES];
    size_t       nname;
    unsigned     fast:1;
    unsigned     web_rsa:1;
    EVP_PKEY    *key[MESH_SIGNER_NFILES];
    X509        *cert[MESH_SIGNER_NFILES];
} mesh_signer_create_t;


static int mesh_signer_create_options(mesh_signer_create_t *ctx, int argc,
    char **argv);
static void mesh_signer_host_name(char *dst, size_t size);
static int mesh_signer_add_name(mesh_signer_create_t *ctx, const char *name);
static int mesh_signer_create_folder(const char *dir);
static int mesh_signer_nothing_there(const mesh_signer_create_t *ctx);
static int mesh_signer_make_key(mesh_signer_create_t *ctx, int n);
static int mesh_signer_make_cert(mesh_signer_create_t *ctx, int n);
static int mesh_signer_set_serial(X509 *cert);
static int mesh_signer_set_subject(const mesh_signer_create_t *ctx, int n,
    X509 *cert);
static int mesh_signer_set_times(int n, X509 *cert);
static int mesh_signer_set_extensions(const mesh_signer_create_t *ctx, int n,
    X509 *cert);
static int mesh_signer_add_extension(X509 *cert, X509 *issuer, int nid,
    const char *value);
static int mesh_signer_add_names(const mesh_signer_create_t *ctx, X509 *cert);
static int mesh_signer_write_files(const mesh_signer_create_t *ctx);
static int mesh_signer_write_file(const mesh_signer_create_t *ctx, int n,
    int secret);
static void mesh_signer_remove_files(const mesh_signer_create_t *ctx,
    int written);
static int mesh_signer_skipped(const mesh_signer_create_t *ctx, int n);


static const mesh_signer_file_t  mesh_signer_files[] = {
    { "root",        "MeshRoot",        3072, 1, 0, 0 },
    { "agentserver", "MeshAgentServer", 3072, 1, 0, 0 },
    { "mps",         NULL,              2048, 0, 1, 0 },
    { "web-rsa",     NULL,              3072, 1, 1, 1 },
    { "web-ecdsa",   NULL,              0,    0, 1, 1 }
};


int
mesh_signer_create(int argc, char **argv)
{
    int                   n, rc;
    char                  host[MESH_SIGNER_MAX_NAME + 1];
    mesh_signer_create_t  ctx;

    memset(&ctx, 0, sizeof(mesh_signer_create_t));

    mesh_signer_host_name(host, sizeof(host));
    ctx.cn = host;

    rc = mesh_signer_create_options(&ctx, argc, argv);

    if (rc != MESH_OK) {
        return MESH_SIGNER_EXIT_USAGE;
    }

    rc = EXIT_FAILURE;

    if (mesh_signer_create_folder(ctx.dir) != MESH_OK
        || mesh_signer_nothing_there(&ctx) != MESH_OK)
    {
        return rc;
    }

    /* all in memory first: half a set on disk could not be made whole */

    for (n = 0; n < MESH_SIGNER_NFILES; n++) {

        if (mesh_signer_skipped(&ctx, n)) {
            continue;
        }

        if (mesh_signer_make_key(&ctx, n) != MESH_OK
            || mesh_signer_make_cert(&ctx, n) != MESH_OK)
        {
            mesh_signer_log_ssl("emerg", "cannot make \"%s\"",
                                mesh_signer_files[n].name);
            goto done;
        }
    }

    if (mesh_signer_write_files(&ctx) == MESH_OK) {
        rc = EXIT_SUCCESS;
    }

done:

    for (n = 0; n < MESH_SIGNER_NFILES; n++) {
        EVP_PKEY_free(ctx.key[n]);
        X509_free(ctx.cert[n]);
    }

    return rc;
}


static int
mesh_signer_create_options(mesh_signer_create_t *ctx, int argc, char **argv)
{
    int                         opt, bad;
    static const char          *own[] = { "localhost", "127.0.0.1", "::1" };
    size_t                      i;
    static const struct option  options[] = {
        { "fastcert", no_argument,       NULL, 'f' },
        { "web-rsa",  no_argument,       NULL, 'r' },
        { "name",     required_argument, NULL, 'n' },
        { "san",      required_argument, NULL, 's' },
        { NULL, 0, NULL, 0 }
    };

    bad = 0;
    optind = 1;

    /* the host's name first: viewers show the first one */

    (void) mesh_signer_add_name(ctx, ctx->cn);

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {

        switch (opt) {

        case 'f':
            ctx->fast = 1;
            break;

        case 'r':
            ctx->web_rsa = 1;
            break;

        case 'n':
            ctx->cn = optarg;
            bad |= mesh_signer_add_name(ctx, optarg) != MESH_OK;
            break;

        case 's':
            bad |= mesh_signer_add_name(ctx, optarg) != MESH_OK;
            break;

        default:
            bad = 1;
        }
    }

    if (bad) {
        return MESH_ERROR;
    }

    if (optind != argc - 1) {
        mesh_signer_log("emerg", "create: give one folder");
        return MESH_ERROR;
    }

    ctx->dir = argv[optind];

    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {

        if (mesh_signer_add_name(ctx, own[i]) != MESH_OK) {
            return MESH_ERROR;
        }
    }

    return MESH_OK;
}


/* the full name if the resolver knows it at once, else the short one */

static void
mesh_signer_host_name(char *dst, size_t size)
{
    char              host[MESH_SIGNER_MAX_NAME + 1];
    struct addrinfo   hints, *res;

    if (gethostname(host, sizeof(host)) == -1) {
        host[0] = '\0';
    }

    host[sizeof(host) - 1] = '\0';

    if (host[0] == '\0') {
        memcpy(host, "localhost", sizeof("localhost"));
    }

    snprintf(dst, size, "%s", host);

    if (strchr(host, '.')) {
        return;
    }

    memset(&hints, 0, sizeof(struct addrinfo));
    hints.ai_flags = AI_CANONNAME;

    if (getaddrinfo(host, NULL, &hints, &res) != 0) {
        return;
    }

    if (res->ai_canonname && strchr(res->ai_canonname, '.')
        && strlen(res->ai_canonname) < size)
    {
        snprintf(dst, size, "%s", res->ai_canonname);
    }

    freeaddrinfo(res);
}


static int
mesh_signer_add_name(mesh_signer_create_t *ctx, const char *name)
{
    size_t       i, len;
    struct in6_addr  addr;

    len = strlen(name);

    if (len == 0 || len > MESH_SIGNER_MAX_NAME) {
        mesh_signer_log("emerg", "\"%s\": a name has 1 to %d characters", name,
                        MESH_SIGNER_MAX_NAME);
        return MESH_ERROR;
    }

    if (inet_pton(AF_INET, name, &addr) != 1
        && inet_pton(AF_INET6, name, &addr) != 1
        && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-._*") != len)
    {
        mesh_signer_log("emerg", "\"%s\" is neither a DNS name nor an address",
                        name);
        return MESH_ERROR;
    }

    for (i = 0; i < ctx->nname; i++) {

        if (strcmp(ctx->name[i], name) == 0) {
            return MESH_OK;
        }
    }

    if (ctx->nname == MESH_SIGNER_MAX_NAMES) {
        mesh_signer_log("emerg", "more than %d names", MESH_SIGNER_MAX_NAMES);
        return MESH_ERROR;
    }

    ctx->name[ctx->nname++] = name;

    return MESH_OK;
}


static int
mesh_signer_create_folder(const char *dir)
{
    struct stat  st;

    if (mkdir(dir, 0700) == 0) {
        return MESH_OK;
    }

    if (errno != EEXIST) {
        mesh_signer_log("emerg", "cannot make \"%s\": %s", dir,
                        strerror(errno));
        return MESH_ERROR;
    }

    if (stat(dir, &st) == -1 || !S_ISDIR(st.st_mode)) {
        mesh_signer_log("emerg", "\"%s\" is not a folder", dir);
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
mesh_signer_nothing_there(const mesh_signer_create_t *ctx)
{
    int           n, i;
    char          name[32], path[PATH_MAX];
    struct stat   st;

    for (n = 0; n < MESH_SIGNER_NFILES; n++) {

        for (i = 0; i < 2; i++) {
            snprintf(name, sizeof(name), "%s.%s", mesh_signer_files[n].name,
                     i ? "key" : "pem");

            if (mesh_signer_join(path, sizeof(path), ctx->dir, name)
                != MESH_OK)
            {
                return MESH_ERROR;
            }

            if (lstat(path, &st) == 0) {
                mesh_signer_log("emerg", "\"%s\" is there already: nothing is "
                                "made, agents would not know a new key", path);
                return MESH_ERROR;
            }

            if (errno != ENOENT) {
                mesh_signer_log("emerg", "\"%s\": %s", path, strerror(errno));
                return MESH_ERROR;
            }
        }
    }

    return MESH_OK;
}


static int
mesh_signer_make_key(mesh_signer_create_t *ctx, int n)
{
    int                        bits;
    const mesh_signer_file_t  *file;

    file = &mesh_signer_files[n];
    bits = ctx->fast && file->fast ? 2048 : file->bits;

    if (bits == 0) {
        fprintf(stderr, "making key %s (ECDSA P-256) ...\n", file->name);
        ctx->key[n] = EVP_EC_gen("P-256");

    } else {
        fprintf(stderr, "making key %s (RSA %d) ...\n", file->name, bits);
        ctx->key[n] = EVP_RSA_gen((unsigned) bits);
    }

    return ctx->key[n] ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_make_cert(mesh_signer_create_t *ctx, int n)
{
    X509  *cert;

    cert = X509_new();

    if (cert == NULL) {
        return MESH_ERROR;
    }

    ctx->cert[n] = cert;        /* freed there, whatever follows */

    if (X509_set_version(cert, X509_VERSION_3) != 1
        || X509_set_pubkey(cert, ctx->key[n]) != 1
        || mesh_signer_set_serial(cert) != MESH_OK
        || mesh_signer_set_subject(ctx, n, cert) != MESH_OK
        || X509_set_issuer_name(cert,
                        X509_get_subject_name(ctx->cert[MESH_SIGNER_ROOT])) != 1
        || mesh_signer_set_times(n, cert) != MESH_OK
        || mesh_signer_set_extensions(ctx, n, cert) != MESH_OK
        || X509_sign(cert, ctx->key[MESH_SIGNER_ROOT], EVP_sha384()) == 0)
    {
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
mesh_signer_set_serial(X509 *cert)
{
    int            rc;
    BIGNUM        *bn;
    ASN1_INTEGER  *serial;

    bn = BN_new();

    if (bn == NULL) {
        return MESH_ERROR;
    }

    /* 127 bits: positive and never longer than 16 bytes */

    rc = BN_rand(bn, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
    serial = rc == 1 ? BN_to_ASN1_INTEGER(bn, NULL) : NULL;

    rc = serial ? X509_set_serialNumber(cert, serial) : 0;

    ASN1_INTEGER_free(serial);
    BN_free(bn);

    return rc == 1 ? MESH_OK : MESH_ERROR;
}


/* two servers of one company tell their roots apart by the key */

static int
mesh_signer_set_subject(const mesh_signer_create_t *ctx, int n, X509 *cert)
{
    char         cn[64], hex[7];
    uint8_t      hash[MESH_HASH_LEN];
    X509_NAME   *name;
    const char  *text;

    text = mesh_signer_files[n].cn;

    if (text) {

        if (mesh_signer_key_hash(cert, hash) != MESH_OK) {
            return MESH_ERROR;
        }

        snprintf(hex, sizeof(hex), "%02x%02x%02x", hash[0], hash[1], hash[2]);
        snprintf(cn, sizeof(cn), "%s-%s", text, hex);
        text = cn;

    } else {
        text = ctx->cn;

        /* clients look at the names in the extension; this one only has to be
           there; Intel AMT compares it, where the name is short enough */

        if (strlen(text) > MESH_SIGNER_MAX_CN) {
            text = "ngx_mesh";
        }
    }

    name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *) text, -1, -1, 0)
           == 1 ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_set_times(int n, X509 *cert)
{
    if (mesh_signer_files[n].web) {

        /* a day back: the clock of a browser may be behind ours */

        return X509_gmtime_adj(X509_getm_notBefore(cert), -86400L)
               && X509_gmtime_adj(X509_getm_notAfter(cert),
                                  MESH_SIGNER_WEB_DAYS * 86400L)
               ? MESH_OK : MESH_ERROR;
    }

    return ASN1_TIME_set_string_X509(X509_getm_notBefore(cert),
                                     MESH_SIGNER_FROM) == 1
           && ASN1_TIME_set_string_X509(X509_getm_notAfter(cert),
                                        MESH_SIGNER_TO) == 1
           ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_set_extensions(const mesh_signer_create_t *ctx, int n, X509 *cert)
{
    X509        *root;
    const char  *usage;

    root = ctx->cert[MESH_SIGNER_ROOT];

    if (mesh_signer_add_extension(cert, root, NID_subject_key_identifier,
                                  "hash") != MESH_OK)
    {
        return MESH_ERROR;
    }

    if (n == MESH_SIGNER_ROOT) {

        return mesh_signer_add_extension(cert, root, NID_basic_constraints,
                                         "critical,CA:TRUE") == MESH_OK
               && mesh_signer_add_extension(cert, root, NID_key_usage,
                                     "critical,keyCertSign,cRLSign") == MESH_OK
               ? MESH_OK : MESH_ERROR;
    }

    usage = mesh_signer_files[n].bits == 0
            ? "critical,digitalSignature"
            : "critical,digitalSignature,keyEncipherment";

    if (mesh_signer_add_extension(cert, root, NID_authority_key_identifier,
                                  "keyid") != MESH_OK
        || mesh_signer_add_extension(cert, root, NID_basic_constraints,
                                     "critical,CA:FALSE") != MESH_OK
        || mesh_signer_add_extension(cert, root, NID_key_usage, usage)
           != MESH_OK)
    {
        return MESH_ERROR;
    }

    if (!mesh_signer_files[n].tls) {
        return MESH_OK;
    }

    if (mesh_signer_add_extension(cert, root, NID_ext_key_usage, "serverAuth")
        != MESH_OK)
    {
        return MESH_ERROR;
    }

    return mesh_signer_add_names(ctx, cert);
}


static int
mesh_signer_add_extension(X509 *cert, X509 *issuer, int nid,
    const char *value)
{
    int              rc;
    X509V3_CTX       v3;
    X509_EXTENSION  *ext;

    X509V3_set_ctx_nodb(&v3);
    X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);

    ext = X509V3_EXT_conf_nid(NULL, &v3, nid, value);

    if (ext == NULL) {
        return MESH_ERROR;
    }

    rc = X509_add_ext(cert, ext, -1);

    X509_EXTENSION_free(ext);

    return rc == 1 ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_add_names(const mesh_signer_create_t *ctx, X509 *cert)
{
    int                rc;
    size_t             i;
    GENERAL_NAME      *gen;
    GENERAL_NAMES     *names;
    ASN1_STRING       *text;

    names = GENERAL_NAMES_new();

    if (names == NULL) {
        return MESH_ERROR;
    }

    rc = 1;

    for (i = 0; i < ctx->nname && rc; i++) {

        gen = GENERAL_NAME_new();

        if (gen == NULL) {
            rc = 0;
            break;
        }

        text = a2i_IPADDRESS(ctx->name[i]);

        if (text) {
            GENERAL_NAME_set0_value(gen, GEN_IPADD, text);

        } else {
            ERR_clear_error();

            text = ASN1_IA5STRING_new();
            rc = text ? ASN1_STRING_set(text, ctx->name[i], -1) : 0;

            if (text) {
                GENERAL_NAME_set0_value(gen, GEN_DNS, text);
            }
        }

        if (rc == 0 || sk_GENERAL_NAME_push(names, gen) == 0) {
            GENERAL_NAME_free(gen);
            rc = 0;
        }
    }

    if (rc) {
        rc = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0);
    }

    GENERAL_NAMES_free(names);

    return rc == 1 ? MESH_OK : MESH_ERROR;
}


static int
mesh_signer_write_files(const mesh_signer_create_t *ctx)
{
    int  n, fd;

    /* file 2n is the certificate of n, 2n + 1 its key */

    for (n = 0; n < 2 * MESH_SIGNER_NFILES; n++) {

        if (mesh_signer_skipped(ctx, n / 2)) {
            continue;
        }

        if (mesh_signer_write_file(ctx, n / 2, n % 2) != MESH_OK) {
            mesh_signer_remove_files(ctx, n);
            return MESH_ERROR;
        }
    }

    fd = open(ctx->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd != -1) {
        (void) fsync(fd);
        close(fd);
    }

    return MESH_OK;
}


static int
mesh_signer_write_file(const mesh_signer_create_t *ctx, int n, int secret)
{
    int    fd, ok;
    char   name[32], path[PATH_MAX];
    FILE  *f;

    snprintf(name, sizeof(name), "%s.%s", mesh_signer_files[n].name,
             secret ? "key" : "pem");

    if (mesh_signer_join(path, sizeof(path), ctx->dir, name) != MESH_OK) {
        return MESH_ERROR;
    }

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        mesh_signer_log("emerg", "cannot make \"%s\": %s", path,
                        strerror(errno));
        return MESH_ERROR;
    }

    f = fdopen(fd, "w");

    if (f == NULL) {
        mesh_signer_log("emerg", "cannot write \"%s\": %s", path,
                        strerror(errno));
        close(fd);
        unlink(path);
        return MESH_ERROR;
    }

    errno = 0;

    if (secret) {
        ok = PEM_write_PrivateKey(f, ctx->key[n], NULL, NULL, 0, NULL, NULL)
             == 1;

    } else {
        ok = PEM_write_X509(f, ctx->cert[n]) == 1
             && (!mesh_signer_files[n].tls
                 || PEM_write_X509(f, ctx->cert[MESH_SIGNER_ROOT]) == 1)
             && fchmod(fd, 0644) == 0;
    }

    ok = ok && fflush(f) == 0 && fsync(fd) == 0;

    if (!ok) {
        mesh_signer_log("emerg", "cannot write \"%s\": %s", path,
                        strerror(errno));
    }

    if (fclose(f) != 0 && ok) {
        mesh_signer_log("emerg", "cannot write \"%s\": %s", path,
                        strerror(errno));
        ok = 0;
    }

    if (!ok) {
        unlink(path);
    }

    return ok ? MESH_OK : MESH_ERROR;
}


static void
mesh_signer_remove_files(const mesh_signer_create_t *ctx, int written)
{
    int   n;
    char  name[32], path[PATH_MAX];

    for (n = 0; n < written; n++) {

        if (mesh_signer_skipped(ctx, n / 2)) {
            continue;
        }

        snprintf(name, sizeof(name), "%s.%s", mesh_signer_files[n / 2].name,
                 n % 2 ? "key" : "pem");

        if (mesh_signer_join(path, sizeof(path), ctx->dir, name) == MESH_OK) {
            (void) unlink(path);
        }
    }
}


static int
mesh_signer_skipped(const mesh_signer_create_t *ctx, int n)
{
    return n == MESH_SIGNER_WEB_ECDSA && ctx->web_rsa;
}
