/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A key that never leaves the TPM 2.0 of the machine, by the provider "tpm2" of
 * OpenSSL (Debian's tpm2-openssl), in a library context of its own: nothing
 * else that the agent computes goes through the TPM.  What is kept of the key
 * is encrypted by the TPM, and is of no use on another machine.
 */

#ifndef MESH_AGENT_TPM_H_INCLUDED
#define MESH_AGENT_TPM_H_INCLUDED


#include <openssl/evp.h>
#include "mesh_agent.h"


/* whatever the provider can do, hashes are faster without it */
#define MESH_AGENT_TPM_QUERY  "?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes"


typedef struct mesh_agent_tpm_s  mesh_agent_tpm_t;


/* NULL: no TPM, or nothing to reach it with; logged */
mesh_agent_tpm_t *mesh_agent_tpm_open(void);
/* keys of it are freed before; NULL is nothing */
void mesh_agent_tpm_close(mesh_agent_tpm_t *tpm);

/* borrowed */
OSSL_LIB_CTX *mesh_agent_tpm_lib(mesh_agent_tpm_t *tpm);

/* RSA 3072 or, as many TPMs stop there, 2048; may take a minute; NULL: none */
EVP_PKEY *mesh_agent_tpm_make(mesh_agent_tpm_t *tpm);
/* from what save() gave; NULL: not of this TPM */
EVP_PKEY *mesh_agent_tpm_load(mesh_agent_tpm_t *tpm, const uint8_t *pem,
    size_t len);
/* the caller frees *pem with OPENSSL_free(); 0: failed */
size_t mesh_agent_tpm_save(EVP_PKEY *key, uint8_t **pem);


#endif /* MESH_AGENT_TPM_H_INCLUDED */
