/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../proto/mesh_agent_msg.h"
#include "../proto/mesh_msh.h"
#include "mesh_agent_conf.h"
#include "os/mesh_agent_host.h"


#define MESH_AGENT_POLICY_MAX   (1024 * 1024)   /* bytes of a .msh */
#define MESH_AGENT_SERVERS_MAX  16


static int mesh_agent_conf_options(mesh_agent_conf_t *conf, int argc,
    char **argv);
static void mesh_agent_conf_policy(mesh_agent_conf_t *conf);
static int mesh_agent_conf_read(mesh_agent_conf_t *conf);
static int mesh_agent_conf_data(mesh_agent_conf_t *conf);
static int mesh_agent_conf_mesh(mesh_agent_conf_t *conf);
static int mesh_agent_conf_lists(mesh_agent_conf_t *conf);
static char **mesh_agent_conf_split(const char *list, size_t *n);
static void mesh_agent_conf_set(mesh_agent_pair_t **list, const char *key,
    size_t key_len, const char *value, size_t value_len);
static void mesh_agent_conf_drop(mesh_agent_pair_t *list);
static void mesh_agent_conf_words(char **words);


mesh_agent_conf_t *
mesh_agent_conf_load(int argc, char **argv)
{
    mesh_agent_conf_t  *conf;

    conf = mesh_agent_alloc(sizeof(mesh_agent_conf_t));
    conf->exe = mesh_agent_os_exe();

    if (conf->exe == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the program does not find itself");

    } else if (mesh_agent_conf_options(conf, argc, argv) == MESH_OK) {
        mesh_agent_conf_policy(conf);

        if (mesh_agent_conf_read(conf) == MESH_OK
            && mesh_agent_conf_data(conf) == MESH_OK
            && mesh_agent_conf_mesh(conf) == MESH_OK
            && mesh_agent_conf_lists(conf) == MESH_OK)
        {
            return conf;
        }
    }

    mesh_agent_conf_free(conf);

    return NULL;
}


void
mesh_agent_conf_free(mesh_agent_conf_t *conf)
{
    mesh_agent_conf_drop(conf->msh);
    mesh_agent_conf_drop(conf->options);
    mesh_agent_conf_words(conf->servers);
    mesh_agent_conf_words(conf->server_ids);
    free(conf->exe);
    free(conf->policy);
    free(conf->data);
    free(conf);
}


const char *
mesh_agent_conf_get(const mesh_agent_conf_t *conf, const char *key)
{
    char                name[128];
    const char         *value;
    mesh_agent_pair_t  *pair;

    if (snprintf(name, sizeof(name), "MESH_AGENT_%s", key)
        < (int) sizeof(name))
    {
        value = getenv(name);

        if (value && *value) {
            return value;
        }
    }

    for (pair = conf->options; pair; pair = pair->next) {
        if (strcmp(pair->key, key) == 0) {
            return *pair->value ? pair->value : NULL;
        }
    }

    for (pair = conf->msh; pair; pair = pair->next) {
        if (strcmp(pair->key, key) == 0) {
            return pair->value;
        }
    }

    return NULL;
}


long
mesh_agent_conf_number(const mesh_agent_conf_t *conf, const char *key,
    long min, long max, long otherwise)
{
    long         n;
    const char  *value;

    value = mesh_agent_conf_get(conf, key);
    n = value ? strtol(value, NULL, 10) : otherwise;

    return n >= min && n <= max ? n : otherwise;
}


/* --key=value, or --key for "1" */
static int
mesh_agent_conf_options(mesh_agent_conf_t *conf, int argc, char **argv)
{
    int          i;
    size_t       len;
    const char  *key, *value;

    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0'
            || argv[i][2] == '=')
        {
            mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is no option: options "
                           "are written --key=value", argv[i]);
            return MESH_ERROR;
        }

        key = argv[i] + 2;
        value = strchr(key, '=');
        len = value ? (size_t) (value - key) : strlen(key);
        value = value ? value + 1 : "1";

        mesh_agent_conf_set(&conf->options, key, len, value, strlen(value));
    }

    return MESH_OK;
}


/* --policy=FILE, or <program>.mshx, or <program>.msh */
static void
mesh_agent_conf_policy(mesh_agent_conf_t *conf)
{
    char        *path, *stem;
    unsigned     i;
    const char  *given;

    static const char *const  suffix[] = { ".mshx", ".msh" };

    given = mesh_agent_conf_get(conf, "policy");

    if (given) {
        conf->policy = mesh_agent_strdup(given);
        return;
    }

    stem = mesh_agent_os_stem(conf->exe);

    for (i = 0; i < 2 && conf->policy == NULL; i++) {
        path = mesh_agent_join(stem, suffix[i]);

        if (mesh_agent_os_readable(path)) {
            conf->policy = path;
        } else {
            free(path);
        }
    }

    free(stem);
}


static int
mesh_agent_conf_read(mesh_agent_conf_t *conf)
{
    int               rc;
    char             *text;
    FILE             *f;
    size_t            n;
    const char       *p;
    mesh_msh_pair_t   pair;

    if (conf->policy == NULL) {
        return MESH_OK;
    }

    f = fopen(conf->policy, "rb");

    if (f == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the policy \"%s\" cannot be read: "
                       "%s", conf->policy, strerror(errno));
        return MESH_ERROR;
    }

    text = mesh_agent_alloc(MESH_AGENT_POLICY_MAX + 1);
    n = fread(text, 1, MESH_AGENT_POLICY_MAX + 1, f);
    (void) fclose(f);

    if (n > MESH_AGENT_POLICY_MAX) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" is no policy: it is longer "
                       "than %d bytes", conf->policy, MESH_AGENT_POLICY_MAX);
        free(text);
        return MESH_ERROR;
    }

    p = text;

    do {
        rc = mesh_msh_parse(&pair, &p, text + n);

        if (rc == MESH_OK) {
            mesh_agent_conf_set(&conf->msh, pair.key, pair.key_len, pair.value,
                                pair.value_len);
        }
    } while (rc != MESH_AGAIN);

    free(text);

    return MESH_OK;
}


static int
mesh_agent_conf_data(mesh_agent_conf_t *conf)
{
    const char  *given;

    given = mesh_agent_conf_get(conf, "data");
    conf->data = mesh_agent_os_folder(given, conf->exe);

    if (conf->data == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the data folder %s%s%s cannot be "
                       "made or written: name another with --data=DIR",
                       given ? "\"" : "", given ? given : "",
                       given ? "\"" : "");
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
mesh_agent_conf_mesh(mesh_agent_conf_t *conf)
{
    int          n;
    const char  *value;

    value = mesh_agent_conf_get(conf, "MeshID");

    if (value == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "no policy says which server to "
                       "call: put the .msh of a device group beside the "
                       "program, or name it with --policy=FILE");
        return MESH_ERROR;
    }

    if (strncmp(value, "0x", 2) == 0) {
        value += 2;
    }

    n = mesh_hex_decode(conf->mesh_id, MESH_AGENT_ID_LEN, value,
                        strlen(value));

    if (n != MESH_AGENT_ID_LEN && n != 32) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "MeshID in the policy must be 96 or "
                       "64 hexadecimal digits");
        return MESH_ERROR;
    }

    conf->mesh_id_len = (size_t) n;

    return MESH_OK;
}


/* the lists of servers and of their ids go together */
static int
mesh_agent_conf_lists(mesh_agent_conf_t *conf)
{
    size_t       n, ids, i, len;
    uint8_t      raw[MESH_AGENT_ID_LEN];
    const char  *servers, *server_ids;

    servers = mesh_agent_conf_get(conf, "MeshServer");
    server_ids = mesh_agent_conf_get(conf, "ServerID");

    if (servers == NULL || server_ids == NULL) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "%s is missing in the policy",
                       servers ? "ServerID" : "MeshServer");
        return MESH_ERROR;
    }

    conf->servers = mesh_agent_conf_split(servers, &n);
    conf->nservers = n;
    conf->server_ids = mesh_agent_conf_split(server_ids, &ids);

    if (n == 0 || n != ids) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "the policy names %u servers and %u "
                       "server ids: each server needs its own",
                       (unsigned) n, (unsigned) ids);
        return MESH_ERROR;
    }

    for (i = 0; i < n; i++) {
        len = strlen(conf->server_ids[i]);

        if ((len != MESH_AGENT_ID_HEX && len != 64)
            || mesh_hex_decode(raw, sizeof(raw), conf->server_ids[i], len) < 0)
        {
            mesh_agent_log(MESH_AGENT_LOG_ERR, "ServerID in the policy must be "
                           "96 or 64 hexadecimal digits");
            return MESH_ERROR;
        }

        if (strcmp(conf->servers[i], MESH_AGENT_LOCAL) == 0) {
            if (len != MESH_AGENT_ID_HEX) {
                mesh_agent_log(MESH_AGENT_LOG_ERR, "\"MeshServer=local\" in the "
                               "policy needs a ServerID of 96 hexadecimal "
                               "digits");
                return MESH_ERROR;
            }

            continue;
        }

        if (strncmp(conf->servers[i], "wss://", 6) != 0) {
            mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" in the policy is no "
                           "server that can be trusted: MeshServer must begin "
                           "with wss://, or be \"local\"", conf->servers[i]);
            return MESH_ERROR;
        }
    }

    return MESH_OK;
}


static char **
mesh_agent_conf_split(const char *list, size_t *n)
{
    char        **words;
    size_t        len;
    const char   *end;

    words = mesh_agent_alloc((MESH_AGENT_SERVERS_MAX + 1) * sizeof(char *));

    for (*n = 0; *n < MESH_AGENT_SERVERS_MAX; list = end + 1) {
        end = list + strcspn(list, ",");
        len = (size_t) (end - list);

        if (len) {
            words[*n] = mesh_agent_alloc(len + 1);
            memcpy(words[*n], list, len);
            (*n)++;
        }

        if (*end == '\0') {
            break;
        }
    }

    return words;
}


/* the last one of a key counts */
static void
mesh_agent_conf_set(mesh_agent_pair_t **list, const char *key, size_t key_len,
    const char *value, size_t value_len)
{
    mesh_agent_pair_t  *pair;

    for (pair = *list; pair; pair = pair->next) {
        if (strlen(pair->key) == key_len
            && memcmp(pair->key, key, key_len) == 0)
        {
            break;
        }
    }

    if (pair == NULL) {
        pair = mesh_agent_alloc(sizeof(mesh_agent_pair_t));
        pair->key = mesh_agent_alloc(key_len + 1);
        memcpy(pair->key, key, key_len);
        pair->next = *list;
        *list = pair;
    }

    free(pair->value);
    pair->value = mesh_agent_alloc(value_len + 1);
    memcpy(pair->value, value, value_len);
}


static void
mesh_agent_conf_drop(mesh_agent_pair_t *list)
{
    mesh_agent_pair_t  *next;

    for (; list; list = next) {
        next = list->next;
        free(list->key);
        free(list->value);
        free(list);
    }
}


static void
mesh_agent_conf_words(char **words)
{
    char  **p;

    if (words) {
        for (p = words; *p; p++) {
            free(*p);
        }

        free(words);
    }
}
