/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The threads that sign. */

#include <string.h>
#include <unistd.h>

#include <openssl/rsa.h>

#include "mesh_signer_serve.h"


#define MESH_SIGNER_BATCH        8      /* jobs a thread takes at most */
#define MESH_SIGNER_STACK        (256 * 1024)


static void *mesh_signer_thread(void *data);
static int mesh_signer_take_locked(mesh_signer_t *s,
    mesh_signer_job_t **batch);
static EVP_PKEY_CTX *mesh_signer_context(EVP_PKEY *key);
static int mesh_signer_make_signature(EVP_PKEY_CTX *ctx,
    mesh_signer_job_t *job);


/* returns when each thread has made its first signature */

int
mesh_signer_start_threads(mesh_signer_t *s)
{
    int             rc;
    pthread_attr_t  attr;

    rc = pthread_attr_init(&attr);

    if (rc == 0) {
        rc = pthread_attr_setstacksize(&attr, MESH_SIGNER_STACK);
    }

    while (rc == 0 && s->nthread < s->conf->threads) {
        rc = pthread_create(&s->thread[s->nthread], &attr,
                            mesh_signer_thread, s);

        if (rc == 0) {
            s->nthread++;
        }
    }

    pthread_attr_destroy(&attr);

    if (rc) {
        mesh_signer_log("emerg", "cannot start thread %d: %s", s->nthread + 1,
                        strerror(rc));
        return MESH_ERROR;
    }

    pthread_mutex_lock(&s->mutex);

    while (s->nready + s->nfailed < s->nthread) {
        pthread_cond_wait(&s->started, &s->mutex);
    }

    rc = s->nfailed;

    pthread_mutex_unlock(&s->mutex);

    return rc ? MESH_ERROR : MESH_OK;
}


static void *
mesh_signer_thread(void *data)
{
    mesh_signer_t  *s = data;

    int                 i, n, ok;
    ssize_t             written;
    uint64_t            one;
    EVP_PKEY           *key[MESH_SIGNER_MAX_KEYS];
    EVP_PKEY_CTX       *ctx[MESH_SIGNER_MAX_KEYS];
    mesh_signer_job_t  *batch[MESH_SIGNER_BATCH], *first, probe;

    ok = 1;
    one = 1;

    memset(key, 0, sizeof(key));
    memset(ctx, 0, sizeof(ctx));
    memset(&probe, 0, sizeof(mesh_signer_job_t));

    /*
     * A key of its own: the blinding of RSA is under a lock of the key.  The
     * first signature loads all that OpenSSL loads late, before the filter.
     */

    for (i = 0; i < s->nidentity && ok; i++) {

        key[i] = EVP_PKEY_dup(s->identity[i].key);
        ctx[i] = key[i] ? mesh_signer_context(key[i]) : NULL;

        if (ctx[i] == NULL
            || mesh_signer_make_signature(ctx[i], &probe) != MESH_OK)
        {
            mesh_signer_log_ssl("emerg", "identity %d cannot sign", i);
            ok = 0;
        }
    }

    pthread_mutex_lock(&s->mutex);

    if (ok) {
        s->nready++;

    } else {
        s->nfailed++;
    }

    pthread_cond_signal(&s->started);

    while (ok) {

        while (s->ring == NULL && !s->stop) {
            pthread_cond_wait(&s->work, &s->mutex);
        }

        if (s->stop) {
            break;
        }

        n = mesh_signer_take_locked(s, batch);

        pthread_mutex_unlock(&s->mutex);

        for (i = 0; i < n; i++) {

            if (mesh_signer_make_signature(ctx[batch[i]->key], batch[i])
                == MESH_OK)
            {
                batch[i]->status = MESH_SIGNER_OK;

            } else {
                batch[i]->status = MESH_SIGNER_FAILED;
                mesh_signer_log_ssl("err", "cannot sign");
            }

            /* each at once: the others of the batch take milliseconds */

            pthread_mutex_lock(&s->mutex);

            first = s->done.first;
            mesh_signer_list_add(&s->done, batch[i]);

            pthread_mutex_unlock(&s->mutex);

            if (first == NULL) {
                written = write(s->wakeup, &one, sizeof(one));
                (void) written;
            }
        }

        pthread_mutex_lock(&s->mutex);
    }

    pthread_mutex_unlock(&s->mutex);

    for (i = 0; i < s->nidentity; i++) {
        EVP_PKEY_CTX_free(ctx[i]);
        EVP_PKEY_free(key[i]);
    }

    return NULL;
}


/* one job of each connection in turn; a share only, or other threads idle */

static int
mesh_signer_take_locked(mesh_signer_t *s, mesh_signer_job_t **batch)
{
    int                  n;
    size_t               share;
    mesh_signer_conn_t  *c;

    share = s->queued / (size_t) s->nthread;

    if (share > MESH_SIGNER_BATCH) {
        share = MESH_SIGNER_BATCH;

    } else if (share == 0) {
        share = 1;
    }

    n = 0;

    while (s->ring && (size_t) n < share) {

        c = s->ring;
        s->ring = c->next;
        c->next = NULL;

        if (s->ring == NULL) {
            s->ring_last = NULL;
        }

        batch[n++] = mesh_signer_list_take(&c->queue);
        s->queued--;

        if (c->queue.first) {

            if (s->ring == NULL) {
                s->ring = c;

            } else {
                s->ring_last->next = c;
            }

            s->ring_last = c;
        }
    }

    return n;
}


static EVP_PKEY_CTX *
mesh_signer_context(EVP_PKEY *key)
{
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new(key, NULL);

    if (ctx == NULL
        || EVP_PKEY_sign_init(ctx) <= 0
        || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0
        || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha384()) <= 0)
    {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


/* hashes here: a digest that comes from outside is never signed */

static int
mesh_signer_make_signature(EVP_PKEY_CTX *ctx, mesh_signer_job_t *job)
{
    uint8_t   hash[MESH_HASH_LEN];
    unsigned  len;

    job->len = sizeof(job->sig);

    if (EVP_Digest(job->input, MESH_SIGNER_SIGN_LEN, hash, &len, EVP_sha384(),
                   NULL) != 1
        || EVP_PKEY_sign(ctx, job->sig, &job->len, hash, sizeof(hash)) <= 0)
    {
        job->len = 0;
        return MESH_ERROR;
    }

    return MESH_OK;
}
