/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>

#include "mesh_signer.h"


typedef struct {
    const char  *name;
    int        (*run)(int argc, char **argv);
} mesh_signer_command_t;


static int mesh_signer_daemon(int argc, char **argv);
static int mesh_signer_usage(FILE *f);
static int mesh_signer_set_peer(mesh_signer_conf_t *conf, const char *text);
static int mesh_signer_number(const char *text, long max, long *n);
static void mesh_signer_vlog(const char *level, const char *reason,
    const char *fmt, va_list args);


static const mesh_signer_command_t  mesh_signer_commands[] = {
    { "create", mesh_signer_create },
    { "show",   mesh_signer_show },
    { "check",  mesh_signer_check },
    { NULL, NULL }
};


int
main(int argc, char **argv)
{
    const mesh_signer_command_t  *cmd;

    for (cmd = mesh_signer_commands; argc > 1 && cmd->name; cmd++) {

        if (strcmp(argv[1], cmd->name) == 0) {
            return cmd->run(argc - 1, argv + 1);
        }
    }

    return mesh_signer_daemon(argc, argv);
}


static int
mesh_signer_daemon(int argc, char **argv)
{
    int                 opt;
    long                n;
    mesh_signer_conf_t  conf;

    memset(&conf, 0, sizeof(mesh_signer_conf_t));

    while ((opt = getopt(argc, argv, "s:u:k:w:n:h")) != -1) {

        switch (opt) {

        case 's':
            conf.path = optarg;
            break;

        case 'u':
            conf.user = optarg;
            break;

        case 'k':
            conf.keydir = optarg;
            break;

        case 'w':

            if (mesh_signer_set_peer(&conf, optarg) != MESH_OK) {
                return MESH_SIGNER_EXIT_USAGE;
            }

            break;

        case 'n':

            if (mesh_signer_number(optarg, MESH_SIGNER_MAX_THREADS, &n)
                != MESH_OK || n == 0)
            {
                mesh_signer_log("emerg", "-n \"%s\": must be 1 to %d", optarg,
                                MESH_SIGNER_MAX_THREADS);
                return MESH_SIGNER_EXIT_USAGE;
            }

            conf.threads = (int) n;
            break;

        case 'h':
            return mesh_signer_usage(stdout);

        default:
            return mesh_signer_usage(stderr);
        }
    }

    if (optind < argc) {
        mesh_signer_log("emerg", "unknown command \"%s\"", argv[optind]);
        return mesh_signer_usage(stderr);
    }

    if (conf.keydir == NULL) {
        conf.keydir = getenv("CREDENTIALS_DIRECTORY");
        conf.credentials = 1;
    }

    if (conf.keydir == NULL) {
        mesh_signer_log("emerg", "no folder of keys: give -k");
        return mesh_signer_usage(stderr);
    }

    if (geteuid() == 0 && conf.user == NULL) {
        mesh_signer_log("emerg", "started as root: give -u, the user to run "
                        "as");
        return MESH_SIGNER_EXIT_USAGE;
    }

    if (conf.threads == 0) {
        n = sysconf(_SC_NPROCESSORS_ONLN);

        conf.threads = n < 1 ? 1
                       : n > MESH_SIGNER_MAX_THREADS ? MESH_SIGNER_MAX_THREADS
                       : (int) n;
    }

    if (conf.npeers == 0) {
        conf.peers[conf.npeers++] = getuid();
    }

    return mesh_signer_serve(&conf);
}


static int
mesh_signer_usage(FILE *f)
{
    fputs("usage:\n"
          "  mesh-signer [-s SOCKET] [-u USER] [-k DIR] [-w USER]... [-n N]\n"
          "      answers nginx workers; stays in the foreground\n"
          "      -s  socket to make; without it, one from LISTEN_FDS\n"
          "      -u  user to run as when started as root\n"
          "      -k  folder of keys (default: $CREDENTIALS_DIRECTORY)\n"
          "      -w  user or uid of the workers (default: own uid); root may"
          " connect too\n"
          "      -n  threads (default: processors, at most 8)\n"
          "\n"
          "  mesh-signer create [--fastcert] [--web-rsa] [--name CN]"
          " [--san NAME]... DIR\n"
          "      makes all keys and certificates of a new server in DIR\n"
          "      --fastcert  RSA 2048 in place of 3072\n"
          "      --web-rsa   no P-256 web certificate beside the RSA one\n"
          "      --name      name of the server (default: of this host)\n"
          "      --san       a further name or address of it\n"
          "\n"
          "  mesh-signer show DIR\n"
          "      prints subjects, expiry and hashes, as agents see them\n"
          "\n"
          "  mesh-signer check DIR\n"
          "      says what is wrong with the files in DIR; 0 if nothing is\n",
          f);

    return f == stdout ? EXIT_SUCCESS : MESH_SIGNER_EXIT_USAGE;
}


static int
mesh_signer_set_peer(mesh_signer_conf_t *conf, const char *text)
{
    long            n;
    struct passwd  *pw;

    if (conf->npeers == MESH_SIGNER_MAX_PEERS) {
        mesh_signer_log("emerg", "-w: at most %d", MESH_SIGNER_MAX_PEERS);
        return MESH_ERROR;
    }

    if (mesh_signer_number(text, INT32_MAX, &n) == MESH_OK) {
        conf->peers[conf->npeers++] = (uid_t) n;
        return MESH_OK;
    }

    errno = 0;
    pw = getpwnam(text);

    if (pw == NULL) {
        mesh_signer_log("emerg", "-w \"%s\": %s", text,
                        errno ? strerror(errno) : "no such user");
        return MESH_ERROR;
    }

    conf->peers[conf->npeers++] = pw->pw_uid;

    return MESH_OK;
}


static int
mesh_signer_number(const char *text, long max, long *n)
{
    char  *end;

    if (*text < '0' || *text > '9') {
        return MESH_ERROR;
    }

    errno = 0;
    *n = strtol(text, &end, 10);

    return (errno || *end || *n > max) ? MESH_ERROR : MESH_OK;
}


int
mesh_signer_join(char *dst, size_t size, const char *dir, const char *name)
{
    int  n;

    n = snprintf(dst, size, "%s/%s", dir, name);

    if (n < 0 || (size_t) n >= size) {
        mesh_signer_log("emerg", "\"%s/%s\": name too long", dir, name);
        return MESH_ERROR;
    }

    return MESH_OK;
}


void
mesh_signer_log(const char *level, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    mesh_signer_vlog(level, NULL, fmt, args);
    va_end(args);
}


void
mesh_signer_log_ssl(const char *level, const char *fmt, ...)
{
    char           reason[256];
    va_list        args;
    unsigned long  code;

    code = ERR_peek_last_error();

    if (code) {
        ERR_error_string_n(code, reason, sizeof(reason));
        ERR_clear_error();

    } else {
        snprintf(reason, sizeof(reason), "no reason given");
    }

    va_start(args, fmt);
    mesh_signer_vlog(level, reason, fmt, args);
    va_end(args);
}


/* one write(2), so that lines of threads do not mix */

static void
mesh_signer_vlog(const char *level, const char *reason, const char *fmt,
    va_list args)
{
    int      n;
    char     line[1024];
    size_t   len, max;
    ssize_t  written;

    max = sizeof(line) - 1;

    n = snprintf(line, max, "mesh-signer: [%s] ", level);
    len = n < 0 ? 0 : (size_t) n;

    n = vsnprintf(line + len, max - len, fmt, args);
    len += n < 0 ? 0 : (size_t) n;

    if (len < max && reason) {
        n = snprintf(line + len, max - len, ": %s", reason);
        len += n < 0 ? 0 : (size_t) n;
    }

    if (len >= max) {
        len = max - 1;
    }

    line[len++] = '\n';

    written = write(STDERR_FILENO, line, len);

    (void) written;     /* there is nobody else to tell */
}
