/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* mesh-signer create, show and check; MESH_SIGNER_BIN names the binary */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tap.h"


static const char  *bin;
static char         dir[128], keys[160];
static char         output[16384];      /* of the last run(), both streams */

static const char  *names[] = {
    "root", "agentserver", "mps", "web-rsa", "web-ecdsa", NULL
};


static void
die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}


/* args are separated by spaces; the exit code */

static int
run(const char *args)
{
    int      fd[2], status, n;
    char     copy[1024], *argv[64], *p;
    pid_t    pid;
    size_t   len;
    ssize_t  got;

    snprintf(copy, sizeof(copy), "%s", args);

    n = 0;
    argv[n++] = (char *) (uintptr_t) bin;

    for (p = strtok(copy, " "); p && n < 63; p = strtok(NULL, " ")) {
        argv[n++] = p;
    }

    argv[n] = NULL;

    fflush(stdout);

    if (pipe(fd) == -1 || (pid = fork()) == -1) {
        die("fork");
    }

    if (pid == 0) {
        dup2(fd[1], 1);
        dup2(fd[1], 2);
        close(fd[0]);
        execv(bin, argv);
        _exit(127);
    }

    close(fd[1]);

    len = 0;

    while ((got = read(fd[0], output + len, sizeof(output) - 1 - len)) > 0) {
        len += (size_t) got;
    }

    output[len] = '\0';
    close(fd[0]);

    if (waitpid(pid, &status, 0) != pid) {
        die("waitpid");
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


static int
said(const char *text)
{
    if (strstr(output, text)) {
        return 1;
    }

    printf("# output: %s\n", output);

    return 0;
}


static char *
file(const char *name, const char *ext)
{
    static char  path[256];

    snprintf(path, sizeof(path), "%s/%s.%s", keys, name, ext);

    return path;
}


static X509 *
cert_of(const char *name, int n)
{
    int    i;
    FILE  *f;
    X509  *cert;

    f = fopen(file(name, "pem"), "r");

    if (f == NULL) {
        return NULL;
    }

    cert = NULL;

    for (i = 0; i <= n; i++) {
        X509_free(cert);
        cert = PEM_read_X509(f, NULL, NULL, NULL);
    }

    fclose(f);

    return cert;
}


static EVP_PKEY *
key_of(const char *name)
{
    FILE      *f;
    EVP_PKEY  *key;

    f = fopen(file(name, "key"), "r");
    key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

    if (f) {
        fclose(f);
    }

    return key;
}


static int
files_in(const char *path)
{
    int             n;
    DIR            *d;
    struct dirent  *de;

    d = opendir(path);

    for (n = 0; d && (de = readdir(d)) != NULL; ) {
        n += de->d_name[0] != '.';
    }

    if (d) {
        closedir(d);
    }

    return n;
}


static void
test_set(int fast, int ecdsa)
{
    int          i, bits, good, usage, san;
    X509        *cert, *root, *second;
    EVP_PKEY    *key;
    struct stat  st;

    is(files_in(keys), ecdsa ? 10 : 8, "so many files, and no others");

    root = cert_of("root", 0);

    for (i = 0; names[i]; i++) {

        if (i == 4 && !ecdsa) {
            break;
        }

        cert = cert_of(names[i], 0);
        key = key_of(names[i]);

        if (!ok(cert && key, "%s: a certificate and a key", names[i])) {
            continue;
        }

        bits = i == 4 ? 256 : i == 2 || fast ? 2048 : 3072;

        ok(EVP_PKEY_get_base_id(key) == (i == 4 ? EVP_PKEY_EC : EVP_PKEY_RSA)
           && EVP_PKEY_get_bits(key) == bits, "%s: %d bits", names[i], bits);

        ok(X509_check_private_key(cert, key) == 1, "%s: of one pair",
           names[i]);

        ok(X509_verify(cert, X509_get0_pubkey(root)) == 1
           && X509_check_issued(root, cert) == X509_V_OK
           && X509_get_signature_nid(cert) == NID_sha384WithRSAEncryption,
           "%s: signed by the root with SHA-384", names[i]);

        good = X509_cmp_current_time(X509_get0_notBefore(cert)) < 0;

        if (i < 3) {
            good &= ASN1_TIME_compare(X509_get0_notAfter(cert),
                                      X509_get0_notAfter(root)) == 0;
        }

        ok(good, "%s: valid now", names[i]);

        ok(stat(file(names[i], "key"), &st) == 0
           && (st.st_mode & 07777) == 0600 && st.st_uid == geteuid(),
           "%s: the key belongs to its owner alone", names[i]);
        ok(stat(file(names[i], "pem"), &st) == 0
           && (st.st_mode & 07777) == 0644, "%s: the certificate to all",
           names[i]);

        ok(X509_check_ca(cert) == (i == 0 ? 1 : 0), "%s: %s", names[i],
           i ? "no authority" : "an authority");

        /* what nginx serves is followed by the root, the others stand alone */

        second = cert_of(names[i], 1);
        ok(i < 2 ? second == NULL : second && X509_cmp(second, root) == 0,
           "%s: %s", names[i], i < 2 ? "alone" : "a chain");
        X509_free(second);

        usage = (int) X509_get_extended_key_usage(cert);
        san = X509_get_ext_by_NID(cert, NID_subject_alt_name, -1);

        ok(i < 2 ? usage == -1 && san == -1 : usage == XKU_SSL_SERVER,
           "%s: %s", names[i], i < 2 ? "not for TLS" : "for servers");

        if (i >= 2) {
            ok(X509_check_host(cert, "localhost", 0, 0, NULL) == 1
               && X509_check_ip_asc(cert, "127.0.0.1", 0) == 1
               && X509_check_ip_asc(cert, "::1", 0) == 1,
               "%s: for this host", names[i]);
        }

        EVP_PKEY_free(key);
        X509_free(cert);
    }

    X509_free(root);
}


static void
test_create(void)
{
    int    i;
    char   args[512], long_name[300], *p;
    X509  *cert;

    snprintf(args, sizeof(args), "create --name mesh.example.com --san "
             "192.0.2.7 --san 2001:db8::7 --san *.example.com %s", keys);

    is(run(args), 0, "create");
    ok(said("making key agentserver (RSA 3072) ..."), "shows its progress");
    test_set(0, 1);

    cert = cert_of("web-ecdsa", 0);
    ok(X509_check_host(cert, "mesh.example.com", 0, 0, NULL) == 1
       && X509_check_host(cert, "other.example.com", 0, 0, NULL) == 1
       && X509_check_host(cert, "mesh.example.org", 0, 0, NULL) == 0
       && X509_check_ip_asc(cert, "192.0.2.7", 0) == 1
       && X509_check_ip_asc(cert, "2001:db8::7", 0) == 1
       && X509_check_ip_asc(cert, "192.0.2.8", 0) == 0,
       "names and addresses that were given, and no others");

    p = X509_NAME_oneline(X509_get_subject_name(cert), NULL, 0);
    ok(strcmp(p, "/CN=mesh.example.com") == 0, "the given name is the CN");
    OPENSSL_free(p);
    X509_free(cert);

    /* each file alone is a reason to make nothing */

    for (i = 0; i < 10; i++) {

        snprintf(args, sizeof(args), "rm -rf %s; mkdir %s; echo old > %s",
                 keys, keys, file(names[i / 2], i % 2 ? "key" : "pem"));

        if (system(args) != 0) {
            die("rm");
        }

        snprintf(args, sizeof(args), "create --fastcert %s", keys);
        is(run(args), 1, "create refuses where %s.%s is", names[i / 2],
           i % 2 ? "key" : "pem");
        is(files_in(keys), 1, "and makes nothing");
    }

    ok(said("is there already"), "and says why");

    snprintf(args, sizeof(args), "rm -rf %s", keys);

    if (system(args) != 0) {
        die("rm");
    }

    /* a folder that cannot be: nothing else is touched */

    snprintf(args, sizeof(args), "create --fastcert %s/not/there", dir);
    is(run(args), 1, "create does not make folders above");

    is(run("create"), 2, "create without a folder");
    is(run("create a b"), 2, "with two");

    snprintf(args, sizeof(args), "create --nonsense %s", keys);
    is(run(args), 2, "with an option that is not there");

    snprintf(args, sizeof(args), "create --san a/b %s", keys);
    is(run(args), 2, "with a name that is none");

    snprintf(args, sizeof(args), "create --name \"\nx %s", keys);
    is(run(args), 2, "with control characters");

    memset(long_name, 'a', sizeof(long_name));
    long_name[254] = '\0';
    snprintf(args, sizeof(args), "create --san %s %s", long_name, keys);
    is(run(args), 2, "with a name of 254 characters");
    ok(access(keys, F_OK) == -1, "no folder was made for any of them");

    long_name[253] = '\0';
    snprintf(args, sizeof(args), "create --fastcert --web-rsa --name %s %s",
             long_name, keys);
    is(run(args), 0, "a name of 253 is good, also as the CN");

    test_set(1, 0);

    snprintf(args, sizeof(args), "check %s", keys);
    is(run(args), 0, "check is content without P-256");
    ok(said("web-ecdsa: not there"), "and says so");

    snprintf(args, sizeof(args), "rm -rf %s", keys);

    if (system(args) != 0) {
        die("rm");
    }
}


static void
hex(char *dst, const uint8_t *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        snprintf(dst + 2 * i, 3, "%02X", p[i]);
    }
}


static void
test_show(void)
{
    int       i, len;
    char      args[256], line[256], text[97];
    X509     *cert;
    uint8_t   hash[48], *der;

    snprintf(args, sizeof(args), "show %s", keys);
    is(run(args), 0, "show");

    for (i = 0; names[i]; i++) {

        cert = cert_of(names[i], 0);

        der = NULL;
        len = i2d_X509(cert, &der);
        EVP_Digest(der, (size_t) len, hash, NULL, EVP_sha384(), NULL);
        OPENSSL_free(der);

        hex(text, hash, 48);
        snprintf(line, sizeof(line), "FullHash  %s\n", text);
        ok(said(line), "%s: the hash of the certificate", names[i]);

        /* for RSA the DER of RSAPublicKey, for P-256 the point */

        der = NULL;
        len = i2d_PublicKey(X509_get0_pubkey(cert), &der);
        EVP_Digest(der, (size_t) len, hash, NULL, EVP_sha384(), NULL);
        OPENSSL_free(der);

        hex(text, hash, 48);
        snprintf(line, sizeof(line), "KeyHash   %s\n", text);
        ok(said(line), "%s: the hash of the key", names[i]);

        if (i == 1) {
            snprintf(line, sizeof(line), "ServerID  %s\n", text);
            ok(said(line), "which of this one is the ServerID");
        }

        X509_free(cert);
    }

    ok(said("Dec 31 23:59:59 2049 GMT") && said("CN=MeshAgentServer-")
       && said("RSA 2048") && said("ECDSA 256"),
       "subject, key and expiry");

    is(run("show"), 2, "show without a folder");
    is(run("show /nonexistent"), 1, "of a folder that is not there");
}


/* what breaks one thing, and what check says to it; then all is as before */

static void
broken(const char *command, const char *words, const char *name)
{
    char  text[1024];

    snprintf(text, sizeof(text), "cp -a %s %s.saved; cd %s; %s", keys, keys,
             keys, command);

    if (system(text) != 0) {
        die(text);
    }

    snprintf(text, sizeof(text), "check %s", keys);
    is(run(text), 1, "check: %s", name);
    ok(said(words), "and says: %s", words);

    snprintf(text, sizeof(text), "rm -r %s; mv %s.saved %s", keys, keys, keys);

    if (system(text) != 0) {
        die(text);
    }
}


/* a certificate like the web's that ends at the given time, signed by root */

static void
reissue(const char *name, long from, long to)
{
    FILE      *f;
    X509      *cert;
    EVP_PKEY  *root;

    cert = cert_of(name, 0);
    root = key_of("root");

    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), to);
    X509_sign(cert, root, EVP_sha384());

    f = fopen(file(name, "new"), "w");

    if (f == NULL || PEM_write_X509(f, cert) != 1 || fclose(f) != 0) {
        die("reissue");
    }

    X509_free(cert);
    EVP_PKEY_free(root);
}


static void
test_check(void)
{
    char  args[512];

    snprintf(args, sizeof(args), "check %s", keys);
    is(run(args), 0, "check of a new set");
    ok(said("root: ok\nagentserver: ok\nmps: ok\nweb-rsa: ok\n"
            "web-ecdsa: ok\n"), "all is well");

    broken("rm agentserver.key", "agentserver.key\": No such file",
           "a key is missing");
    broken("rm root.pem", "no root to compare it with", "the root is missing");
    broken("rm mps.pem", "mps.pem\": No such file",
           "a certificate is missing");
    broken("rm web-ecdsa.pem", "has no certificate",
           "the certificate of a key that is there");
    broken("rm web-ecdsa.key", "web-ecdsa.key\": No such file",
           "the key of a certificate that need not be there");
    broken("cp -p mps.key agentserver.key", "is not the key of",
           "a foreign key");
    broken("cp web-ecdsa.pem agentserver.pem; cp web-ecdsa.key "
           "agentserver.key", "must be RSA", "not RSA");
    broken("chmod 0640 agentserver.key", "has mode 0640 and must have 0600",
           "others may read a key");
    broken("chmod 0604 web-rsa.key", "has mode 0604 and must have 0600",
           "everybody may read a key");
    broken("chmod 0666 agentserver.pem", "has mode 0666 and must have 0644",
           "everybody may change a certificate");
    broken("head -c 700 agentserver.pem > x; mv x agentserver.pem",
           "no certificate in", "a certificate that is cut");
    broken("head -c 700 agentserver.key > x; mv x agentserver.key; chmod 600 "
           "agentserver.key", "no private key in", "a key that is cut");
    broken(": > root.pem", "no certificate in", "an empty file");
    broken("rm mps.pem; mkdir mps.pem", "is not a file of at most",
           "a folder in place of a file");
    broken("head -c 70000 /dev/zero > mps.pem", "is not a file of at most",
           "a file of 70,000 bytes");
    broken("cp web-rsa.pem root.pem; cp -p web-rsa.key root.key",
           "was not signed by this root", "another root");

    reissue("mps", -20, -10);
    broken("mv mps.new mps.pem", "has expired", "expired");
    reissue("mps", 1000, 2000);
    broken("mv mps.new mps.pem", "is not valid yet", "not yet valid");

    reissue("mps", -1000, 86400);
    snprintf(args, sizeof(args), "mv %s/mps.new %s/mps.pem", keys, keys);

    if (system(args) != 0) {
        die("mv");
    }

    snprintf(args, sizeof(args), "check %s", keys);
    is(run(args), 0, "one that ends tomorrow is good");
    ok(said("expires within 30 days"), "with a warning");

    is(run("check"), 2, "check without a folder");
    is(run("check /nonexistent"), 1, "of a folder that is not there");

    if (geteuid() == 0) {
        snprintf(args, sizeof(args), "chown 54321 %s",
                 file("agentserver", "key"));

        if (system(args) != 0) {
            die("chown");
        }

        snprintf(args, sizeof(args), "check %s", keys);
        is(run(args), 1, "a key of another user");
        ok(said("belongs to user 54321"), "and says so");
    }
}


int
main(void)
{
    char  args[512];

    bin = getenv("MESH_SIGNER_BIN");
    bin = bin ? bin : "build/mesh-signer";

    if (access(bin, X_OK) == -1) {
        die(bin);
    }

    alarm(120);

    snprintf(dir, sizeof(dir), "/tmp/mesh-keys-test.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        die("mkdtemp");
    }

    snprintf(keys, sizeof(keys), "%s/keys", dir);

    test_create();

    snprintf(args, sizeof(args), "create --fastcert %s", keys);
    is(run(args), 0, "a set for what follows");

    test_show();
    test_check();

    snprintf(args, sizeof(args), "rm -r %s", dir);
    ok(system(args) == 0, "nothing is left");

    return tap_done();
}
