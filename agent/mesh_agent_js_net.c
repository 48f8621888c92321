/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "../proto/mesh_agent_msg.h"
#include "mesh_agent_js_net.h"


static void mesh_agent_js_push_colons(duk_context *duk, const uint8_t *hash);


void
mesh_agent_js_init_net(duk_context *duk)
{
    mesh_agent_js_init_stream(duk);
    mesh_agent_js_init_ws(duk);
    mesh_agent_js_init_dgram(duk);
    mesh_agent_js_init_rtc(duk);
}


const char *
mesh_agent_js_option_text(duk_context *duk, duk_idx_t idx, const char *name,
    char *buf, size_t size)
{
    const char  *text;

    (void) duk_get_prop_string(duk, idx, name);

    if (duk_is_null_or_undefined(duk, -1)) {
        duk_pop(duk);
        return NULL;
    }

    text = mesh_agent_js_text(duk, -1);

    if (strlen(text) >= size) {
        (void) duk_error(duk, DUK_ERR_RANGE_ERROR, "%s is too long", name);
    }

    memcpy(buf, text, strlen(text) + 1);
    duk_pop(duk);

    return buf;
}


int
mesh_agent_js_option_flag(duk_context *duk, duk_idx_t idx, const char *name)
{
    int  flag;

    (void) duk_get_prop_string(duk, idx, name);
    flag = duk_to_boolean(duk, -1) != 0;
    duk_pop(duk);

    return flag;
}


uint16_t
mesh_agent_js_option_port(duk_context *duk, duk_idx_t idx, const char *name)
{
    double  port;

    (void) duk_get_prop_string(duk, idx, name);
    port = duk_to_number(duk, -1);
    duk_pop(duk);

    if (!(port >= 0 && port <= 65535)) {
        (void) duk_error(duk, DUK_ERR_RANGE_ERROR, "%s is no port", name);
    }

    return (uint16_t) port;
}


int
mesh_agent_js_verify(mesh_agent_js_obj_t *obj, const mesh_agent_peer_t *peer)
{
    duk_context  *duk;

    duk = mesh_agent_js_duk(obj->js);

    (void) duk_push_object(duk);
    mesh_agent_js_push_colons(duk, peer->full);
    (void) duk_put_prop_string(duk, -2, "digest");
    mesh_agent_js_push_colons(duk, peer->key);
    (void) duk_put_prop_string(duk, -2, "fingerprint");

    return mesh_agent_js_call(obj, "onverify", 1) ? MESH_OK : MESH_ERROR;
}


static void
mesh_agent_js_push_colons(duk_context *duk, const uint8_t *hash)
{
    char    text[3 * MESH_AGENT_ID_LEN];
    size_t  i;

    for (i = 0; i < MESH_AGENT_ID_LEN; i++) {
        mesh_hex_encode(text + 3 * i, hash + i, 1, 1);
        text[3 * i + 2] = ':';
    }

    (void) duk_push_lstring(duk, text, sizeof(text) - 1);
}
