/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * meshload - load generator for MeshCentral-protocol servers
 *
 * One thread, epoll, OpenSSL. Speaks the wire protocol of agent.ashx, meshrelay.ashx and
 * control.ashx as a client, so the same binary can be pointed at MeshCentral or at any
 * wire-compatible server. Each run prints exactly one JSON line on stdout; diagnostics go
 * to stderr. The options are listed by meshload without arguments.
 */
#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define HASHLEN   48                 /* SHA-384 everywhere in this protocol */
#define READ_CHUNK 65536

/* ------------------------------------------------------------------ options */

static struct {
    const char *mode;
    const char *host, *sni, *prefix, *user, *pass, *mesh, *serverid, *keys, *auth, *dir,
               *steps, *pids, *get, *tls, *nodeid, *ciphers, *groups, *label;
    int    port, plain, n, conc, offset, skip, close_after, coreinfo, pairs, size, rtt,
           iters, bits, listen, src, via_agent, proto, fetch_nodes, agent_id, quiet, resume, reconnect;
    double pace, rate, hold, ping, timeout, secs, warmup, settle, rtt_rate;
} O = {
    .host = "127.0.0.1", .prefix = "/", .user = "admin", .pass = "", .auth = "header",
    .dir = "a2b", .port = 443, .n = 100, .conc = 64, .pairs = 1, .size = 65536, .iters = 20,
    .bits = 2048, .ping = 120, .timeout = 30, .secs = 5, .warmup = 1, .settle = 1,
    .rtt_rate = 20, .proto = 2, .agent_id = 6, .label = ""
};

static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("meshload: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static void note(const char *fmt, ...)
{
    va_list ap;
    if (O.quiet) return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static void *xmalloc(size_t n) { void *p = malloc(n); if (!p) die("out of memory"); return p; }
static void *xcalloc(size_t a, size_t b) { void *p = calloc(a, b); if (!p) die("out of memory"); return p; }
static void *xrealloc(void *o, size_t n) { void *p = realloc(o, n); if (!p) die("out of memory"); return p; }

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------ samples */

typedef struct { double *v; size_t n, cap; int sorted; } samples;

static void s_add(samples *s, double x)
{
    if (s->n == s->cap) { s->cap = s->cap ? s->cap * 2 : 256; s->v = xrealloc(s->v, s->cap * sizeof *s->v); }
    s->v[s->n++] = x;
    s->sorted = 0;
}
static int cmp_d(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}
static double s_pct(samples *s, double p)
{
    if (!s->n) return 0;
    if (!s->sorted) { qsort(s->v, s->n, sizeof *s->v, cmp_d); s->sorted = 1; }
    size_t i = (size_t)(p * (s->n - 1) + 0.5);
    return s->v[i];
}
static double s_mean(samples *s)
{
    double t = 0;
    for (size_t i = 0; i < s->n; i++) t += s->v[i];
    return s->n ? t / s->n : 0;
}
/* prints  "name":{...}  in milliseconds */
static void s_json(const char *name, samples *s)
{
    printf(",\"%s\":{\"n\":%zu,\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, s->n,
           s_mean(s) * 1e3, s_pct(s, .5) * 1e3, s_pct(s, .9) * 1e3, s_pct(s, .99) * 1e3, s_pct(s, 1) * 1e3);
}

/* ------------------------------------------------------------------ server process tree */

typedef struct { double user, sys; long rss_kb, pss_kb, nproc; } pstat;

static int pid_is_root(int pid)
{
    const char *s = O.pids;
    while (s && *s) {
        if (atoi(s) == pid) return 1;
        s = strchr(s, ',');
        if (s) s++;
    }
    return 0;
}

/* Sum CPU and memory over the given pids and everything descended from them. */
static pstat proc_tree(int want_pss)
{
    pstat r = {0};
    if (!O.pids) return r;
    static struct pe { int pid, ppid, mark; unsigned long u, s; long rss; } *pe;
    static int cap;
    int n = 0;
    DIR *d = opendir("/proc");
    struct dirent *de;
    while (d && (de = readdir(d))) {
        if (!isdigit((unsigned char)de->d_name[0])) continue;
        char path[64], buf[1024];
        snprintf(path, sizeof path, "/proc/%.20s/stat", de->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        ssize_t k = read(fd, buf, sizeof buf - 1);
        close(fd);
        if (k <= 0) continue;
        buf[k] = 0;
        char *p = strrchr(buf, ')');
        if (!p) continue;
        if (n == cap) { cap = cap ? cap * 2 : 256; pe = xrealloc(pe, cap * sizeof *pe); }
        struct pe *e = &pe[n];
        e->pid = atoi(de->d_name);
        if (sscanf(p + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld",
                   &e->ppid, &e->u, &e->s, &e->rss) != 4) continue;
        e->mark = pid_is_root(e->pid);
        n++;
    }
    if (d) closedir(d);
    for (int again = 1; again;) {
        again = 0;
        for (int i = 0; i < n; i++) {
            if (pe[i].mark) continue;
            for (int j = 0; j < n; j++)
                if (pe[j].mark && pe[j].pid == pe[i].ppid) { pe[i].mark = again = 1; break; }
        }
    }
    double hz = sysconf(_SC_CLK_TCK);
    long pg = sysconf(_SC_PAGESIZE) / 1024;
    for (int i = 0; i < n; i++) {
        if (!pe[i].mark) continue;
        r.user += pe[i].u / hz;
        r.sys += pe[i].s / hz;
        r.rss_kb += pe[i].rss * pg;
        r.nproc++;
        if (want_pss) {
            char path[64], line[256];
            snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pe[i].pid);
            FILE *f = fopen(path, "r");
            long v;
            while (f && fgets(line, sizeof line, f)) if (sscanf(line, "Pss: %ld kB", &v) == 1) { r.pss_kb += v; break; }
            if (f) fclose(f);
        }
    }
    return r;
}

static double self_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ------------------------------------------------------------------ key pool file */
/*
 * File: "MLK1" u32le bits u32le count, then per key u16le len + PKCS#1 private key DER,
 * u16le len + self-signed certificate DER. The pool is built from a small set of primes
 * taken in pairs, so thousands of distinct keys (hence distinct node ids) cost seconds, not
 * hours. Such keys are worthless as secrets; they only have to cost the same to use.
 */
static const uint8_t *kf;
static size_t kf_size;
static uint32_t kf_count, kf_bits;
static size_t *kf_off;

static unsigned rd16(const uint8_t *p) { return p[0] | p[1] << 8; }
static uint32_t rd32(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static void keys_load(void)
{
    if (!O.keys) die("--keys FILE is required");
    int fd = open(O.keys, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) die("cannot open %s", O.keys);
    kf_size = st.st_size;
    kf = mmap(NULL, kf_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (kf == MAP_FAILED || kf_size < 12 || memcmp(kf, "MLK1", 4)) die("bad key file");
    close(fd);
    kf_bits = rd32(kf + 4);
    kf_count = rd32(kf + 8);
    kf_off = xcalloc(kf_count, sizeof *kf_off);
    size_t o = 12;
    for (uint32_t i = 0; i < kf_count; i++) {
        if (o + 2 > kf_size) die("truncated key file");
        kf_off[i] = o;
        o += 2 + rd16(kf + o);
        o += 2 + rd16(kf + o);
    }
}

static RSA *key_get(int i, const uint8_t **cert, size_t *cert_len)
{
    const uint8_t *p = kf + kf_off[(uint32_t)i % kf_count];
    unsigned n = rd16(p);
    const uint8_t *q = p + 2;
    RSA *r = d2i_RSAPrivateKey(NULL, &q, n);
    if (!r) die("bad key %d", i);
    p += 2 + n;
    *cert_len = rd16(p);
    *cert = p + 2;
    return r;
}

/* Node id: base64 of SHA384(PKCS#1 public key), with + and / replaced by @ and $ */
static void rsa_node_id(RSA *r, char out[65])
{
    uint8_t *der = NULL, h[HASHLEN], b64[72];
    int n = i2d_RSAPublicKey(r, &der);
    SHA384(der, n, h);
    OPENSSL_free(der);
    EVP_EncodeBlock(b64, h, HASHLEN);
    for (int i = 0; i < 64; i++) out[i] = b64[i] == '+' ? '@' : b64[i] == '/' ? '$' : b64[i];
    out[64] = 0;
}

static void put16(FILE *f, unsigned v) { fputc(v & 255, f); fputc(v >> 8 & 255, f); }
static void put32(FILE *f, uint32_t v) { put16(f, v & 65535); put16(f, v >> 16); }

static int mode_keys(void)
{
    double t0 = now();
    int np = 2;
    while (np * (np - 1) / 2 < O.n) np++;
    BN_CTX *bc = BN_CTX_new();
    BIGNUM **pr = xcalloc(np, sizeof *pr), *e = BN_new();
    BN_set_word(e, RSA_F4);
    for (int i = 0; i < np; i++) {
        pr[i] = BN_new();
        for (;;) {
            if (!BN_generate_prime_ex(pr[i], O.bits / 2, 0, NULL, NULL, NULL)) die("prime generation failed");
            if (BN_mod_word(pr[i], RSA_F4) != 1) break;
        }
    }
    note("%d primes of %d bits in %.1f s", np, O.bits / 2, now() - t0);
    FILE *f = fopen(O.keys, "wb");
    if (!f) die("cannot write %s", O.keys);
    fwrite("MLK1", 1, 4, f);
    put32(f, O.bits);
    put32(f, O.n);
    int made = 0;
    for (int a = 0; a < np && made < O.n; a++)
        for (int b = a + 1; b < np && made < O.n; b++) {
            BIGNUM *p = BN_dup(pr[a]), *q = BN_dup(pr[b]), *n = BN_new(), *d = BN_new(), *p1 = BN_new(), *q1 = BN_new(),
                   *phi = BN_new(), *dp = BN_new(), *dq = BN_new(), *qi = BN_new();
            if (BN_cmp(p, q) < 0) { BIGNUM *t = p; p = q; q = t; }
            BN_mul(n, p, q, bc);
            BN_sub(p1, p, BN_value_one());
            BN_sub(q1, q, BN_value_one());
            BN_mul(phi, p1, q1, bc);
            if (!BN_mod_inverse(d, e, phi, bc)) die("inverse");
            BN_mod(dp, d, p1, bc);
            BN_mod(dq, d, q1, bc);
            BN_mod_inverse(qi, q, p, bc);
            RSA *r = RSA_new();
            RSA_set0_key(r, n, BN_dup(e), d);
            RSA_set0_factors(r, p, q);
            RSA_set0_crt_params(r, dp, dq, qi);
            BN_free(p1); BN_free(q1); BN_free(phi);
            uint8_t *der = NULL;
            int dl = i2d_RSAPrivateKey(r, &der);
            EVP_PKEY *pk = EVP_PKEY_new();
            EVP_PKEY_assign_RSA(pk, r);
            X509 *x = X509_new();
            X509_set_version(x, 2);
            ASN1_INTEGER_set(X509_get_serialNumber(x), made + 1);
            X509_gmtime_adj(X509_getm_notBefore(x), -86400);
            X509_gmtime_adj(X509_getm_notAfter(x), 86400L * 365 * 20);
            X509_NAME *nm = X509_get_subject_name(x);
            X509_NAME_add_entry_by_txt(nm, "CN", MBSTRING_ASC, (const uint8_t *)"MeshNodeCertificate", -1, -1, 0);
            X509_set_issuer_name(x, nm);
            X509_set_pubkey(x, pk);
            if (!X509_sign(x, pk, EVP_sha384())) die("X509_sign");
            uint8_t *xd = NULL;
            int xl = i2d_X509(x, &xd);
            put16(f, dl); fwrite(der, 1, dl, f);
            put16(f, xl); fwrite(xd, 1, xl, f);
            OPENSSL_free(der); OPENSSL_free(xd); X509_free(x); EVP_PKEY_free(pk);
            made++;
        }
    if (fclose(f)) die("write failed");
    printf("{\"mode\":\"keys\",\"bits\":%d,\"count\":%d,\"file\":\"%s\",\"seconds\":%.1f}\n", O.bits, made, O.keys, now() - t0);
    return 0;
}

/* ------------------------------------------------------------------ connections */

enum { ST_TCP, ST_TLS, ST_HTTP, ST_WS, ST_RAW, ST_LISTEN, ST_CLOSED };
enum { OP_CONT = 0, OP_TEXT = 1, OP_BIN = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

typedef struct conn conn;
typedef struct {
    void (*open)(conn *);                                 /* websocket (or raw TLS) is up */
    void (*msg)(conn *, int op, uint8_t *p, size_t n);    /* complete message; raw: any bytes */
    void (*closed)(conn *, const char *why);              /* called once */
    void (*writable)(conn *);                             /* output drained (optional) */
} handler;

typedef struct {            /* agent handshake scratch, freed once authenticated */
    RSA *rsa;
    const uint8_t *cert;
    size_t cert_len;
    uint8_t hash[HASHLEN], anonce[HASHLEN], snonce[HASHLEN];
    int got1, sent2, verified;
} ag_hs;

struct conn {
    int fd, st, idx, ready, registered;
    uint32_t ev;
    SSL *ssl;
    const handler *h;
    char *path, *hdr, *wskey;
    int no_ws;
    uint8_t *in, *out, *frag;
    size_t in_len, in_cap, out_off, out_len, out_cap, frag_len, frag_cap;
    int frag_op;
    const uint8_t *pump;
    size_t pump_len, pump_off;
    double t0, t_tcp, t_tls, t_ws, t_ready, t_ping, t_last;
    uint64_t rx_bytes, rx_msgs, tx_msgs;
    ag_hs *hs;
    void *data;
    conn *peer, *next_dead;
    char nodeid[65];
};

static int ep = -1;
static SSL_CTX *ctx;
static conn *dead;
static struct sockaddr_in srv_addr;
static long n_open;

static void conn_close(conn *c, const char *why);
static void want(conn *c, uint32_t ev);

static int io_read(conn *c, void *p, size_t n)      /* >0 bytes, 0 closed, -1 again, -2 error */
{
    if (!c->ssl) {
        ssize_t k = read(c->fd, p, n);
        if (k > 0) return k;
        if (k == 0) return 0;
        return errno == EAGAIN || errno == EINTR ? -1 : -2;
    }
    ERR_clear_error();
    int k = SSL_read(c->ssl, p, n);
    if (k > 0) return k;
    switch (SSL_get_error(c->ssl, k)) {
    case SSL_ERROR_WANT_READ: case SSL_ERROR_WANT_WRITE: return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: return -2;
    }
}

static int io_write(conn *c, const void *p, size_t n)
{
    if (!c->ssl) {
        ssize_t k = write(c->fd, p, n);
        if (k >= 0) return k;
        return errno == EAGAIN || errno == EINTR ? -1 : -2;
    }
    ERR_clear_error();
    int k = SSL_write(c->ssl, p, n);
    if (k > 0) return k;
    switch (SSL_get_error(c->ssl, k)) {
    case SSL_ERROR_WANT_READ: case SSL_ERROR_WANT_WRITE: return -1;
    default: return -2;
    }
}

static void want(conn *c, uint32_t ev)
{
    if (c->st == ST_CLOSED || (c->registered && c->ev == ev)) return;
    struct epoll_event e = {.events = ev, .data.ptr = c};
    if (epoll_ctl(ep, c->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e)) die("epoll_ctl: %s", strerror(errno));
    c->registered = 1;
    c->ev = ev;
}

static void conn_free_bufs(conn *c)
{
    free(c->in); free(c->out); free(c->frag); free(c->path); free(c->hdr); free(c->wskey);
    c->in = c->out = c->frag = NULL;
    c->path = c->hdr = c->wskey = NULL;
}

static void hs_free(conn *c)
{
    if (!c->hs) return;
    if (c->hs->rsa) RSA_free(c->hs->rsa);
    free(c->hs);
    c->hs = NULL;
}

static void conn_close(conn *c, const char *why)
{
    if (c->st == ST_CLOSED) return;
    int was = c->st;
    c->st = ST_CLOSED;
    c->registered = 0;
    if (c->ssl) {
        if (was == ST_WS || was == ST_RAW) SSL_shutdown(c->ssl);   /* one-way close_notify */
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    close(c->fd);
    n_open--;
    if (c->h && c->h->closed) c->h->closed(c, why);
    c->next_dead = dead;
    dead = c;
}

static void reap(void)
{
    while (dead) {
        conn *c = dead;
        dead = c->next_dead;
        hs_free(c);
        conn_free_bufs(c);
        free(c);
    }
}

static void flush_out(conn *c)
{
    while (c->out_off < c->out_len) {
        int k = io_write(c, c->out + c->out_off, c->out_len - c->out_off);
        if (k == -1) { want(c, EPOLLIN | EPOLLOUT); return; }
        if (k <= 0) { conn_close(c, "write"); return; }
        c->out_off += k;
    }
    c->out_off = c->out_len = 0;
    if (c->out_cap > 4096 || (c->out && !c->pump)) { free(c->out); c->out = NULL; c->out_cap = 0; }
    if (!c->pump) want(c, EPOLLIN);
}

static void out_put(conn *c, const void *p, size_t n)
{
    if (c->out_len + n > c->out_cap) {
        c->out_cap = (c->out_len + n) * 3 / 2 + 256;
        c->out = xrealloc(c->out, c->out_cap);
    }
    memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
}

/* Build a masked client frame. Returns header length; payload is XORed in place. */
static size_t ws_header(uint8_t *h, int op, size_t n, const uint8_t mask[4])
{
    size_t l = 2;
    h[0] = 0x80 | op;
    if (n < 126) h[1] = 0x80 | n;
    else if (n < 65536) { h[1] = 0x80 | 126; h[2] = n >> 8; h[3] = n; l = 4; }
    else { h[1] = 0x80 | 127; for (int i = 0; i < 8; i++) h[2 + i] = (uint64_t)n >> (56 - 8 * i); l = 10; }
    memcpy(h + l, mask, 4);
    return l + 4;
}

static void ws_send(conn *c, int op, const void *p, size_t n)
{
    static uint32_t seed = 0x9e3779b9;
    uint8_t h[16], mask[4];
    if (c->st != ST_WS) return;
    seed ^= seed << 13; seed ^= seed >> 17; seed ^= seed << 5;
    memcpy(mask, &seed, 4);
    size_t hl = ws_header(h, op, n, mask);
    out_put(c, h, hl);
    size_t at = c->out_len;
    out_put(c, p, n);
    for (size_t i = 0; i < n; i++) c->out[at + i] ^= mask[i & 3];
    c->tx_msgs++;
    flush_out(c);
}
static void ws_text(conn *c, const char *s) { ws_send(c, OP_TEXT, s, strlen(s)); }
static void ws_json(conn *c, const char *s) { ws_send(c, OP_BIN, s, strlen(s)); }   /* agents send JSON in binary frames */

/* Keep a connection's socket full with copies of one prebuilt frame. */
static void do_pump(conn *c)
{
    for (int i = 0; i < 64 && c->pump && c->st != ST_CLOSED; i++) {
        int k = io_write(c, c->pump + c->pump_off, c->pump_len - c->pump_off);
        if (k == -1) break;
        if (k <= 0) { conn_close(c, "write"); return; }
        c->pump_off += k;
        if (c->pump_off == c->pump_len) { c->pump_off = 0; c->tx_msgs++; }
    }
    if (c->st != ST_CLOSED) want(c, EPOLLIN | EPOLLOUT);
}

static conn *conn_new(const handler *h, int fd)
{
    conn *c = xcalloc(1, sizeof *c);
    c->h = h;
    c->fd = fd;
    c->t0 = now();
    n_open++;
    return c;
}

/* path NULL: no websocket, the connection is handed over as soon as TLS (or TCP) is up */
static conn *conn_open(const handler *h, const char *path, const char *hdr, int idx)
{
    static unsigned seq;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) die("socket: %s (raise ulimit -n?)", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (O.src) {
        struct sockaddr_in s = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + seq++ % O.src)};
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (void *)&s, sizeof s)) die("bind: %s", strerror(errno));
    }
    conn *c = conn_new(h, fd);
    c->idx = idx;
    c->st = ST_TCP;
    if (path) c->path = strdup(path); else c->no_ws = 1;
    if (hdr) c->hdr = strdup(hdr);
    if (connect(fd, (void *)&srv_addr, sizeof srv_addr) && errno != EINPROGRESS) die("connect: %s", strerror(errno));
    want(c, EPOLLOUT);
    return c;
}

static void send_upgrade(conn *c)
{
    uint8_t rnd[16];
    RAND_bytes(rnd, 16);
    c->wskey = xmalloc(32);
    EVP_EncodeBlock((uint8_t *)c->wskey, rnd, 16);
    size_t cap = strlen(c->path) + (c->hdr ? strlen(c->hdr) : 0) + 512;
    char *b = xmalloc(cap);
    int n = snprintf(b, cap, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                     c->path, O.sni ? O.sni : O.host, O.port, c->wskey, c->hdr ? c->hdr : "");
    out_put(c, b, n);
    free(b);
    c->st = ST_HTTP;
    want(c, EPOLLIN);
    flush_out(c);
}

static void transport_up(conn *c)
{
    c->t_tls = now();
    if (c->no_ws) {
        c->st = ST_RAW;
        want(c, EPOLLIN);
        if (c->h->open) c->h->open(c);
    } else send_upgrade(c);
}

static void do_tls(conn *c)
{
    ERR_clear_error();
    int k = SSL_do_handshake(c->ssl);
    if (k == 1) { transport_up(c); return; }
    int e = SSL_get_error(c->ssl, k);
    if (e == SSL_ERROR_WANT_READ) want(c, EPOLLIN);
    else if (e == SSL_ERROR_WANT_WRITE) want(c, EPOLLOUT);
    else conn_close(c, "tls");
}

static void do_connected(conn *c)
{
    int err = 0;
    socklen_t l = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
    if (err) { conn_close(c, "connect"); return; }
    c->t_tcp = now();
    if (O.plain) { transport_up(c); return; }
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    if (O.sni) SSL_set_tlsext_host_name(c->ssl, O.sni);
    c->st = ST_TLS;
    do_tls(c);
}

static int http_done(conn *c)       /* consumed bytes, 0 need more, -1 failed */
{
    uint8_t *e = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!e) return c->in_len > 65536 ? -1 : 0;
    size_t n = e - c->in + 4;
    if (c->in_len < 12 || memcmp(c->in, "HTTP/1.1 101", 12)) {
        note("upgrade of %s refused: %.60s", c->path, (char *)c->in);
        return -1;
    }
    char cat[80];
    uint8_t sha[20];
    char acc[32];
    snprintf(cat, sizeof cat, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", c->wskey);
    SHA1((uint8_t *)cat, strlen(cat), sha);
    EVP_EncodeBlock((uint8_t *)acc, sha, 20);
    if (!memmem(c->in, n, acc, 28)) { note("wrong Sec-WebSocket-Accept"); return -1; }
    return n;
}

static void ws_message(conn *c, int op, uint8_t *p, size_t n)
{
    c->rx_msgs++;
    c->t_last = now();
    if (c->h->msg) c->h->msg(c, op, p, n);
}

static void ws_parse(conn *c)
{
    size_t off = 0;
    while (c->st == ST_WS && c->in_len - off >= 2) {
        uint8_t *p = c->in + off;
        size_t avail = c->in_len - off, hl = 2;
        uint64_t n = p[1] & 127;
        if (p[1] & 0x80 || p[0] & 0x70) { conn_close(c, "bad frame"); return; }
        if (n == 126) { hl = 4; if (avail < hl) break; n = p[2] << 8 | p[3]; }
        else if (n == 127) { hl = 10; if (avail < hl) break; n = 0; for (int i = 0; i < 8; i++) n = n << 8 | p[2 + i]; }
        if (n > 1u << 30) { conn_close(c, "huge frame"); return; }
        if (avail < hl + n) {
            if (c->in_cap < off + hl + n + READ_CHUNK) { c->in_cap = off + hl + n + READ_CHUNK; c->in = xrealloc(c->in, c->in_cap); }
            break;
        }
        int op = p[0] & 15, fin = p[0] >> 7;
        uint8_t *d = p + hl;
        off += hl + n;
        if (op == OP_PING) ws_send(c, OP_PONG, d, n);
        else if (op == OP_PONG) { }
        else if (op == OP_CLOSE) { conn_close(c, "ws close"); return; }
        else if (fin && op != OP_CONT) ws_message(c, op, d, n);
        else {
            if (op != OP_CONT) { c->frag_op = op; c->frag_len = 0; }
            if (c->frag_len + n > c->frag_cap) { c->frag_cap = c->frag_len + n + 4096; c->frag = xrealloc(c->frag, c->frag_cap); }
            memcpy(c->frag + c->frag_len, d, n);
            c->frag_len += n;
            if (fin) { ws_message(c, c->frag_op, c->frag, c->frag_len); free(c->frag); c->frag = NULL; c->frag_cap = c->frag_len = 0; }
        }
    }
    if (c->st == ST_CLOSED) return;
    memmove(c->in, c->in + off, c->in_len - off);
    c->in_len -= off;
}

static void do_read(conn *c)
{
    for (int i = 0; i < 256 && c->st != ST_CLOSED; i++) {
        if (c->in_cap - c->in_len < READ_CHUNK) { c->in_cap = c->in_len + READ_CHUNK; c->in = xrealloc(c->in, c->in_cap); }
        int k = io_read(c, c->in + c->in_len, c->in_cap - c->in_len);
        if (k == -1) break;
        if (k <= 0) { conn_close(c, k ? "read error" : "eof"); return; }
        c->rx_bytes += k;
        c->in_len += k;
        if (c->st == ST_HTTP) {
            int n = http_done(c);
            if (n < 0) { conn_close(c, "upgrade refused"); return; }
            if (!n) continue;
            memmove(c->in, c->in + n, c->in_len - n);
            c->in_len -= n;
            c->st = ST_WS;
            c->t_ws = now();
            free(c->path); free(c->hdr); free(c->wskey);
            c->path = c->hdr = c->wskey = NULL;
            if (c->h->open) c->h->open(c);
        }
        if (c->st == ST_WS) ws_parse(c);
        else if (c->st == ST_RAW) { if (c->h->msg) c->h->msg(c, OP_BIN, c->in, c->in_len); c->in_len = 0; }
    }
    if (c->st != ST_CLOSED && c->in_len == 0) { free(c->in); c->in = NULL; c->in_cap = 0; }
}

static void do_accept(conn *l)
{
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn *c = conn_new(l->h, fd);
        c->st = ST_RAW;
        c->idx = -1;
        want(c, EPOLLIN);
        if (c->h->open) c->h->open(c);
    }
}

static void loop_once(int timeout_ms)
{
    static struct epoll_event ev[512];
    int n = epoll_wait(ep, ev, 512, timeout_ms);
    for (int i = 0; i < n; i++) {
        conn *c = ev[i].data.ptr;
        if (c->st == ST_CLOSED) continue;
        switch (c->st) {
        case ST_LISTEN: do_accept(c); break;
        case ST_TCP: do_connected(c); break;
        case ST_TLS: do_tls(c); break;
        default:
            if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) do_read(c);
            if (c->st != ST_CLOSED && ev[i].events & EPOLLOUT) {
                if (c->out_len) flush_out(c);
                if (c->st != ST_CLOSED && !c->out_len) {
                    if (c->pump) do_pump(c); else if (c->h->writable) c->h->writable(c);
                }
            }
        }
    }
    reap();
}

static void run_for(double secs)
{
    double end = now() + secs;
    while (now() < end) {
        double left = (end - now()) * 1e3;
        loop_once(left > 20 ? 20 : left < 1 ? 1 : (int)left);
    }
}

static void net_init(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    if (!getrlimit(RLIMIT_NOFILE, &rl)) { rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); }
    ep = epoll_create1(EPOLL_CLOEXEC);
    srv_addr.sin_family = AF_INET;
    srv_addr.sin_port = htons(O.port);
    if (inet_pton(AF_INET, O.host, &srv_addr.sin_addr) != 1) die("--host must be an IPv4 address");
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);     /* agents pin by hash, not by CA */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (O.groups && !SSL_CTX_set1_groups_list(ctx, O.groups)) die("bad --groups");
    if (O.ciphers && !SSL_CTX_set_ciphersuites(ctx, O.ciphers) && !SSL_CTX_set_cipher_list(ctx, O.ciphers)) die("bad --ciphers");
    if (O.tls && !strcmp(O.tls, "1.2")) SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (O.tls && !strcmp(O.tls, "1.3")) SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
}

/* ------------------------------------------------------------------ small helpers */

static char *mkpath(const char *fmt, ...)
{
    static char buf[8192];
    int n = snprintf(buf, sizeof buf, "%s", O.prefix);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf + n, sizeof buf - n, fmt, ap);
    va_end(ap);
    return buf;
}

static void urlenc(char *d, const char *s)
{
    for (; *s; s++)
        if (isalnum((unsigned char)*s) || strchr("-_.~", *s)) *d++ = *s; else d += sprintf(d, "%%%02X", (unsigned char)*s);
    *d = 0;
}

/* value of "key":"..." in a flat piece of JSON; enough for the tokens we need */
static char *jstr(const uint8_t *p, size_t n, const char *key)
{
    char pat[64];
    int k = snprintf(pat, sizeof pat, "\"%s\":\"", key);
    const uint8_t *q = memmem(p, n, pat, k);
    if (!q) return NULL;
    q += k;
    const uint8_t *e = memchr(q, '"', p + n - q);
    return e ? strndup((const char *)q, e - q) : NULL;
}
static int has(const uint8_t *p, size_t n, const char *s) { return memmem(p, n, s, strlen(s)) != NULL; }

/* frame holding n pseudo-random bytes, already masked */
static uint8_t *mkframe(size_t n, size_t *len, int raw)
{
    uint8_t *f = xmalloc(n + 16), mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t h = raw ? 0 : ws_header(f, OP_BIN, n, mask);
    RAND_bytes(f + h, n);
    *len = h + n;
    return f;
}

static char auth_hdr[1024];
static void mk_auth_hdr(void)
{
    char u[400], p[400];
    if (strlen(O.user) > 200 || strlen(O.pass) > 200) die("--user or --pass too long");
    EVP_EncodeBlock((uint8_t *)u, (const uint8_t *)O.user, strlen(O.user));
    EVP_EncodeBlock((uint8_t *)p, (const uint8_t *)O.pass, strlen(O.pass));
    snprintf(auth_hdr, sizeof auth_hdr, "x-meshauth: %s,%s\r\n", u, p);
}

/* server process accounting around a measured section */
static pstat ps0, ps1;
static double cc0, cc1, tt0, tt1;
static void meas_begin(void) { ps0 = proc_tree(0); cc0 = self_cpu(); tt0 = now(); }
static void meas_end(void) { ps1 = proc_tree(0); cc1 = self_cpu(); tt1 = now(); }
static double srv_cpu(void) { return ps1.user + ps1.sys - ps0.user - ps0.sys; }
static void meas_json(void)
{
    printf(",\"wall_s\":%.3f,\"client_cpu_s\":%.2f", tt1 - tt0, cc1 - cc0);
    if (O.pids) printf(",\"server_cpu_user_s\":%.2f,\"server_cpu_sys_s\":%.2f,\"server_rss_kb\":%ld,\"server_procs\":%ld",
                       ps1.user - ps0.user, ps1.sys - ps0.sys, ps1.rss_kb, ps1.nproc);
}

/* ------------------------------------------------------------------ agent side */

static struct {
    long started, inflight, ok, fail_connect, fail_tls, fail_upgrade, fail_sig, fail_timeout, fail_closed, lost;
    long back, tries;               /* --reconnect: sessions that came back, and what that took */
    samples lat, tcp, tls, ws, mesh, away;
    conn **live;
    struct { double lost, due, delay; } *again;
} A;

static uint8_t mesh_raw[HASHLEN], serverid_raw[HASHLEN];
static int have_serverid;
static void (*agent_ready_cb)(conn *);
static void (*agent_json_cb)(conn *, uint8_t *, size_t);
static void (*agent_sent3_cb)(conn *);

static void mesh_init(void)
{
    if (!O.mesh) die("--mesh MESHID is required");
    const char *m = strrchr(O.mesh, '/');
    m = m ? m + 1 : O.mesh;
    char b[80];
    size_t n = strlen(m);
    if (n != 64) die("mesh id must have 64 characters");
    for (size_t i = 0; i <= n; i++) b[i] = m[i] == '@' ? '+' : m[i] == '$' ? '/' : m[i];
    EVP_DecodeBlock(mesh_raw, (uint8_t *)b, 64);
    if (O.serverid) {
        if (strlen(O.serverid) != 96) die("--serverid is 96 hex digits");
        for (int i = 0; i < HASHLEN; i++) { unsigned v; sscanf(O.serverid + 2 * i, "%2x", &v); serverid_raw[i] = v; }
        have_serverid = 1;
    }
}

static void be16(uint8_t *p, unsigned v) { p[0] = v >> 8; p[1] = v; }
static void be32(uint8_t *p, uint32_t v) { p[0] = v >> 24; p[1] = v >> 16; p[2] = v >> 8; p[3] = v; }

static void agent_send_info(conn *c)            /* message 3 */
{
    uint8_t b[160];
    char name[40];
    int nl = snprintf(name, sizeof name, "load-%06d", c->idx);
    be16(b, 3);
    be32(b + 2, 1);                             /* info structure version */
    be32(b + 6, O.agent_id);                    /* agent type; 6 = Linux x86-64 */
    be32(b + 10, 0);                            /* agent version */
    be32(b + 14, 5);                            /* platform: server */
    memcpy(b + 18, mesh_raw, HASHLEN);
    be32(b + 66, 0x1f);                         /* desktop, terminal, files, console, javascript */
    be16(b + 70, nl);
    memcpy(b + 72, name, nl);
    ws_send(c, OP_BIN, b, 72 + nl);
    if (agent_sent3_cb) agent_sent3_cb(c);
}

static void agent_sign(conn *c)                 /* message 2 */
{
    ag_hs *s = c->hs;
    uint8_t d[3 * HASHLEN], h[HASHLEN], b[4096];
    unsigned sl = 0;
    memcpy(d, s->hash, HASHLEN);
    memcpy(d + HASHLEN, s->snonce, HASHLEN);
    memcpy(d + 2 * HASHLEN, s->anonce, HASHLEN);
    SHA384(d, sizeof d, h);
    be16(b, 2);
    be16(b + 2, s->cert_len);
    memcpy(b + 4, s->cert, s->cert_len);
    if (!RSA_sign(NID_sha384, h, HASHLEN, b + 4 + s->cert_len, &sl, s->rsa)) die("RSA_sign");
    s->sent2 = 1;
    ws_send(c, OP_BIN, b, 4 + s->cert_len + sl);
}

static int agent_verify(conn *c, uint8_t *p, size_t n)  /* server's message 2 */
{
    ag_hs *s = c->hs;
    if (n < 4) return 0;
    size_t cl = p[2] << 8 | p[3];
    if (4 + cl >= n) return 0;
    const uint8_t *q = p + 4;
    X509 *x = d2i_X509(NULL, &q, cl);
    if (!x) return 0;
    EVP_PKEY *k = X509_get0_pubkey(x);
    int ok = 0;
    const RSA *r = k ? EVP_PKEY_get0_RSA(k) : NULL;
    if (r) {
        uint8_t *der = NULL, id[HASHLEN], d[3 * HASHLEN], h[HASHLEN];
        int dl = i2d_RSAPublicKey(r, &der);
        SHA384(der, dl, id);
        OPENSSL_free(der);
        if (!have_serverid) { memcpy(serverid_raw, id, HASHLEN); have_serverid = 1; note("pinned agent server id from first reply"); }
        memcpy(d, s->hash, HASHLEN);
        memcpy(d + HASHLEN, s->anonce, HASHLEN);
        memcpy(d + 2 * HASHLEN, s->snonce, HASHLEN);
        SHA384(d, sizeof d, h);
        ok = !memcmp(id, serverid_raw, HASHLEN) && RSA_verify(NID_sha384, h, HASHLEN, p + 4 + cl, n - 4 - cl, (RSA *)r) == 1;
    }
    X509_free(x);
    return ok;
}

static void agent_open(conn *c)
{
    ag_hs *s = c->hs = xcalloc(1, sizeof *s);
    s->rsa = key_get(O.offset + c->idx, &s->cert, &s->cert_len);
    rsa_node_id(s->rsa, c->nodeid);
    if (c->ssl) {
        X509 *x = SSL_get0_peer_certificate(c->ssl);
        uint8_t *der = NULL;
        int n = i2d_X509(x, &der);
        SHA384(der, n, s->hash);
        OPENSSL_free(der);
    }
    RAND_bytes(s->anonce, HASHLEN);
    uint8_t b[2 + 2 * HASHLEN];
    if (O.skip) { be16(b, 4); ws_send(c, OP_BIN, b, 2); }
    if (have_serverid) { be16(b, 5); memcpy(b + 2, serverid_raw, HASHLEN); ws_send(c, OP_BIN, b, 2 + HASHLEN); }
    be16(b, 1);
    memcpy(b + 2, s->hash, HASHLEN);
    memcpy(b + 2 + HASHLEN, s->anonce, HASHLEN);
    ws_send(c, OP_BIN, b, sizeof b);
}

static void agent_msg(conn *c, int op, uint8_t *p, size_t n)
{
    (void)op;
    if (n < 2) return;
    if (p[0] == '{') {
        if (has(p, n, "\"action\":\"ping\"")) ws_json(c, "{\"action\":\"pong\"}");
        else if (agent_json_cb) agent_json_cb(c, p, n);
        return;
    }
    ag_hs *s = c->hs;
    switch (p[0] << 8 | p[1]) {
    case 1:
        if (!s || n != 98 || s->got1) return;
        s->got1 = 1;
        if (memcmp(p + 2, s->hash, HASHLEN)) { A.fail_sig++; c->ready = -1; conn_close(c, "hash"); return; }
        memcpy(s->snonce, p + 50, HASHLEN);
        agent_sign(c);
        if (O.skip && c->st == ST_WS) agent_send_info(c);
        break;
    case 2:
        if (!s || O.skip) return;
        if (!agent_verify(c, p, n)) { A.fail_sig++; c->ready = -1; note("bad server signature"); conn_close(c, "sig"); return; }
        s->verified = 1;
        agent_send_info(c);
        break;
    case 4:                                     /* authenticated */
        if (c->ready) return;
        c->ready = 1;
        c->t_ready = now();
        c->t_ping = c->t_ready - O.ping * (drand48() * 0.8);     /* spread the pings */
        hs_free(c);
        if (A.again && A.again[c->idx].lost > 0) {
            A.back++;
            s_add(&A.away, c->t_ready - A.again[c->idx].lost);
            memset(&A.again[c->idx], 0, sizeof *A.again);
            break;
        }
        A.ok++;
        A.inflight--;
        s_add(&A.lat, c->t_ready - c->t0);
        s_add(&A.tcp, c->t_tcp - c->t0);
        s_add(&A.tls, c->t_tls - c->t_tcp);
        s_add(&A.ws, c->t_ws - c->t_tls);
        s_add(&A.mesh, c->t_ready - c->t_ws);
        if (agent_ready_cb) agent_ready_cb(c);
        if (O.close_after) { ws_send(c, OP_CLOSE, "\x03\xe8", 2); conn_close(c, "done"); }
        break;
    case 12: case 11: {                         /* executable hash / core hash: all zero = leave us alone */
        uint8_t b[52] = {0, p[1]};
        ws_send(c, OP_BIN, b, sizeof b);
        break;
    }
    case 16:                                    /* core ok */
        if (O.coreinfo) ws_json(c, "{\"action\":\"coreinfo\",\"value\":\"MeshCore v6\",\"osdesc\":\"Linux load\",\"caps\":31,\"root\":true}");
        break;
    }
}

static void agent_closed(conn *c, const char *why)
{
    if (c->idx >= 0 && A.live && A.live[c->idx] == c) A.live[c->idx] = NULL;
    if (A.again && strcmp(why, "done") && (c->ready > 0 || A.again[c->idx].lost > 0)) {
        if (c->ready > 0) { A.lost++; A.again[c->idx].lost = now(); A.again[c->idx].delay = 1; }
        A.again[c->idx].due = now() + A.again[c->idx].delay * (0.2 + drand48());
        if (A.again[c->idx].delay < 30) A.again[c->idx].delay *= 2;
        return;
    }
    if (c->ready > 0) { if (strcmp(why, "done")) A.lost++; return; }
    A.inflight--;
    if (c->ready < 0) return;
    if (!strcmp(why, "connect")) A.fail_connect++;
    else if (!strcmp(why, "tls")) A.fail_tls++;
    else if (!strcmp(why, "upgrade refused")) A.fail_upgrade++;
    else if (!strcmp(why, "timeout")) A.fail_timeout++;
    else A.fail_closed++;
}

static const handler agent_h = {agent_open, agent_msg, agent_closed, NULL};

static conn *agent_start(int i)
{
    conn *c = conn_open(&agent_h, mkpath("agent.ashx"), NULL, i);
    A.started++;
    A.inflight++;
    if (A.live) A.live[i] = c;
    return c;
}

static void agent_house(void)      /* pings, handshake timeouts, reconnects; at most 5 times a second */
{
    static double last;
    double t = now();
    if (t - last < 0.2) return;
    last = t;
    for (int i = 0; i < O.n; i++) {
        conn *c = A.live[i];
        if (!c) {
            if (A.again && A.again[i].due > 0 && t >= A.again[i].due) {
                A.again[i].due = 0;
                A.tries++;
                A.live[i] = conn_open(&agent_h, mkpath("agent.ashx"), NULL, i);
            }
            continue;
        }
        if (c->ready > 0) { if (O.ping && t - c->t_ping > O.ping) { c->t_ping = t; ws_send(c, OP_PING, "", 0); } }
        else if (t - c->t0 > O.timeout) conn_close(c, "timeout");
    }
}

static void agents_up_to(int target)
{
    double t0 = now();
    int base = A.started;
    while (A.started < target || A.inflight > 0) {
        while (A.started < target && A.inflight < O.conc && (O.rate <= 0 || A.started - base < (now() - t0) * O.rate)) agent_start(A.started);
        loop_once(O.rate > 0 ? 1 : 20);
        agent_house();
    }
}

static void hold_agents(double secs)
{
    double end = now() + secs;
    while (now() < end) { loop_once(50); agent_house(); }
}

static void agents_json(void)
{
    long fails = A.fail_connect + A.fail_tls + A.fail_upgrade + A.fail_sig + A.fail_timeout + A.fail_closed;
    printf(",\"ok\":%ld,\"failed\":%ld,\"fail\":{\"connect\":%ld,\"tls\":%ld,\"upgrade\":%ld,\"sig\":%ld,\"timeout\":%ld,\"closed\":%ld},\"lost\":%ld",
           A.ok, fails, A.fail_connect, A.fail_tls, A.fail_upgrade, A.fail_sig, A.fail_timeout, A.fail_closed, A.lost);
    if (A.again) {
        int alive = 0;
        for (int i = 0; i < O.n; i++) alive += A.live[i] && A.live[i]->ready > 0;
        printf(",\"alive\":%d,\"reconnected\":%ld,\"reconnect_tries\":%ld", alive, A.back, A.tries);
        s_json("away_ms", &A.away);
    }
}

static int mode_agents(void)
{
    keys_load();
    mesh_init();
    int steps[64], ns = 0;
    if (O.steps) {
        for (const char *s = O.steps; s && *s && ns < 64; s = strchr(s, ','), s = s ? s + 1 : NULL) steps[ns++] = atoi(s);
        O.n = steps[ns - 1];
    } else steps[ns++] = O.n;
    if ((uint32_t)(O.n + O.offset) > kf_count) note("warning: more agents than keys, node ids will repeat");
    A.live = xcalloc(O.n, sizeof *A.live);
    if (O.reconnect) A.again = xcalloc(O.n, sizeof *A.again);
    pstat idle = proc_tree(1);
    struct { int n; double wall; pstat at, after; double cpu; } st[64];
    meas_begin();
    double hs_wall = 0, cpu_hs = 0;
    for (int i = 0; i < ns; i++) {
        pstat a = proc_tree(0);
        double t = now();
        agents_up_to(steps[i]);
        st[i].wall = now() - t;
        hs_wall += st[i].wall;
        hold_agents(O.settle);
        pstat b = proc_tree(1);
        st[i].cpu = b.user + b.sys - a.user - a.sys;
        cpu_hs += st[i].cpu;
        note("%ld of %d agents are connected", A.ok, steps[i]);
        st[i].n = steps[i];
        st[i].at = b;
        if (O.hold > 0) hold_agents(O.hold);
        st[i].after = proc_tree(1);
    }
    meas_end();
    printf("{\"mode\":\"agents\",\"label\":\"%s\",\"n\":%d,\"key_bits\":%u,\"skip\":%d,\"conc\":%d,\"rate\":%g", O.label, O.n, kf_bits, O.skip, O.conc, O.rate);
    agents_json();
    printf(",\"handshakes_per_s\":%.1f,\"handshake_wall_s\":%.3f", A.ok / (hs_wall > 0 ? hs_wall : 1), hs_wall);
    if (O.pids) printf(",\"server_cpu_ms_per_handshake\":%.3f", A.ok ? cpu_hs * 1e3 / A.ok : 0);
    s_json("latency_ms", &A.lat);
    s_json("tcp_ms", &A.tcp);
    s_json("tls_ms", &A.tls);
    s_json("upgrade_ms", &A.ws);
    s_json("mesh_ms", &A.mesh);
    meas_json();
    if (O.pids) {
        printf(",\"idle_rss_kb\":%ld,\"idle_pss_kb\":%ld,\"steps\":[", idle.rss_kb, idle.pss_kb);
        for (int i = 0; i < ns; i++)
            printf("%s{\"n\":%d,\"wall_s\":%.2f,\"cpu_s\":%.2f,\"rss_kb\":%ld,\"pss_kb\":%ld,\"rss_after_hold_kb\":%ld,\"pss_after_hold_kb\":%ld,\"kb_per_agent\":%.1f,\"hold_cpu_s\":%.2f}",
                   i ? "," : "", st[i].n, st[i].wall, st[i].cpu, st[i].at.rss_kb, st[i].at.pss_kb, st[i].after.rss_kb, st[i].after.pss_kb,
                   (double)(st[i].after.pss_kb - idle.pss_kb) / st[i].n, st[i].after.user + st[i].after.sys - st[i].at.user - st[i].at.sys);
        printf("]");
    }
    printf("}\n");
    return A.ok == O.n ? 0 : 1;
}

/* ------------------------------------------------------------------ control.ashx */

static char *cookie_auth, *cookie_relay;
static int ctl_state;          /* 1 logged in, 2 cookies, -1 failed */
static conn *ctl_conn;

static void ctl_msg(conn *c, int op, uint8_t *p, size_t n)
{
    (void)op;
    if (has(p, n, "\"action\":\"close\"")) { note("login refused: %.*s", (int)(n > 120 ? 120 : n), p); ctl_state = -1; return; }
    if (has(p, n, "\"action\":\"userinfo\"") && !ctl_state) { ctl_state = 1; ws_text(c, "{\"action\":\"authcookie\"}"); }
    if (has(p, n, "\"action\":\"authcookie\"")) {
        free(cookie_auth); free(cookie_relay);
        cookie_auth = jstr(p, n, "cookie");
        cookie_relay = jstr(p, n, "rcookie");
        if (cookie_auth && cookie_relay) ctl_state = 2;
    }
}
static void ctl_closed(conn *c, const char *why) { (void)c; if (ctl_state < 2) { note("control connection lost: %s", why); ctl_state = -1; } ctl_conn = NULL; }
static const handler ctl_h = {NULL, ctl_msg, ctl_closed, NULL};

static void ctl_login(void)
{
    mk_auth_hdr();
    ctl_conn = conn_open(&ctl_h, mkpath("control.ashx"), auth_hdr, 0);
    double end = now() + O.timeout;
    while (ctl_state >= 0 && ctl_state < 2 && now() < end) loop_once(20);
    if (ctl_state < 2) die("control login failed");
}

/* ------------------------------------------------------------------ relay */

typedef struct { conn *b, *a; int bc, ac; double t0, t_sent; int waiting; uint32_t seq; } pair;
static pair *P;
static struct { long ready, failed, inflight; samples setup, rtt; int measuring; uint64_t bytes, msgs, sent_bytes, sent_msgs; } R;
static char rid_base[24];
static conn *via;

static void relay_check(pair *p)
{
    if (p->bc && p->ac && p->t0 > 0) {
        s_add(&R.setup, now() - p->t0);
        p->t0 = 0;
        R.ready++;
        R.inflight--;
    }
}

static void rtt_send(pair *p)
{
    uint8_t *b = p->b->data;
    p->t_sent = now();
    p->waiting = 1;
    be32(b, ++p->seq);
    ws_send(p->b, OP_BIN, b, O.size);
}

static void relay_msg(conn *c, int op, uint8_t *d, size_t n)
{
    pair *p = &P[c->idx];
    int is_a = c == p->a;
    if (op == OP_TEXT || (n == 1 && d[0] == 'c')) {
        if (n >= 1 && d[0] == 'c' && n <= 2) { if (is_a) p->ac = 1; else p->bc = 1; relay_check(p); }
        return;
    }
    if (O.pace > 0) {               /* stamped with the time at which it was due, so that a stall counts */
        double due;
        if (n < sizeof due) return;
        memcpy(&due, d, sizeof due);
        if (!due) return;           /* from before the measurement */
        s_add(&R.rtt, now() - due);
    }
    R.bytes += n;
    R.msgs++;
    if (O.rtt) {
        if (is_a) ws_send(c, OP_BIN, d, n);
        else if (p->waiting && n >= 4 && (uint32_t)(d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3]) == p->seq) {
            if (R.measuring) s_add(&R.rtt, now() - p->t_sent);
            p->waiting = 0;
            if (O.rtt_rate <= 0) rtt_send(p);
        }
    }
}

static void relay_closed(conn *c, const char *why)
{
    pair *p = &P[c->idx];
    if (p->a == c) p->a = NULL;
    if (p->b == c) p->b = NULL;
    if (p->t0 > 0) { p->t0 = -1; R.failed++; R.inflight--; note("relay pair %d: %s", c->idx, why); }
}
static const handler relay_h = {NULL, relay_msg, relay_closed, NULL};

static void relay_start(int i)
{
    pair *p = &P[i];
    char id[64], ca[2048], cr[2048], nid[512];
    snprintf(id, sizeof id, "%s%d", rid_base, i);
    urlenc(ca, cookie_auth);
    urlenc(cr, cookie_relay);
    char node[128];
    if (via) snprintf(node, sizeof node, "node//%s", via->nodeid);
    else snprintf(node, sizeof node, "%s", O.nodeid ? O.nodeid : "");
    strcpy(nid, node[0] ? "nodeid=" : "");
    urlenc(nid + strlen(nid), node);
    if (node[0]) strcat(nid, "&");
    p->t0 = now();
    R.inflight++;
    p->b = conn_open(&relay_h, mkpath("meshrelay.ashx?browser=1&p=%d&%sid=%s&auth=%s", O.proto, nid, id, ca), NULL, i);
    if (via) {
        char m[4096];
        snprintf(m, sizeof m, "{\"action\":\"msg\",\"type\":\"tunnel\",\"nodeid\":\"%s\",\"usage\":%d,\"value\":\"*/meshrelay.ashx?p=%d&nodeid=%s&id=%s&rauth=%s\",\"responseid\":\"meshload\"}",
                 node, O.proto, O.proto, node, id, cookie_relay);
        if (ctl_conn) ws_text(ctl_conn, m);
    } else p->a = conn_open(&relay_h, mkpath("meshrelay.ashx?p=%d&%sid=%s&rauth=%s", O.proto, nid, id, cr), NULL, i);
}

/* the agent was told to open a tunnel */
static void relay_tunnel(conn *c, uint8_t *d, size_t n)
{
    (void)c;
    if (!has(d, n, "\"type\":\"tunnel\"")) return;
    char *v = jstr(d, n, "value");
    if (!v) return;
    char *q = strstr(v, "id=ml");
    int i = q ? atoi(q + 3 + strlen(rid_base)) : -1;
    if (i >= 0 && i < O.pairs && !P[i].a) {
        char *path = v[0] == '*' ? v + 1 : v;
        P[i].a = conn_open(&relay_h, path, NULL, i);
    }
    free(v);
}

static void relay_head(double setup_wall, double setup_cpu, const char *dir)
{
    int alive = 0;
    for (int i = 0; i < O.pairs; i++) alive += P[i].a && P[i].b;
    printf("{\"mode\":\"relay\",\"label\":\"%s\",\"pairs\":%d,\"alive\":%d,\"failed\":%ld,\"size\":%d,\"dir\":\"%s\",\"via_agent\":%d",
           O.label, O.pairs, alive, R.failed, O.size, dir, O.via_agent);
    printf(",\"setup_per_s\":%.1f", R.ready / setup_wall);
    if (O.pids) printf(",\"setup_cpu_ms_per_pair\":%.2f", R.ready ? setup_cpu * 1e3 / R.ready : 0);
    s_json("setup_ms", &R.setup);
}

/* --pace: each pair sends so many bytes a second one way, whatever comes out at the other end */
static int relay_pace(double setup_wall, double setup_cpu)
{
    int b2a = !strcmp(O.dir, "b2a");
    if (O.size < 16) O.size = 16;
    uint8_t *msg = xcalloc(1, O.size);
    RAND_bytes(msg, O.size);
    double step = O.size / O.pace, *next = xcalloc(O.pairs, sizeof *next), t0 = now();
    for (int i = 0; i < O.pairs; i++) next[i] = t0 + step * drand48();
    double begin = t0 + O.warmup, end = begin + O.secs;
    for (double t = t0; t < end; t = now()) {
        if (!R.measuring && t >= begin) { R.measuring = 1; meas_begin(); }
        for (int i = 0; i < O.pairs; i++)
            for (; next[i] <= t; next[i] += step) {
                conn *c = b2a ? P[i].b : P[i].a;
                if (!c || !P[i].a || !P[i].b) continue;
                double due = R.measuring ? next[i] : 0;
                memcpy(msg, &due, sizeof due);
                if (R.measuring) { R.sent_bytes += O.size; R.sent_msgs++; }
                ws_send(c, OP_BIN, msg, O.size);
            }
        loop_once(1);
    }
    meas_end();
    for (double stop = now() + 10; R.msgs < R.sent_msgs && now() < stop; ) loop_once(20);
    relay_head(setup_wall, setup_cpu, b2a ? "b2a" : "a2b");
    printf(",\"pace\":%.0f,\"sent_bytes\":%llu,\"received_bytes\":%llu,\"sent_msgs\":%llu,\"received_msgs\":%llu", O.pace,
           (unsigned long long)R.sent_bytes, (unsigned long long)R.bytes, (unsigned long long)R.sent_msgs, (unsigned long long)R.msgs);
    s_json("delay_ms", &R.rtt);
    meas_json();
    printf("}\n");
    return R.ready == O.pairs && R.msgs == R.sent_msgs ? 0 : 1;
}

static int mode_relay(void)
{
    ctl_login();
    snprintf(rid_base, sizeof rid_base, "ml%x%xx", getpid(), (unsigned)time(NULL) & 0xffffff);
    P = xcalloc(O.pairs, sizeof *P);
    if (O.via_agent) {
        keys_load();
        mesh_init();
        O.n = 1;
        A.live = xcalloc(1, sizeof *A.live);
        agent_json_cb = relay_tunnel;
        agents_up_to(1);
        via = A.live[0];
        if (!via) die("agent handshake failed");
        run_for(1);
    }
    meas_begin();
    double t0 = now(), setup_cpu;
    int started = 0;
    int pc = O.conc > 32 ? 32 : O.conc;
    while (R.ready + R.failed < O.pairs && now() - t0 < O.timeout + O.pairs * 0.1) {
        while (started < O.pairs && R.inflight < pc) relay_start(started++);
        loop_once(20);
    }
    meas_end();
    double setup_wall = now() - t0;
    setup_cpu = srv_cpu();
    if (R.ready < O.pairs) note("only %ld of %d pairs up", R.ready, O.pairs);
    if (O.pace > 0) return relay_pace(setup_wall, setup_cpu);
    size_t fl = 0;
    uint8_t *frame = NULL;
    int a2b = !strcmp(O.dir, "a2b") || !strcmp(O.dir, "both"), b2a = !strcmp(O.dir, "b2a") || !strcmp(O.dir, "both");
    if (!O.rtt) {
        frame = mkframe(O.size, &fl, 0);
        for (int i = 0; i < O.pairs; i++) {
            conn *s[2] = {a2b ? P[i].a : NULL, b2a ? P[i].b : NULL};
            for (int k = 0; k < 2; k++) if (s[k] && P[i].a && P[i].b) { s[k]->pump = frame; s[k]->pump_len = fl; do_pump(s[k]); }
        }
    } else {
        if (O.size < 8) O.size = 8;
        for (int i = 0; i < O.pairs; i++) if (P[i].b && P[i].a) { P[i].b->data = xcalloc(1, O.size); if (O.rtt_rate <= 0) rtt_send(&P[i]); }
    }
    double *next = xcalloc(O.pairs, sizeof *next);
    double end_w = now() + O.warmup, end = 0;
    for (int i = 0; i < O.pairs; i++) next[i] = now() + drand48() / (O.rtt_rate > 0 ? O.rtt_rate : 1);
    for (;;) {
        double t = now();
        if (!R.measuring && t >= end_w) { R.measuring = 1; R.bytes = R.msgs = 0; meas_begin(); end = now() + O.secs; }
        if (R.measuring && t >= end) break;
        if (O.rtt && O.rtt_rate > 0)
            for (int i = 0; i < O.pairs; i++)
                if (P[i].b && P[i].a && t >= next[i]) { next[i] += 1 / O.rtt_rate; if (!P[i].waiting) rtt_send(&P[i]); }
        loop_once(O.rtt ? 1 : 20);
    }
    uint64_t bytes = R.bytes, msgs = R.msgs;
    meas_end();
    double w = tt1 - tt0, gb = bytes / 1e9;
    relay_head(setup_wall, setup_cpu, O.rtt ? "rtt" : O.dir);
    if (O.rtt) {
        printf(",\"rtt_rate\":%g,\"round_trips_per_s\":%.1f", O.rtt_rate, R.rtt.n / w);
        s_json("rtt_ms", &R.rtt);
        if (O.pids) printf(",\"server_cpu_us_per_round_trip\":%.1f", R.rtt.n ? srv_cpu() * 1e6 / R.rtt.n : 0);
    } else {
        printf(",\"mb_per_s\":%.1f,\"msgs_per_s\":%.0f,\"gb\":%.3f", bytes / 1e6 / w, msgs / w, gb);
        if (O.pids) printf(",\"server_cpu_s_per_gb\":%.3f,\"server_cpu_us_per_msg\":%.2f", gb > 0 ? srv_cpu() / gb : 0, msgs ? srv_cpu() * 1e6 / msgs : 0);
    }
    meas_json();
    printf("}\n");
    return R.ready == O.pairs ? 0 : 1;
}

/* ------------------------------------------------------------------ users */

static struct {
    long started, inflight, ok, failed, lost;
    samples login;
    conn **live;
    /* fan-out in progress */
    char needle[65];
    const char *conn_pat;
    double t0, first, last;
    long got;
    samples all, firsts, lasts;
    uint64_t ev_bytes;
    double nodes_t0;
    size_t nodes_bytes;
    int nodes_done;
} U;

static void user_msg(conn *c, int op, uint8_t *p, size_t n)
{
    (void)op;
    if (!c->ready) {
        if (has(p, n, "\"action\":\"close\"")) { note("login refused: %.*s", (int)(n > 120 ? 120 : n), p); conn_close(c, "refused"); return; }
        if (has(p, n, "\"action\":\"userinfo\"")) {
            c->ready = 1;
            U.ok++;
            U.inflight--;
            s_add(&U.login, now() - c->t0);
        }
        return;
    }
    if (U.nodes_t0 > 0 && c->idx == 0 && n > 16 && has(p, n > 64 ? 64 : n, "\"action\":\"nodes\"")) {
        U.nodes_bytes = n;
        U.nodes_done = 1;
        return;
    }
    if (U.needle[0] && has(p, n, "\"nodeconnect\"") && has(p, n, U.needle) && has(p, n, U.conn_pat) && c->data != (void *)U.conn_pat) {
        c->data = (void *)U.conn_pat;           /* count each session once per phase */
        double t = now() - U.t0;
        if (!U.got++) U.first = t;
        U.last = t;
        U.ev_bytes += n;
        s_add(&U.all, t);
    }
}
static void user_closed(conn *c, const char *why)
{
    U.live[c->idx] = NULL;
    if (c->ready) { U.lost++; return; }
    U.inflight--;
    U.failed++;
    note("user %d: %s", c->idx, why);
}
static const handler user_h = {NULL, user_msg, user_closed, NULL};

static void trig3(conn *c) { (void)c; U.t0 = now(); }

static long fan_wait(void)
{
    double lim = now() + 15;
    while (U.got < U.ok - U.lost && now() < lim) loop_once(5);
    s_add(&U.firsts, U.first);
    s_add(&U.lasts, U.last);
    return U.got;
}

static int mode_users(void)
{
    mk_auth_hdr();
    char path[4096];
    const char *hdr = auth_hdr;
    snprintf(path, sizeof path, "%s", mkpath("control.ashx"));
    if (!strcmp(O.auth, "cookie")) {
        char e[4096];
        ctl_login();
        urlenc(e, cookie_auth);
        snprintf(path, sizeof path, "%s", mkpath("control.ashx?auth=%s", e));
        hdr = NULL;
        if (ctl_conn) conn_close(ctl_conn, "done");
    }
    U.live = xcalloc(O.n, sizeof *U.live);
    if (O.iters > 0) { keys_load(); mesh_init(); }
    pstat idle = proc_tree(1);
    meas_begin();
    double t0 = now();
    while (U.ok + U.failed < O.n && now() - t0 < 600) {
        while (U.started < O.n && U.inflight < O.conc && (O.rate <= 0 || U.started < (now() - t0) * O.rate)) {
            U.live[U.started] = conn_open(&user_h, path, hdr, U.started);
            U.started++;
            U.inflight++;
        }
        loop_once(O.rate > 0 ? 1 : 20);
    }
    double wall = now() - t0;
    run_for(O.settle);
    meas_end();
    double login_cpu = srv_cpu();
    pstat after = proc_tree(1);
    run_for(O.hold);

    /* fan-out: one agent comes and goes, every session must hear of it */
    samples nodes_s = {0};
    double fan_cpu = 0, nodes_cpu = 0;
    long expect = 0, got = 0, evs = 0, conn_missing = 0, disc_missing = 0;
    samples c_first, c_last, c_all, d_first, d_last, d_all;
    memset(&c_first, 0, sizeof c_first);
    c_last = c_all = d_first = d_last = d_all = c_first;
    if (O.iters > 0) {
        A.live = NULL;
        agent_sent3_cb = trig3;
        meas_begin();
        for (int k = 0; k < O.iters; k++) {
            const uint8_t *cert; size_t cl;
            RSA *r = key_get(O.offset + k, &cert, &cl);
            char id[65];
            rsa_node_id(r, id);
            RSA_free(r);
            for (int phase = 0; phase < 2; phase++) {
                static conn *ag;
                strcpy(U.needle, id);
                U.conn_pat = phase ? "\"conn\":0" : "\"conn\":1";
                U.got = 0;
                U.first = U.last = 0;
                memset(&U.all, 0, sizeof U.all); memset(&U.firsts, 0, sizeof U.firsts); memset(&U.lasts, 0, sizeof U.lasts);
                for (int i = 0; i < O.n; i++) if (U.live[i]) U.live[i]->data = NULL;
                U.t0 = now();
                if (phase == 0) ag = agent_start(k);
                else { U.t0 = now(); conn_close(ag, "done"); }
                long g = fan_wait();
                expect += U.ok - U.lost;
                got += g;
                evs++;
                if (g < U.ok - U.lost) { if (phase) disc_missing++; else conn_missing++; }
                samples *f = phase ? &d_first : &c_first, *l = phase ? &d_last : &c_last, *al = phase ? &d_all : &c_all;
                s_add(f, U.first);
                s_add(l, U.last);
                for (size_t i = 0; i < U.all.n; i++) s_add(al, U.all.v[i]);
                free(U.all.v); free(U.firsts.v); free(U.lasts.v);
                run_for(0.15);
                if (phase == 0 && !ag->ready) note("agent %d not authenticated", k);
            }
        }
        meas_end();
        fan_cpu = srv_cpu();
    }
    size_t nb = 0;
    if (O.fetch_nodes > 0 && U.live[0]) {
        meas_begin();
        for (int k = 0; k < O.fetch_nodes; k++) {
            U.nodes_done = 0;
            U.nodes_t0 = now();
            ws_text(U.live[0], "{\"action\":\"nodes\"}");
            while (!U.nodes_done && U.live[0] && now() - U.nodes_t0 < 60) loop_once(20);
            s_add(&nodes_s, now() - U.nodes_t0);
        }
        meas_end();
        nodes_cpu = srv_cpu();
        nb = U.nodes_bytes;
    }
    printf("{\"mode\":\"users\",\"label\":\"%s\",\"n\":%d,\"auth\":\"%s\",\"conc\":%d,\"ok\":%ld,\"failed\":%ld,\"lost\":%ld,\"logins_per_s\":%.1f",
           O.label, O.n, O.auth, O.conc, U.ok, U.failed, U.lost, U.ok / wall);
    if (O.pids) printf(",\"server_cpu_ms_per_login\":%.2f,\"idle_pss_kb\":%ld,\"pss_kb\":%ld,\"kb_per_user\":%.1f", U.ok ? login_cpu * 1e3 / U.ok : 0, idle.pss_kb, after.pss_kb,
                       U.ok ? (double)(after.pss_kb - idle.pss_kb) / U.ok : 0);
    s_json("login_ms", &U.login);
    if (O.iters > 0) {
        printf(",\"events\":%ld,\"deliveries\":%ld,\"expected\":%ld,\"conn_incomplete\":%ld,\"disc_incomplete\":%ld", evs, got, expect, conn_missing, disc_missing);
        if (O.pids) printf(",\"server_cpu_ms_per_event\":%.2f,\"server_cpu_us_per_delivery\":%.2f", fan_cpu * 1e3 / evs, got ? fan_cpu * 1e6 / got : 0);
        s_json("conn_first_ms", &c_first); s_json("conn_last_ms", &c_last); s_json("conn_all_ms", &c_all);
        s_json("disc_first_ms", &d_first); s_json("disc_last_ms", &d_last); s_json("disc_all_ms", &d_all);
    }
    if (O.fetch_nodes > 0) {
        s_json("nodes_ms", &nodes_s);
        printf(",\"nodes_bytes\":%zu", nb);
        if (O.pids) printf(",\"server_cpu_ms_per_nodes\":%.2f", nodes_cpu * 1e3 / O.fetch_nodes);
    }
    meas_json();
    printf("}\n");
    return U.ok == O.n ? 0 : 1;
}

/* ------------------------------------------------------------------ reference modes: tls, idle, pipe */

static struct { long started, inflight, ok, failed; samples lat; conn **live; } T;
static int keep_open;

static void tls_open(conn *c)
{
    T.ok++;
    T.inflight--;
    c->ready = 1;
    s_add(&T.lat, now() - c->t0);
    if (O.get) {
        char b[512];
        int n = snprintf(b, sizeof b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive\r\n\r\n", O.get, O.host);
        out_put(c, b, n);
        flush_out(c);
    }
    if (!keep_open) conn_close(c, "done");
}
static void tls_closed(conn *c, const char *why)
{
    if (!c->ready) { T.failed++; T.inflight--; }
    else if (keep_open && strcmp(why, "done")) T.failed++;
}
static const handler tls_h = {tls_open, NULL, tls_closed, NULL};

static int mode_tls(void)
{
    keep_open = !strcmp(O.mode, "idle");
    int steps[64], ns = 0;
    if (keep_open && O.steps) {
        for (const char *s = O.steps; s && *s && ns < 64; s = strchr(s, ','), s = s ? s + 1 : NULL) steps[ns++] = atoi(s);
        O.n = steps[ns - 1];
    } else steps[ns++] = O.n;
    if (O.listen) {                             /* backend for a proxying server: accept and hold */
        static const handler sink = {NULL, NULL, NULL, NULL};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(O.listen), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) die("listen: %s", strerror(errno));
        conn *l = conn_new(&sink, fd);
        l->st = ST_LISTEN;
        want(l, EPOLLIN);
    }
    pstat idle = proc_tree(1), at[64];
    double wall = 0;
    meas_begin();
    for (int i = 0; i < ns; i++) {
        double t0 = now();
        while (T.ok + T.failed < steps[i] && now() - t0 < 300) {
            while (T.started < steps[i] && T.inflight < O.conc) { conn_open(&tls_h, NULL, NULL, T.started++); T.inflight++; }
            loop_once(20);
        }
        wall += now() - t0;
        if (keep_open) { run_for(O.hold > 0 ? O.hold : 2); at[i] = proc_tree(1); }
    }
    meas_end();
    printf("{\"mode\":\"%s\",\"label\":\"%s\",\"n\":%d,\"ok\":%ld,\"failed\":%ld,\"handshakes_per_s\":%.1f", O.mode, O.label, O.n, T.ok, T.failed, T.ok / wall);
    if (O.pids) printf(",\"server_cpu_ms_per_handshake\":%.4f", T.ok ? srv_cpu() * 1e3 / T.ok : 0);
    s_json("latency_ms", &T.lat);
    meas_json();
    if (keep_open && O.pids) {
        printf(",\"idle_pss_kb\":%ld,\"steps\":[", idle.pss_kb);
        for (int i = 0; i < ns; i++) printf("%s{\"n\":%d,\"rss_kb\":%ld,\"pss_kb\":%ld,\"kb_per_conn\":%.2f}", i ? "," : "", steps[i], at[i].rss_kb, at[i].pss_kb,
                                            (double)(at[i].pss_kb - idle.pss_kb) / steps[i]);
        printf("]");
    }
    printf("}\n");
    return 0;
}

/* pipe: TLS client side <-> proxy under test <-> plain TCP side (we listen) */
static uint8_t *pipe_frame;
static size_t pipe_len;
static int pipe_down, pipe_cli, pipe_acc;
static uint64_t pipe_bytes;
static samples pipe_rtt;
static double pipe_sent;
static void pipe_round(conn *c) { pipe_sent = now(); out_put(c, pipe_frame, pipe_len); flush_out(c); }
static void pipe_cli_open(conn *c) { pipe_cli++; if (O.rtt) return; if (!pipe_down) { c->pump = pipe_frame; c->pump_len = pipe_len; do_pump(c); } }
static void pipe_acc_open(conn *c) { pipe_acc++; if (O.rtt) return; if (pipe_down) { c->pump = pipe_frame; c->pump_len = pipe_len; do_pump(c); } }
static void pipe_msg(conn *c, int op, uint8_t *p, size_t n)
{
    (void)op; (void)p;
    pipe_bytes += n;
    if (O.rtt) out_put(c, pipe_frame, pipe_len), flush_out(c);
}
static void pipe_back(conn *c, int op, uint8_t *p, size_t n)
{
    (void)op; (void)p;
    pipe_bytes += n;
    if (O.rtt) s_add(&pipe_rtt, now() - pipe_sent), pipe_round(c);
}
static const handler pipe_cli_h = {pipe_cli_open, pipe_back, NULL, NULL}, pipe_acc_h = {pipe_acc_open, pipe_msg, NULL, NULL};

static int mode_pipe(void)
{
    if (!O.listen) die("pipe mode needs --listen PORT");
    pipe_down = !strcmp(O.dir, "down");
    pipe_frame = mkframe(O.size, &pipe_len, 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(O.listen), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 1024)) die("listen: %s", strerror(errno));
    conn *l = conn_new(&pipe_acc_h, fd);
    l->st = ST_LISTEN;
    want(l, EPOLLIN);
    conn *cli = NULL;
    if (O.rtt && O.pairs != 1) die("pipe --rtt goes over one pair");
    for (int i = 0; i < O.pairs; i++) cli = conn_open(&pipe_cli_h, NULL, NULL, i);
    double t0 = now();
    while ((pipe_cli < O.pairs || pipe_acc < O.pairs) && now() - t0 < 20) loop_once(20);
    if (O.rtt) pipe_round(cli);
    run_for(O.warmup);
    pipe_bytes = 0;
    pipe_rtt.n = 0;
    meas_begin();
    run_for(O.secs);
    uint64_t b = pipe_bytes;
    meas_end();
    double gb = b / 1e9;
    printf("{\"mode\":\"pipe\",\"label\":\"%s\",\"pairs\":%d,\"size\":%d,\"dir\":\"%s\",\"mb_per_s\":%.1f,\"gb\":%.3f", O.label, O.pairs, O.size, pipe_down ? "down" : "up",
           b / 1e6 / (tt1 - tt0), gb);
    if (O.pids) printf(",\"server_cpu_s_per_gb\":%.4f", gb > 0 ? srv_cpu() / gb : 0);
    if (O.rtt) s_json("rtt_ms", &pipe_rtt);
    meas_json();
    printf("}\n");
    return 0;
}

/* ------------------------------------------------------------------ main */

static const struct { const char *name; char type; void *p; const char *help; } OPT[] = {
    {"host", 's', &O.host, "server IPv4 address (127.0.0.1)"},
    {"port", 'i', &O.port, "server port (443)"},
    {"sni", 's', &O.sni, "TLS server name and Host header"},
    {"prefix", 's', &O.prefix, "URL prefix before agent.ashx, e.g. /dom/ (/)"},
    {"plain", 'b', &O.plain, "no TLS"},
    {"tls", 's', &O.tls, "1.2 (at most) or 1.3 (at least)"},
    {"ciphers", 's', &O.ciphers, "cipher list"},
    {"groups", 's', &O.groups, "key exchange groups"},
    {"server-pid", 's', &O.pids, "comma separated pids; CPU and memory of them and their descendants"},
    {"label", 's', &O.label, "copied to the result"},
    {"src", 'i', &O.src, "spread client addresses over 127.0.0.2.. (0 = off)"},
    {"quiet", 'b', &O.quiet, "no diagnostics"},
    {"timeout", 'd', &O.timeout, "handshake timeout, s (30)"},
    {"n", 'i', &O.n, "agents / users / connections / keys"},
    {"conc", 'i', &O.conc, "most handshakes in flight (64)"},
    {"rate", 'd', &O.rate, "new connections per second (0 = as fast as --conc allows)"},
    {"steps", 's', &O.steps, "agents/idle: comma separated totals, memory sampled at each"},
    {"hold", 'd', &O.hold, "s to stay connected after each step"},
    {"settle", 'd', &O.settle, "s after the last handshake before server CPU is read (1)"},
    {"keys", 's', &O.keys, "key pool file"},
    {"bits", 'i', &O.bits, "keys mode: RSA size (2048)"},
    {"offset", 'i', &O.offset, "first key to use"},
    {"mesh", 's', &O.mesh, "device group id (64 characters, mesh// prefix allowed)"},
    {"serverid", 's', &O.serverid, "expected SHA384 of the agent server public key, hex (else pinned from the first)"},
    {"skip", 'b', &O.skip, "agents: send message 4, server skips its signature"},
    {"reconnect", 'b', &O.reconnect, "agents: one that was ready and is cut comes back, 0.2 to 1.2 s later, then ever slower"},
    {"close", 'b', &O.close_after, "agents: disconnect once authenticated"},
    {"coreinfo", 'b', &O.coreinfo, "agents: send coreinfo when the core is accepted"},
    {"agent-id", 'i', &O.agent_id, "agent type number (6)"},
    {"ping", 'd', &O.ping, "agent websocket ping interval, s (120)"},
    {"user", 's', &O.user, "account (admin)"},
    {"pass", 's', &O.pass, "password"},
    {"auth", 's', &O.auth, "users: header (x-meshauth) or cookie (?auth=)"},
    {"iters", 'i', &O.iters, "users: agent connect/disconnect rounds (20)"},
    {"fetch-nodes", 'i', &O.fetch_nodes, "users: request the device list this many times"},
    {"pairs", 'i', &O.pairs, "relay/pipe: concurrent pairs (1)"},
    {"size", 'i', &O.size, "message size, bytes (65536)"},
    {"secs", 'd', &O.secs, "measured seconds (5)"},
    {"warmup", 'd', &O.warmup, "seconds before measuring (1)"},
    {"dir", 's', &O.dir, "relay: a2b, b2a, both (a = agent side); pipe: up, down"},
    {"rtt", 'b', &O.rtt, "relay/pipe: round trips instead of throughput"},
    {"rtt-rate", 'd', &O.rtt_rate, "relay: round trips per second and pair, 0 = back to back (20)"},
    {"pace", 'd', &O.pace, "relay: bytes a second and pair, one way (--dir), time-stamped"},
    {"proto", 'i', &O.proto, "relay protocol number (2 = desktop)"},
    {"nodeid", 's', &O.nodeid, "relay: node id put in the URLs"},
    {"via-agent", 'b', &O.via_agent, "relay: connect an agent and open its side on the server's tunnel message"},
    {"get", 's', &O.get, "tls/idle: send one GET for this path after the handshake"},
    {"listen", 'i', &O.listen, "pipe/idle: TCP port of our plain side"},
};

static void usage(void)
{
    fprintf(stderr, "usage: meshload MODE [options]\n"
            "modes: keys agents relay users | tls idle pipe (reference measurements)\n");
    for (size_t i = 0; i < sizeof OPT / sizeof *OPT; i++) fprintf(stderr, "  --%-12s %s\n", OPT[i].name, OPT[i].help);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 2) usage();
    O.mode = argv[1];
    for (int i = 2; i < argc; i++) {
        size_t k, nopt = sizeof OPT / sizeof *OPT;
        if (strncmp(argv[i], "--", 2)) usage();
        for (k = 0; k < nopt && strcmp(argv[i] + 2, OPT[k].name); k++) ;
        if (k == nopt) { fprintf(stderr, "unknown option %s\n", argv[i]); usage(); }
        if (OPT[k].type == 'b') { *(int *)OPT[k].p = 1; continue; }
        if (++i >= argc) usage();
        if (OPT[k].type == 's') *(const char **)OPT[k].p = argv[i];
        else if (OPT[k].type == 'i') *(int *)OPT[k].p = atoi(argv[i]);
        else *(double *)OPT[k].p = atof(argv[i]);
    }
    srand48(getpid());
    net_init();
    if (!strcmp(O.mode, "keys")) { if (!O.keys) die("--keys FILE"); return mode_keys(); }
    if (!strcmp(O.mode, "agents")) return mode_agents();
    if (!strcmp(O.mode, "relay")) return mode_relay();
    if (!strcmp(O.mode, "users")) return mode_users();
    if (!strcmp(O.mode, "tls") || !strcmp(O.mode, "idle")) return mode_tls();
    if (!strcmp(O.mode, "pipe")) return mode_pipe();
    usage();
    return 2;
}
