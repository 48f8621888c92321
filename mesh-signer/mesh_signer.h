/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * mesh-signer: the daemon that holds the keys of the server's identities, and
 * the tool that makes, shows and checks all keys of an installation.
 */

#ifndef MESH_SIGNER_H_INCLUDED
#define MESH_SIGNER_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "../proto/mesh_signer_msg.h"


#define MESH_SIGNER_MAX_THREADS  8
#define MESH_SIGNER_MAX_PEERS    8      /* uids that may connect */
#define MESH_SIGNER_MAX_LISTEN   4

#define MESH_SIGNER_MIN_BITS     2048
#define MESH_SIGNER_MAX_BITS     4096

/* an exit code of its own: a wrong command line is not worth a restart */
#define MESH_SIGNER_EXIT_USAGE   2


typedef struct {
    EVP_PKEY      *key;         /* owns */
    uint8_t       *reply;       /* owns: payload of CERT: DER, key hash */
    size_t         len;
} mesh_signer_identity_t;


typedef struct {
    const char    *path;        /* of the socket; NULL: inherited ones */
    const char    *user;        /* to become; NULL: stay */
    const char    *keydir;
    int            threads;
    uid_t          peers[MESH_SIGNER_MAX_PEERS];
    int            npeers;
    unsigned       credentials:1;   /* keydir is systemd's, modes are its own */
} mesh_signer_conf_t;


/* the daemon; returns its exit code when it was told to stop */
int mesh_signer_serve(const mesh_signer_conf_t *conf);

/*
 * Allows, for all threads of the process, what the daemon needs from now on
 * and nothing else.  MESH_ERROR has been logged.
 */
int mesh_signer_confine(void);

/* the key tool; each returns an exit code */
int mesh_signer_create(int argc, char **argv);
int mesh_signer_show(int argc, char **argv);
int mesh_signer_check(int argc, char **argv);


/*
 * Reads the first certificate or the key of a file.  NULL has been logged, a
 * file that is not there only with must set.  The caller owns the result.
 */
X509 *mesh_signer_read_cert_file(const char *dir, const char *name, int must);
EVP_PKEY *mesh_signer_read_key_file(const char *dir, const char *name,
    int any_mode);

/* 48 bytes each; MESH_ERROR if the library fails */
int mesh_signer_full_hash(X509 *cert, uint8_t *hash);
int mesh_signer_key_hash(X509 *cert, uint8_t *hash);

/* dir/name into a buffer; MESH_ERROR has been logged */
int mesh_signer_join(char *dst, size_t size, const char *dir,
    const char *name);

/* one line on standard error; ssl() adds OpenSSL's reason */
void mesh_signer_log(const char *level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void mesh_signer_log_ssl(const char *level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


#endif /* MESH_SIGNER_H_INCLUDED */
