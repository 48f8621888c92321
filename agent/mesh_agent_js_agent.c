/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What scripts see of the agent itself: the modules MeshAgent and
 * SimpleDataStore are made of this. */

#include <stdlib.h>
#include <string.h>
#include "mesh_agent_conf.h"
#include "mesh_agent_id.h"
#include "mesh_agent_js.h"
#include "mesh_agent_store.h"
#include "os/mesh_agent_os.h"


/* before the keys of scripts; those of the agent have other words */
#define MESH_AGENT_JS_STORE  "js:"
#define MESH_AGENT_JS_STORE_MAX  (16 * 1024 * 1024)   /* bytes, of scripts */


static duk_ret_t mesh_agent_js_agent_send(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_connected(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_url(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_ip(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_proxy(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_cert(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_core_hash(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_node_id(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_arch_id(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_conf(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_options(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_msh(duk_context *duk);
static void mesh_agent_js_agent_pairs(duk_context *duk,
    const mesh_agent_pair_t *pair);
static duk_ret_t mesh_agent_js_agent_mesh_id(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_service(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_log(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_restart(duk_context *duk);
static duk_ret_t mesh_agent_js_agent_disconnect(duk_context *duk);
static duk_ret_t mesh_agent_js_store_get(duk_context *duk);
static duk_ret_t mesh_agent_js_store_put(duk_context *duk);
static duk_ret_t mesh_agent_js_store_delete(duk_context *duk);
static duk_ret_t mesh_agent_js_store_keys(duk_context *duk);
static void mesh_agent_js_store_key_handler(const char *key, void *data);
static const char *mesh_agent_js_store_key(duk_context *duk, duk_idx_t idx);


static const duk_function_list_entry  mesh_agent_js_agent_functions[] = {
    { "send", mesh_agent_js_agent_send, 2 },
    { "connected", mesh_agent_js_agent_connected, 0 },
    { "serverUrl", mesh_agent_js_agent_url, 0 },
    { "serverIp", mesh_agent_js_agent_ip, 0 },
    { "serverProxy", mesh_agent_js_agent_proxy, 0 },
    { "serverCert", mesh_agent_js_agent_cert, 0 },
    { "coreHash", mesh_agent_js_agent_core_hash, 0 },
    { "nodeId", mesh_agent_js_agent_node_id, 0 },
    { "archId", mesh_agent_js_agent_arch_id, 0 },
    { "conf", mesh_agent_js_agent_conf, 1 },
    { "options", mesh_agent_js_agent_options, 0 },
    { "msh", mesh_agent_js_agent_msh, 0 },
    { "meshId", mesh_agent_js_agent_mesh_id, 0 },
    { "isService", mesh_agent_js_agent_service, 0 },
    { "log", mesh_agent_js_agent_log, 2 },
    { "restartCore", mesh_agent_js_agent_restart, 0 },
    { "disconnect", mesh_agent_js_agent_disconnect, 0 },
    { "storeGet", mesh_agent_js_store_get, 1 },
    { "storePut", mesh_agent_js_store_put, 2 },
    { "storeDelete", mesh_agent_js_store_delete, 1 },
    { "storeKeys", mesh_agent_js_store_keys, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_agent(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_agent_functions);
}


/* send(bytes, asText) -> 1, or -4: no server, or too much is waiting */
static duk_ret_t
mesh_agent_js_agent_send(duk_context *duk)
{
    int               rc;
    size_t            len;
    mesh_agent_t     *a;
    const uint8_t    *data;
    mesh_agent_js_t  *js;

    js = mesh_agent_js_of(duk);
    a = mesh_agent_js_agent(js);
    data = mesh_agent_js_bytes(duk, 0, &len);

    rc = -4;

    /* two scripts must not both speak for the device */
    if (len > 0 && !mesh_agent_js_is_retired(js)) {
        rc = mesh_agent_channel_send(a->channel, data, len,
                                     duk_to_boolean(duk, 1));
    }

    duk_push_int(duk, rc);

    return 1;
}


/* connected() -> boolean */
static duk_ret_t
mesh_agent_js_agent_connected(duk_context *duk)
{
    mesh_agent_js_t  *js;

    js = mesh_agent_js_of(duk);

    duk_push_boolean(duk, !mesh_agent_js_is_retired(js)
                     && mesh_agent_channel_connected(
                            mesh_agent_js_agent(js)->channel));

    return 1;
}


/* serverUrl() -> text */
static duk_ret_t
mesh_agent_js_agent_url(duk_context *duk)
{
    const char  *url;

    url = mesh_agent_channel_url(
              mesh_agent_js_agent(mesh_agent_js_of(duk))->channel);
    mesh_agent_js_push_text(duk, url, strlen(url));

    return 1;
}


/* serverIp() -> text */
static duk_ret_t
mesh_agent_js_agent_ip(duk_context *duk)
{
    const char  *ip;

    ip = mesh_agent_channel_ip(
             mesh_agent_js_agent(mesh_agent_js_of(duk))->channel);
    mesh_agent_js_push_text(duk, ip, strlen(ip));

    return 1;
}


/* serverProxy() -> text, or undefined: the channel has none */
static duk_ret_t
mesh_agent_js_agent_proxy(duk_context *duk)
{
    const char  *proxy;

    proxy = mesh_agent_channel_proxy(
                mesh_agent_js_agent(mesh_agent_js_of(duk))->channel);
    if (proxy == NULL) {
        return 0;
    }

    mesh_agent_js_push_text(duk, proxy, strlen(proxy));

    return 1;
}


/* serverCert() -> {key, full}: Buffers */
static duk_ret_t
mesh_agent_js_agent_cert(duk_context *duk)
{
    uint8_t  key[MESH_AGENT_ID_LEN], full[MESH_AGENT_ID_LEN];

    mesh_agent_channel_cert(
        mesh_agent_js_agent(mesh_agent_js_of(duk))->channel, key, full);

    duk_push_object(duk);
    mesh_agent_js_push_buffer(duk, key, sizeof(key));
    duk_put_prop_string(duk, -2, "key");
    mesh_agent_js_push_buffer(duk, full, sizeof(full));
    duk_put_prop_string(duk, -2, "full");

    return 1;
}


/* coreHash() -> Buffer, or undefined */
static duk_ret_t
mesh_agent_js_agent_core_hash(duk_context *duk)
{
    uint8_t  hash[MESH_AGENT_ID_LEN];

    if (!mesh_agent_core_hash(mesh_agent_js_agent(mesh_agent_js_of(duk))->core,
                              hash))
    {
        return 0;
    }

    mesh_agent_js_push_buffer(duk, hash, sizeof(hash));

    return 1;
}


/* nodeId() -> Buffer */
static duk_ret_t
mesh_agent_js_agent_node_id(duk_context *duk)
{
    mesh_agent_js_push_buffer(duk,
        mesh_agent_id_node(mesh_agent_js_agent(mesh_agent_js_of(duk))->id),
        MESH_AGENT_ID_LEN);

    return 1;
}


/* archId() -> number */
static duk_ret_t
mesh_agent_js_agent_arch_id(duk_context *duk)
{
    duk_push_int(duk, mesh_agent_os_arch_id());

    return 1;
}


/* conf(key) -> text, or undefined */
static duk_ret_t
mesh_agent_js_agent_conf(duk_context *duk)
{
    const char  *value;

    value = mesh_agent_conf_get(
                mesh_agent_js_agent(mesh_agent_js_of(duk))->conf,
                mesh_agent_js_text(duk, 0));
    if (value == NULL) {
        return 0;
    }

    mesh_agent_js_push_text(duk, value, strlen(value));

    return 1;
}


/* options() -> {key: text} of the command line */
static duk_ret_t
mesh_agent_js_agent_options(duk_context *duk)
{
    mesh_agent_js_agent_pairs(duk,
        mesh_agent_js_agent(mesh_agent_js_of(duk))->conf->options);

    return 1;
}


/* msh() -> {key: text} of the policy */
static duk_ret_t
mesh_agent_js_agent_msh(duk_context *duk)
{
    mesh_agent_js_agent_pairs(duk,
        mesh_agent_js_agent(mesh_agent_js_of(duk))->conf->msh);

    return 1;
}


static void
mesh_agent_js_agent_pairs(duk_context *duk, const mesh_agent_pair_t *pair)
{
    duk_push_object(duk);

    for ( /* void */ ; pair != NULL; pair = pair->next) {
        mesh_agent_js_push_text(duk, pair->key, strlen(pair->key));
        mesh_agent_js_push_text(duk, pair->value, strlen(pair->value));
        duk_put_prop(duk, -3);
    }
}


/* meshId() -> Buffer */
static duk_ret_t
mesh_agent_js_agent_mesh_id(duk_context *duk)
{
    const mesh_agent_conf_t  *conf;

    conf = mesh_agent_js_agent(mesh_agent_js_of(duk))->conf;
    mesh_agent_js_push_buffer(duk, conf->mesh_id, conf->mesh_id_len);

    return 1;
}


/* isService() -> boolean */
static duk_ret_t
mesh_agent_js_agent_service(duk_context *duk)
{
    duk_push_boolean(duk, mesh_agent_os_is_service());

    return 1;
}


/* log(text, level): one line */
static duk_ret_t
mesh_agent_js_agent_log(duk_context *duk)
{
    char            line[2000];
    size_t          i, len;
    const uint8_t  *text;

    text = mesh_agent_js_bytes(duk, 0, &len);

    for (i = 0; i < len && i < sizeof(line) - 1; i++) {
        line[i] = text[i] < ' ' || text[i] == 0x7f ? ' ' : (char) text[i];
    }

    line[i] = '\0';

    mesh_agent_log(duk_get_int_default(duk, 1, MESH_AGENT_LOG_NOTICE),
                   "script: %s", line);

    return 0;
}


/* restartCore() */
static duk_ret_t
mesh_agent_js_agent_restart(duk_context *duk)
{
    mesh_agent_core_restart(mesh_agent_js_agent(mesh_agent_js_of(duk))->core);

    return 0;
}


/* disconnect() */
static duk_ret_t
mesh_agent_js_agent_disconnect(duk_context *duk)
{
    mesh_agent_channel_close(
        mesh_agent_js_agent(mesh_agent_js_of(duk))->channel);

    return 0;
}


/* storeGet(key) -> Buffer, or undefined */
static duk_ret_t
mesh_agent_js_store_get(duk_context *duk)
{
    size_t          len;
    const uint8_t  *value;

    value = mesh_agent_store_get(
                mesh_agent_js_agent(mesh_agent_js_of(duk))->store,
                mesh_agent_js_store_key(duk, 0), &len);
    if (value == NULL) {
        return 0;
    }

    mesh_agent_js_push_buffer(duk, value, len);

    return 1;
}


/* storePut(key, bytes) -> boolean; false: no room, or not written */
static duk_ret_t
mesh_agent_js_store_put(duk_context *duk)
{
    int                  ok;
    size_t               len;
    const char          *key;
    const uint8_t       *value;
    mesh_agent_store_t  *st;

    value = mesh_agent_js_bytes(duk, 1, &len);
    key = mesh_agent_js_store_key(duk, 0);
    st = mesh_agent_js_agent(mesh_agent_js_of(duk))->store;

    /* the agent and its next script need room, too */
    ok = len <= MESH_AGENT_JS_STORE_MAX
         && mesh_agent_store_size(st, MESH_AGENT_JS_STORE, key)
            <= MESH_AGENT_JS_STORE_MAX - len
         && mesh_agent_store_put(st, key, value, len) == MESH_OK;

    duk_push_boolean(duk, ok);

    return 1;
}


/* storeDelete(key) -> boolean */
static duk_ret_t
mesh_agent_js_store_delete(duk_context *duk)
{
    duk_push_boolean(duk,
        mesh_agent_store_delete(
            mesh_agent_js_agent(mesh_agent_js_of(duk))->store,
            mesh_agent_js_store_key(duk, 0)) == MESH_OK);

    return 1;
}


/* storeKeys() -> array */
static duk_ret_t
mesh_agent_js_store_keys(duk_context *duk)
{
    duk_push_array(duk);
    mesh_agent_store_each(mesh_agent_js_agent(mesh_agent_js_of(duk))->store,
                          MESH_AGENT_JS_STORE,
                          mesh_agent_js_store_key_handler, duk);

    return 1;
}


static void
mesh_agent_js_store_key_handler(const char *key, void *data)
{
    duk_context  *duk = data;

    key += sizeof(MESH_AGENT_JS_STORE) - 1;
    mesh_agent_js_push_text(duk, key, strlen(key));
    duk_put_prop_index(duk, -2, (duk_uarridx_t) duk_get_length(duk, -2));
}


/* the key with its prefix, in place of what was there */
static const char *
mesh_agent_js_store_key(duk_context *duk, duk_idx_t idx)
{
    char        *p;
    size_t       len;
    const char  *key;

    key = mesh_agent_js_text(duk, idx);
    len = strlen(key);

    p = duk_push_fixed_buffer(duk, sizeof(MESH_AGENT_JS_STORE) + len);
    memcpy(p, MESH_AGENT_JS_STORE, sizeof(MESH_AGENT_JS_STORE) - 1);
    memcpy(p + sizeof(MESH_AGENT_JS_STORE) - 1, key, len);

    return p;
}
