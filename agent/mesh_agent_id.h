/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Who the device is: an RSA 3072 key with a certificate of its own, made at
 * the first start and kept in the store, or made by the TPM and kept there in
 * a form that only this TPM can use.  The node id is the hash of the key.
 */

#ifndef MESH_AGENT_ID_H_INCLUDED
#define MESH_AGENT_ID_H_INCLUDED


#include "mesh_agent.h"


#define MESH_AGENT_ID_SIGNATURE  512      /* bytes, at most */


struct x509_st;


/*
 * From the store, or made (which takes a while): where tpm is set, by the TPM
 * or not at all.  One that is there already stays what it is.  NULL: logged.
 */
mesh_agent_id_t *mesh_agent_id_create(mesh_agent_store_t *st, int tpm);
void mesh_agent_id_free(mesh_agent_id_t *id);

/* 48 bytes */
const uint8_t *mesh_agent_id_node(const mesh_agent_id_t *id);
/* the certificate, DER */
const uint8_t *mesh_agent_id_cert(const mesh_agent_id_t *id, size_t *len);
/* PKCS#1 v1.5 with SHA-384; bytes of the signature, 0: failed */
size_t mesh_agent_id_sign(mesh_agent_id_t *id, const uint8_t *data,
    size_t len, uint8_t sig[MESH_AGENT_ID_SIGNATURE]);

/* issuer and signature of another certificate, of ours; MESH_OK, MESH_ERROR */
int mesh_agent_id_issue(mesh_agent_id_t *id, struct x509_st *x);

/*
 * Is this command 2 from the server that the policy names?  id is its key's
 * SHA-384 (48 bytes) or SHA-256 (32); input the 144 bytes that are signed.
 */
int mesh_agent_id_verify(const uint8_t *cert, size_t cert_len,
    const uint8_t *sig, size_t sig_len, const uint8_t *id, size_t id_len,
    const uint8_t *input);


#endif /* MESH_AGENT_ID_H_INCLUDED */
