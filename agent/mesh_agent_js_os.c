/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Facts about the machine that libuv knows; the scripts find the others. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mesh_agent_js.h"
#include "os/mesh_agent_os.h"


typedef struct {
    uv_interface_address_t  *list;
    int                      n;
} mesh_agent_js_ifs_t;


static duk_ret_t mesh_agent_js_os_hostname(duk_context *duk);
static duk_ret_t mesh_agent_js_os_uptime(duk_context *duk);
static duk_ret_t mesh_agent_js_os_uname(duk_context *duk);
static duk_ret_t mesh_agent_js_os_tmpdir(duk_context *duk);
static duk_ret_t mesh_agent_js_os_interfaces(duk_context *duk);
static duk_ret_t mesh_agent_js_os_interfaces_call(duk_context *duk,
    void *data);
static void mesh_agent_js_os_interface(duk_context *duk,
    const uv_interface_address_t *addr);
static duk_ret_t mesh_agent_js_os_power(duk_context *duk);
static duk_ret_t mesh_agent_js_os_now(duk_context *duk);
static duk_ret_t mesh_agent_js_os_query(duk_context *duk);
static duk_ret_t mesh_agent_js_os_query_call(duk_context *duk, void *data);


static const duk_function_list_entry  mesh_agent_js_os_functions[] = {
    { "hostname", mesh_agent_js_os_hostname, 0 },
    { "uptime", mesh_agent_js_os_uptime, 0 },
    { "uname", mesh_agent_js_os_uname, 0 },
    { "tmpdir", mesh_agent_js_os_tmpdir, 0 },
    { "interfaces", mesh_agent_js_os_interfaces, 0 },
    { "power", mesh_agent_js_os_power, 2 },
    { "now", mesh_agent_js_os_now, 0 },
    { "query", mesh_agent_js_os_query, 2 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_os(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_os_functions);
}


/* hostname() -> text */
static duk_ret_t
mesh_agent_js_os_hostname(duk_context *duk)
{
    char    name[UV_MAXHOSTNAMESIZE];
    size_t  len;

    len = sizeof(name);

    if (uv_os_gethostname(name, &len) != 0) {
        len = 0;
    }

    mesh_agent_js_push_text(duk, name, len);

    return 1;
}


/* uptime() -> seconds */
static duk_ret_t
mesh_agent_js_os_uptime(duk_context *duk)
{
    double  uptime;

    duk_push_number(duk, uv_uptime(&uptime) == 0 ? uptime : 0);

    return 1;
}


/* uname() -> {sysname, release, version, machine} */
static duk_ret_t
mesh_agent_js_os_uname(duk_context *duk)
{
    uv_utsname_t  un;

    memset(&un, 0, sizeof(uv_utsname_t));
    (void) uv_os_uname(&un);

    duk_push_object(duk);
    mesh_agent_js_push_text(duk, un.sysname, strlen(un.sysname));
    duk_put_prop_string(duk, -2, "sysname");
    mesh_agent_js_push_text(duk, un.release, strlen(un.release));
    duk_put_prop_string(duk, -2, "release");
    mesh_agent_js_push_text(duk, un.version, strlen(un.version));
    duk_put_prop_string(duk, -2, "version");
    mesh_agent_js_push_text(duk, un.machine, strlen(un.machine));
    duk_put_prop_string(duk, -2, "machine");

    return 1;
}


/* tmpdir() -> path */
static duk_ret_t
mesh_agent_js_os_tmpdir(duk_context *duk)
{
    char    path[4096];
    size_t  len;

    len = sizeof(path);

    if (uv_os_tmpdir(path, &len) != 0) {
        return 0;
    }

    mesh_agent_js_push_text(duk, path, len);

    return 1;
}


/* interfaces() -> [{name, mac, internal, family, address, netmask}] */
static duk_ret_t
mesh_agent_js_os_interfaces(duk_context *duk)
{
    duk_int_t             rc;
    mesh_agent_js_ifs_t   ifs;

    if (uv_interface_addresses(&ifs.list, &ifs.n) != 0) {
        duk_push_array(duk);
        return 1;
    }

    /* a throw must not lose the list */
    rc = duk_safe_call(duk, mesh_agent_js_os_interfaces_call, &ifs, 0, 1);

    uv_free_interface_addresses(ifs.list, ifs.n);

    return rc == DUK_EXEC_SUCCESS ? 1 : duk_throw(duk);
}


static duk_ret_t
mesh_agent_js_os_interfaces_call(duk_context *duk, void *data)
{
    int                   i;
    mesh_agent_js_ifs_t  *ifs = data;

    duk_push_array(duk);

    for (i = 0; i < ifs->n; i++) {
        mesh_agent_js_os_interface(duk, &ifs->list[i]);
        duk_put_prop_index(duk, -2, (duk_uarridx_t) i);
    }

    return 1;
}


static void
mesh_agent_js_os_interface(duk_context *duk,
    const uv_interface_address_t *addr)
{
    int             v6;
    char            address[64], netmask[64], mac[18];
    const uint8_t  *p = (const uint8_t *) addr->phys_addr;

    v6 = addr->address.address4.sin_family == AF_INET6;

    address[0] = netmask[0] = '\0';

    if (v6) {
        (void) uv_ip6_name(&addr->address.address6, address, sizeof(address));
        (void) uv_ip6_name(&addr->netmask.netmask6, netmask, sizeof(netmask));

    } else {
        (void) uv_ip4_name(&addr->address.address4, address, sizeof(address));
        (void) uv_ip4_name(&addr->netmask.netmask4, netmask, sizeof(netmask));
    }

    snprintf(mac, sizeof(mac), "%02X:%02X:%02X:%02X:%02X:%02X", p[0], p[1],
             p[2], p[3], p[4], p[5]);

    duk_push_object(duk);
    mesh_agent_js_push_text(duk, addr->name, strlen(addr->name));
    duk_put_prop_string(duk, -2, "name");
    duk_push_string(duk, mac);
    duk_put_prop_string(duk, -2, "mac");
    duk_push_boolean(duk, addr->is_internal);
    duk_put_prop_string(duk, -2, "internal");
    duk_push_string(duk, v6 ? "IPv6" : "IPv4");
    duk_put_prop_string(duk, -2, "family");
    duk_push_string(duk, address);
    duk_put_prop_string(duk, -2, "address");
    duk_push_string(duk, netmask);
    duk_put_prop_string(duk, -2, "netmask");
}


/* power(state, force) -> 1 or 0 */
static duk_ret_t
mesh_agent_js_os_power(duk_context *duk)
{
    int  state;

    state = duk_require_int(duk, 0);

    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "power state %d asked for", state);
    duk_push_int(duk, mesh_agent_os_power(state,
                                          duk_get_int_default(duk, 1, 0)));

    return 1;
}


/* now() -> milliseconds of a clock that nobody sets */
static duk_ret_t
mesh_agent_js_os_now(duk_context *duk)
{
    duk_push_number(duk, (double) uv_hrtime() / 1000000);

    return 1;
}


/* query(name, argument) -> a fact of the platform; undefined: none */
static duk_ret_t
mesh_agent_js_os_query(duk_context *duk)
{
    char        *text;
    duk_int_t    rc;
    const char  *name;

    name = mesh_agent_js_text(duk, 0);
    text = mesh_agent_os_query(name, duk_is_undefined(duk, 1)
                                     ? "" : mesh_agent_js_text(duk, 1));

    if (text == NULL) {
        return 0;
    }

    /* a throw must not lose the text */
    rc = duk_safe_call(duk, mesh_agent_js_os_query_call, text, 0, 1);
    free(text);

    return rc == DUK_EXEC_SUCCESS ? 1 : duk_throw(duk);
}


static duk_ret_t
mesh_agent_js_os_query_call(duk_context *duk, void *data)
{
    const char  *text = data;

    mesh_agent_js_push_text(duk, text, strlen(text));
    duk_json_decode(duk, -1);

    return 1;
}
