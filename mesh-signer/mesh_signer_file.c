/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Keys and certificates on disk, and their hashes. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "mesh_signer.h"


#define MESH_SIGNER_MAX_FILE  (64 * 1024)


static BIO *mesh_signer_open(const char *path, int must, int secret);
static int mesh_signer_no_password(char *buf, int size, int rwflag,
    void *data);


X509 *
mesh_signer_read_cert_file(const char *dir, const char *name, int must)
{
    BIO   *bio;
    char   path[PATH_MAX];
    X509  *cert;

    if (mesh_signer_join(path, sizeof(path), dir, name) != MESH_OK) {
        return NULL;
    }

    bio = mesh_signer_open(path, must, 0);

    if (bio == NULL) {
        return NULL;
    }

    cert = PEM_read_bio_X509(bio, NULL, mesh_signer_no_password, NULL);

    if (cert == NULL) {
        mesh_signer_log_ssl("err", "no certificate in \"%s\"", path);
    }

    BIO_free(bio);

    return cert;
}


EVP_PKEY *
mesh_signer_read_key_file(const char *dir, const char *name, int any_mode)
{
    BIO       *bio;
    char       path[PATH_MAX];
    EVP_PKEY  *key;

    if (mesh_signer_join(path, sizeof(path), dir, name) != MESH_OK) {
        return NULL;
    }

    bio = mesh_signer_open(path, 1, !any_mode);

    if (bio == NULL) {
        return NULL;
    }

    key = PEM_read_bio_PrivateKey(bio, NULL, mesh_signer_no_password, NULL);

    if (key == NULL) {
        mesh_signer_log_ssl("err", "no private key in \"%s\"", path);
    }

    BIO_free(bio);

    return key;
}


static BIO *
mesh_signer_open(const char *path, int must, int secret)
{
    int          fd;
    BIO         *bio;
    FILE        *file;
    struct stat  st;

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);

    if (fd == -1) {

        if (must || errno != ENOENT) {
            mesh_signer_log("err", "cannot open \"%s\": %s", path,
                            strerror(errno));
        }

        return NULL;
    }

    if (fstat(fd, &st) == -1) {
        mesh_signer_log("err", "cannot stat \"%s\": %s", path,
                        strerror(errno));
        goto failed;
    }

    if (!S_ISREG(st.st_mode) || st.st_size > MESH_SIGNER_MAX_FILE) {
        mesh_signer_log("err", "\"%s\" is not a file of at most %d bytes",
                        path, MESH_SIGNER_MAX_FILE);
        goto failed;
    }

    if (secret && (st.st_mode & (S_IRWXG|S_IRWXO))) {
        mesh_signer_log("err", "\"%s\" has mode %04o and must have 0600", path,
                        (unsigned) (st.st_mode & 07777));
        goto failed;
    }

    file = fdopen(fd, "r");

    if (file == NULL) {
        mesh_signer_log("err", "cannot read \"%s\": %s", path,
                        strerror(errno));
        goto failed;
    }

    /* no second copy of a key in the buffer of stdio */

    (void) setvbuf(file, NULL, _IONBF, 0);

    bio = BIO_new_fp(file, BIO_CLOSE);

    if (bio == NULL) {
        mesh_signer_log_ssl("err", "cannot read \"%s\"", path);
        fclose(file);
    }

    return bio;

failed:

    close(fd);

    return NULL;
}


/* a daemon has nobody to ask */

static int
mesh_signer_no_password(char *buf, int size, int rwflag, void *data)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) data;

    return -1;
}


int
mesh_signer_full_hash(X509 *cert, uint8_t *hash)
{
    unsigned  len;

    return X509_digest(cert, EVP_sha384(), hash, &len) == 1
           ? MESH_OK : MESH_ERROR;
}


/* as agents take it: the contents of the BIT STRING, not the whole SPKI */

int
mesh_signer_key_hash(X509 *cert, uint8_t *hash)
{
    unsigned                len;
    const ASN1_BIT_STRING  *bits;

    bits = X509_get0_pubkey_bitstr(cert);

    if (bits == NULL) {
        return MESH_ERROR;
    }

    return EVP_Digest(ASN1_STRING_get0_data(bits),
                      (size_t) ASN1_STRING_length(bits), hash, &len,
                      EVP_sha384(), NULL) == 1
           ? MESH_OK : MESH_ERROR;
}
