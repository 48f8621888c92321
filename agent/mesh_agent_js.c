/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a script, the bounds of its heap, and the ways into it.
 *
 * The heap is held until the last object is gone: what libuv still calls back
 * may push values.  "dead" is what keeps a freed script from running.
 */

#include <stdlib.h>
#include <string.h>
#include "mesh_agent_js.h"
#include "os/mesh_agent_os.h"


#define MESH_AGENT_JS_OBJ     DUK_HIDDEN_SYMBOL("obj")
#define MESH_AGENT_JS_OPEN    DUK_HIDDEN_SYMBOL("open")
#define MESH_AGENT_JS_NATIVE  DUK_HIDDEN_SYMBOL("native")


struct mesh_agent_js_s {
    mesh_agent_t         *agent;
    duk_context          *duk;
    mesh_agent_js_obj_t  *objects;        /* open */
    mesh_agent_js_obj_t  *closing;        /* close() was called by free() */
    uv_timer_t            later;          /* frees outside of any call */

    size_t                used;           /* bytes of the heap */
    size_t                max;
    uint64_t              time_ns;        /* of one call */
    uint64_t              deadline;       /* of uv_hrtime() */
    unsigned              depth;          /* of calls into the heap */

    unsigned              retired:1;
    unsigned              dead:1;         /* runs no more */
    unsigned              tell:1;         /* mesh_agent_core_gone() */
    unsigned              freeing:1;
    unsigned              destroying:1;
};

typedef struct {
    mesh_agent_js_t      *js;
    void                 *object;
    const char           *name;           /* of a method or a program */
    const uint8_t        *data;
    size_t                len;
    duk_idx_t             nargs;
    int                   json;
} mesh_agent_js_enter_t;


unsigned  mesh_agent_js_calls;


/* what DUK_USE_EXEC_TIMEOUT_CHECK calls */
int mesh_agent_js_timeout(void *data);

static duk_ret_t mesh_agent_js_init_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_scripts_get(duk_context *duk);
static duk_ret_t mesh_agent_js_scripts_list(duk_context *duk);
static duk_ret_t mesh_agent_js_compile(duk_context *duk);
static duk_ret_t mesh_agent_js_run_call(duk_context *duk, void *data);
static void mesh_agent_js_free_later(mesh_agent_js_t *js);
static void mesh_agent_js_later_handler(uv_timer_t *timer);
static void mesh_agent_js_destroy(mesh_agent_js_t *js);
static void mesh_agent_js_destroy_handler(uv_handle_t *handle);
static int mesh_agent_js_hook(mesh_agent_js_t *js, const char *name,
    mesh_agent_js_enter_t *enter, duk_safe_call_function fn);
static duk_ret_t mesh_agent_js_connected_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_command_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_json_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_open_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_gone_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_method_call(duk_context *duk, void *data);
static duk_int_t mesh_agent_js_enter(mesh_agent_js_t *js,
    duk_safe_call_function fn, mesh_agent_js_enter_t *enter, duk_idx_t nargs);
static void mesh_agent_js_report(mesh_agent_js_t *js);
static duk_ret_t mesh_agent_js_report_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_log_call(duk_context *duk, void *data);
static void mesh_agent_js_push_hook(duk_context *duk, const char *name);
static void *mesh_agent_js_heap_alloc(void *data, duk_size_t size);
static void *mesh_agent_js_heap_realloc(void *data, void *p, duk_size_t size);
static void mesh_agent_js_heap_free(void *data, void *p);
static void mesh_agent_js_heap_fatal(void *data, const char *msg);


mesh_agent_js_t *
mesh_agent_js_create(mesh_agent_t *a)
{
    mesh_agent_js_t        *js;
    mesh_agent_js_enter_t   enter;

    js = mesh_agent_alloc(sizeof(mesh_agent_js_t));

    js->agent = a;
    js->max = MESH_AGENT_JS_MEMORY;
    js->time_ns = (uint64_t) MESH_AGENT_JS_SECONDS * 1000000000;

    js->duk = duk_create_heap(mesh_agent_js_heap_alloc,
                              mesh_agent_js_heap_realloc,
                              mesh_agent_js_heap_free, js,
                              mesh_agent_js_heap_fatal);
    if (js->duk == NULL) {
        free(js);
        return NULL;
    }

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));

    if (mesh_agent_js_enter(js, mesh_agent_js_init_call, &enter, 0)
        != DUK_EXEC_SUCCESS)
    {
        mesh_agent_js_report(js);
        duk_destroy_heap(js->duk);
        free(js);
        return NULL;
    }

    duk_pop(js->duk);

    uv_timer_init(a->loop, &js->later);
    uv_unref((uv_handle_t *) &js->later);
    js->later.data = js;

    return js;
}


static duk_ret_t
mesh_agent_js_init_call(duk_context *duk, void *data)
{
    duk_push_heap_stash(duk);

    duk_push_bare_object(duk);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_OPEN);

    /*
     * A coroutine would make another context the current one, and a finalizer
     * would run a script in the middle of a binding.
     */
    duk_get_global_string(duk, "Duktape");
    duk_del_prop_string(duk, -1, "Thread");
    duk_del_prop_string(duk, -1, "fin");
    duk_del_prop_string(duk, -1, "act");
    duk_pop(duk);

    duk_push_object(duk);

    mesh_agent_js_init_buffer(duk);
    mesh_agent_js_init_timer(duk);
    mesh_agent_js_init_process(duk);
    mesh_agent_js_init_fs(duk);
    mesh_agent_js_init_os(duk);
    mesh_agent_js_init_hash(duk);
    mesh_agent_js_init_agent(duk);
    mesh_agent_js_init_desktop(duk);
    mesh_agent_js_init_net(duk);
    mesh_agent_js_init_listen(duk);

    duk_push_c_function(duk, mesh_agent_js_scripts_get, 1);
    duk_put_prop_string(duk, -2, "script");
    duk_push_c_function(duk, mesh_agent_js_scripts_list, 0);
    duk_put_prop_string(duk, -2, "scripts");
    duk_push_c_function(duk, mesh_agent_js_compile, 3);
    duk_put_prop_string(duk, -2, "compile");

    duk_dup(duk, -1);
    duk_put_prop_string(duk, -3, MESH_AGENT_JS_NATIVE);

    duk_push_c_function(duk, mesh_agent_js_scripts_get, 1);
    duk_push_string(duk, "boot");
    duk_call(duk, 1);

    if (!duk_is_function(duk, -1)) {
        return duk_error(duk, DUK_ERR_ERROR, "no boot script");
    }

    /* module, exports and require, which it has not made yet */
    duk_push_undefined(duk);
    duk_push_undefined(duk);
    duk_push_undefined(duk);
    duk_dup(duk, -5);
    duk_call(duk, 4);

    return 1;
}


/*
 * script(name) -> function (module, exports, require, native), or undefined.
 * The text stays where it is: the heap gets what the compiler makes of it.
 */
static duk_ret_t
mesh_agent_js_scripts_get(duk_context *duk)
{
    const char                    *name;
    const mesh_agent_js_script_t  *script;

    name = duk_require_string(duk, 0);

    for (script = mesh_agent_js_scripts; script->name != NULL; script++) {

        if (strcmp(script->name, name) != 0) {
            continue;
        }

        duk_push_sprintf(duk, "host:%s.js", name);
        duk_compile_lstring_filename(duk, DUK_COMPILE_FUNCTION,
                                     (const char *) script->data, script->len);
        return 1;
    }

    return 0;
}


/* scripts() -> names */
static duk_ret_t
mesh_agent_js_scripts_list(duk_context *duk)
{
    duk_uarridx_t  i;

    duk_push_array(duk);

    for (i = 0; mesh_agent_js_scripts[i].name != NULL; i++) {
        duk_push_string(duk, mesh_agent_js_scripts[i].name);
        duk_put_prop_index(duk, -2, i);
    }

    return 1;
}


/* compile(source, file, asFunction) -> function */
static duk_ret_t
mesh_agent_js_compile(duk_context *duk)
{
    duk_uint_t  flags;

    flags = duk_to_boolean(duk, 2) ? DUK_COMPILE_FUNCTION : 0;

    duk_require_string(duk, 0);
    duk_require_string(duk, 1);
    duk_set_top(duk, 2);
    duk_compile(duk, flags);

    return 1;
}


int
mesh_agent_js_run(mesh_agent_js_t *js, const char *name, const uint8_t *source,
    size_t len)
{
    int                    rc;
    mesh_agent_js_enter_t  enter;

    if (js->dead) {
        return MESH_ERROR;
    }

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));
    enter.name = name;
    enter.data = source;
    enter.len = len;

    rc = MESH_OK;

    if (mesh_agent_js_enter(js, mesh_agent_js_run_call, &enter, 0)
        != DUK_EXEC_SUCCESS)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "script \"%s\" failed", name);

        /* it may have a handler that keeps this to itself */
        duk_dup(js->duk, -1);
        (void) mesh_agent_js_enter(js, mesh_agent_js_log_call, &enter, 1);
        duk_pop(js->duk);

        duk_dup(js->duk, -1);
        mesh_agent_js_report(js);
        rc = MESH_ERROR;
    }

    duk_pop(js->duk);

    return rc;
}


static duk_ret_t
mesh_agent_js_run_call(duk_context *duk, void *data)
{
    mesh_agent_js_enter_t  *enter = data;

    duk_push_string(duk, enter->name);
    duk_compile_lstring_filename(duk, 0, (const char *) enter->data,
                                 enter->len);
    duk_call(duk, 0);

    return 1;
}


void
mesh_agent_js_retire(mesh_agent_js_t *js)
{
    mesh_agent_js_obj_t  *obj;

    js->retired = 1;
    js->tell = 1;

    /* the next script may want the same port */
    for (obj = js->objects; obj != NULL; obj = obj->next) {
        if (obj->door) {
            obj->close(obj);
        }
    }

    mesh_agent_js_free_later(js);
}


/* a retired script without a session is freed, in the loop's next turn */
static void
mesh_agent_js_free_later(mesh_agent_js_t *js)
{
    mesh_agent_js_obj_t  *obj;

    if (!js->retired || js->freeing) {
        return;
    }

    for (obj = js->objects; obj != NULL; obj = obj->next) {
        if (obj->session) {
            return;
        }
    }

    uv_ref((uv_handle_t *) &js->later);
    uv_timer_start(&js->later, mesh_agent_js_later_handler, 0, 0);
}


static void
mesh_agent_js_later_handler(uv_timer_t *timer)
{
    mesh_agent_js_t      *js = timer->data;
    mesh_agent_js_obj_t  *obj;

    /* the last turn may have opened one */
    for (obj = js->objects; obj != NULL; obj = obj->next) {
        if (obj->session) {
            uv_unref((uv_handle_t *) timer);
            return;
        }
    }

    mesh_agent_js_destroy(js);
}


void
mesh_agent_js_free(mesh_agent_js_t *js)
{
    js->tell = 0;

    if (!js->freeing) {
        mesh_agent_js_destroy(js);
    }
}


static void
mesh_agent_js_destroy(mesh_agent_js_t *js)
{
    mesh_agent_js_obj_t  *obj;

    js->dead = 1;
    js->freeing = 1;

    /* close() of one may close others: each is taken from the front */

    while (js->objects != NULL) {
        obj = js->objects;

        js->objects = obj->next;
        if (obj->next != NULL) {
            obj->next->prev = &js->objects;
        }

        obj->next = js->closing;
        obj->prev = &js->closing;
        if (js->closing != NULL) {
            js->closing->prev = &obj->next;
        }
        js->closing = obj;

        obj->close(obj);
    }

    if (js->closing == NULL && !js->destroying) {
        js->destroying = 1;
        uv_close((uv_handle_t *) &js->later, mesh_agent_js_destroy_handler);
    }
}


static void
mesh_agent_js_destroy_handler(uv_handle_t *handle)
{
    mesh_agent_js_t  *js = handle->data;

    duk_destroy_heap(js->duk);

    if (js->tell) {
        mesh_agent_core_gone(js->agent->core, js);
    }

    free(js);
}


void
mesh_agent_js_collect(mesh_agent_js_t *js)
{
    /* twice: the first pass runs finalizers */
    duk_gc(js->duk, 0);
    duk_gc(js->duk, DUK_GC_COMPACT);
}


void
mesh_agent_js_connected(mesh_agent_js_t *js, int connected)
{
    mesh_agent_js_enter_t  enter;

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));
    enter.json = connected;

    (void) mesh_agent_js_hook(js, "connected", &enter,
                              mesh_agent_js_connected_call);
}


void
mesh_agent_js_command(mesh_agent_js_t *js, const uint8_t *data, size_t len,
    int json)
{
    mesh_agent_js_enter_t  enter;

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));
    enter.data = data;
    enter.len = len;
    enter.json = json;

    (void) mesh_agent_js_hook(js, "command", &enter,
                              mesh_agent_js_command_call);
}


static int
mesh_agent_js_hook(mesh_agent_js_t *js, const char *name,
    mesh_agent_js_enter_t *enter, duk_safe_call_function fn)
{
    if (js->dead || js->retired) {
        return 0;
    }

    enter->name = name;

    if (mesh_agent_js_enter(js, fn, enter, 0) != DUK_EXEC_SUCCESS) {
        mesh_agent_js_report(js);
        return 0;
    }

    duk_pop(js->duk);

    return 1;
}


static duk_ret_t
mesh_agent_js_connected_call(duk_context *duk, void *data)
{
    mesh_agent_js_enter_t  *enter = data;

    mesh_agent_js_push_hook(duk, enter->name);
    duk_push_int(duk, enter->json ? 1 : 0);
    duk_call(duk, 1);

    return 1;
}


static duk_ret_t
mesh_agent_js_command_call(duk_context *duk, void *data)
{
    mesh_agent_js_enter_t  *enter = data;

    mesh_agent_js_push_hook(duk, enter->name);

    if (enter->json) {
        mesh_agent_js_push_text(duk, enter->data, enter->len);

        /* a handler gets the text of what is no JSON */
        duk_dup(duk, -1);
        if (duk_safe_call(duk, mesh_agent_js_json_call, NULL, 1, 1)
            == DUK_EXEC_SUCCESS)
        {
            duk_remove(duk, -2);

        } else {
            duk_pop(duk);
        }

    } else {
        mesh_agent_js_push_buffer(duk, enter->data, enter->len);
    }

    duk_call(duk, 1);

    return 1;
}


static duk_ret_t
mesh_agent_js_json_call(duk_context *duk, void *data)
{
    duk_json_decode(duk, -1);

    return 1;
}


/* Objects */

mesh_agent_t *
mesh_agent_js_agent(mesh_agent_js_t *js)
{
    return js->agent;
}


duk_context *
mesh_agent_js_duk(mesh_agent_js_t *js)
{
    return js->duk;
}


mesh_agent_js_t *
mesh_agent_js_of(duk_context *duk)
{
    duk_memory_functions  functions;

    duk_get_memory_functions(duk, &functions);

    return functions.udata;
}


int
mesh_agent_js_is_retired(const mesh_agent_js_t *js)
{
    return js->retired;
}


void
mesh_agent_js_limit(mesh_agent_js_t *js, size_t bytes, unsigned ms)
{
    js->max = bytes;
    js->time_ns = (uint64_t) ms * 1000000;
}


void
mesh_agent_js_open(duk_context *duk, duk_idx_t idx, mesh_agent_js_obj_t *obj,
    mesh_agent_js_close_pt close)
{
    mesh_agent_js_t  *js;

    idx = duk_require_normalize_index(duk, idx);
    js = mesh_agent_js_of(duk);

    obj->object = duk_get_heapptr(duk, idx);

    if (duk_safe_call(duk, mesh_agent_js_open_call, obj, 0, 1)
        != DUK_EXEC_SUCCESS)
    {
        free(obj);
        (void) duk_throw(duk);
    }

    duk_pop(duk);

    obj->js = js;
    obj->close = close;
    obj->next = js->objects;
    obj->prev = &js->objects;
    if (js->objects != NULL) {
        js->objects->prev = &obj->next;
    }
    js->objects = obj;
}


static duk_ret_t
mesh_agent_js_open_call(duk_context *duk, void *data)
{
    mesh_agent_js_obj_t  *obj = data;

    duk_push_heapptr(duk, obj->object);

    duk_push_heap_stash(duk);
    duk_get_prop_string(duk, -1, MESH_AGENT_JS_OPEN);
    duk_push_pointer(duk, obj);
    duk_dup(duk, -4);
    duk_put_prop(duk, -3);
    duk_pop_2(duk);

    /* last, for nothing takes it away when this throws */
    duk_push_pointer(duk, obj);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_OBJ);

    return 0;
}


void *
mesh_agent_js_obj(duk_context *duk, duk_idx_t idx,
    mesh_agent_js_close_pt close)
{
    mesh_agent_js_obj_t  *obj;

    if (!duk_is_object(duk, idx)) {
        return NULL;
    }

    duk_get_prop_string(duk, idx, MESH_AGENT_JS_OBJ);
    obj = duk_get_pointer(duk, -1);
    duk_pop(duk);

    return obj != NULL && obj->close == close ? obj : NULL;
}


void
mesh_agent_js_gone(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_t  *js = obj->js;

    if (js == NULL) {
        return;
    }

    *obj->prev = obj->next;
    if (obj->next != NULL) {
        obj->next->prev = obj->prev;
    }

    /*
     * Nothing here allocates: the names are interned already, and the
     * property is there.  If it failed all the same, the object would have
     * freed memory behind it, and its script must not run any more.
     */
    if (duk_safe_call(js->duk, mesh_agent_js_gone_call, obj, 0, 1)
        != DUK_EXEC_SUCCESS)
    {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "script stopped: an object of it "
                       "could not be closed");
        js->dead = 1;
    }

    duk_pop(js->duk);

    obj->js = NULL;
    obj->object = NULL;

    if (js->freeing) {
        if (js->objects == NULL && js->closing == NULL) {
            mesh_agent_js_destroy(js);
        }
        return;
    }

    if (obj->session) {
        mesh_agent_js_free_later(js);
    }
}


static duk_ret_t
mesh_agent_js_gone_call(duk_context *duk, void *data)
{
    mesh_agent_js_obj_t  *obj = data;

    duk_push_heapptr(duk, obj->object);
    duk_push_pointer(duk, NULL);
    duk_put_prop_string(duk, -2, MESH_AGENT_JS_OBJ);

    duk_push_heap_stash(duk);
    duk_get_prop_string(duk, -1, MESH_AGENT_JS_OPEN);
    duk_push_pointer(duk, obj);
    duk_del_prop(duk, -2);

    return 0;
}


int
mesh_agent_js_call(mesh_agent_js_obj_t *obj, const char *method,
    duk_idx_t nargs)
{
    int                     result;
    mesh_agent_js_t        *js = obj->js;
    mesh_agent_js_enter_t   enter;

    if (js->dead) {
        duk_pop_n(js->duk, nargs);
        return 0;
    }

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));
    enter.object = obj->object;
    enter.name = method;
    enter.nargs = nargs;

    if (mesh_agent_js_enter(js, mesh_agent_js_method_call, &enter, nargs)
        != DUK_EXEC_SUCCESS)
    {
        mesh_agent_js_report(js);
        return 0;
    }

    result = duk_to_boolean(js->duk, -1);
    duk_pop(js->duk);

    return result;
}


static duk_ret_t
mesh_agent_js_method_call(duk_context *duk, void *data)
{
    mesh_agent_js_enter_t  *enter = data;

    duk_push_heapptr(duk, enter->object);
    duk_insert(duk, -1 - enter->nargs);
    duk_get_prop_string(duk, -1 - enter->nargs, enter->name);

    if (!duk_is_callable(duk, -1)) {
        return 0;
    }

    duk_insert(duk, -2 - enter->nargs);
    duk_call_method(duk, enter->nargs);

    return 1;
}


/*
 * Calls fn under the clock, with nargs values of the stack; one value is on it
 * afterwards: the result, or what was thrown.
 */
static duk_int_t
mesh_agent_js_enter(mesh_agent_js_t *js, duk_safe_call_function fn,
    mesh_agent_js_enter_t *enter, duk_idx_t nargs)
{
    int        outer;
    duk_int_t  rc;

    enter->js = js;

    if (js->depth == 0) {
        js->deadline = uv_hrtime() + js->time_ns;
    }

    outer = mesh_agent_js_calls % 2 == 0;

    if (outer) {
        __atomic_store_n(&mesh_agent_js_calls, mesh_agent_js_calls + 1,
                         __ATOMIC_RELAXED);
    }

    js->depth++;
    rc = duk_safe_call(js->duk, fn, enter, nargs, 1);
    js->depth--;

    if (outer) {
        __atomic_store_n(&mesh_agent_js_calls, mesh_agent_js_calls + 1,
                         __ATOMIC_RELAXED);
    }

    return rc;
}


int
mesh_agent_js_timeout(void *data)
{
    mesh_agent_js_t  *js = data;

    return js->depth > 0 && uv_hrtime() > js->deadline;
}


/* takes what was thrown from the stack */
static void
mesh_agent_js_report(mesh_agent_js_t *js)
{
    duk_int_t              rc;
    mesh_agent_js_enter_t  enter;

    memset(&enter, 0, sizeof(mesh_agent_js_enter_t));

    duk_dup(js->duk, -1);
    rc = mesh_agent_js_enter(js, mesh_agent_js_report_call, &enter, 1);

    if (rc == DUK_EXEC_SUCCESS && duk_to_boolean(js->duk, -1)) {
        duk_pop_2(js->duk);
        return;
    }

    duk_pop(js->duk);

    (void) mesh_agent_js_enter(js, mesh_agent_js_log_call, &enter, 1);
    duk_pop(js->duk);
}


static duk_ret_t
mesh_agent_js_report_call(duk_context *duk, void *data)
{
    mesh_agent_js_push_hook(duk, "uncaught");
    duk_insert(duk, -2);
    duk_call(duk, 1);

    return 1;
}


static duk_ret_t
mesh_agent_js_log_call(duk_context *duk, void *data)
{
    char        *p;
    char         line[2000];
    const char  *text;

    if (duk_is_error(duk, -1)) {
        duk_get_prop_string(duk, -1, "stack");
    }

    text = duk_safe_to_string(duk, -1);

    strncpy(line, text, sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';

    for (p = line; *p != '\0'; p++) {
        if ((unsigned char) *p < ' ') {
            *p = ' ';
        }
    }

    mesh_agent_log(MESH_AGENT_LOG_WARN, "script: %s", line);

    return 0;
}


static void
mesh_agent_js_push_hook(duk_context *duk, const char *name)
{
    duk_push_heap_stash(duk);
    duk_get_prop_string(duk, -1, MESH_AGENT_JS_NATIVE);
    duk_get_prop_string(duk, -1, "hooks");
    duk_get_prop_string(duk, -1, name);
    duk_replace(duk, -4);
    duk_pop_2(duk);
}


/* Values */

void
mesh_agent_js_push_object(duk_context *duk, const char *name,
    const duk_function_list_entry *methods)
{
    duk_push_object(duk);
    duk_push_heap_stash(duk);

    if (!duk_get_prop_string(duk, -1, name)) {
        duk_pop(duk);
        duk_push_object(duk);
        duk_put_function_list(duk, -1, methods);
        duk_dup(duk, -1);
        duk_put_prop_string(duk, -3, name);
    }

    duk_set_prototype(duk, -3);
    duk_pop(duk);
}


duk_ret_t
mesh_agent_js_throw(duk_context *duk, int rc, const char *what,
    const char *path)
{
    duk_push_error_object(duk, DUK_ERR_ERROR, "%s: %s, %s%s%s%s",
                          uv_err_name(rc), uv_strerror(rc), what,
                          path != NULL ? " '" : "", path != NULL ? path : "",
                          path != NULL ? "'" : "");
    duk_push_string(duk, uv_err_name(rc));
    duk_put_prop_string(duk, -2, "code");
    duk_push_int(duk, rc);
    duk_put_prop_string(duk, -2, "errno");

    return duk_throw(duk);
}


/* The heap's memory */

static void *
mesh_agent_js_heap_alloc(void *data, duk_size_t size)
{
    void             *p;
    mesh_agent_js_t  *js = data;

    if (size == 0) {
        return NULL;
    }

    if (js->depth > 0 && (js->used > js->max || size > js->max - js->used)) {
        return NULL;
    }

    p = malloc(size);
    if (p != NULL) {
        js->used += mesh_agent_os_alloc_size(p);
    }

    return p;
}


static void *
mesh_agent_js_heap_realloc(void *data, void *p, duk_size_t size)
{
    void             *new;
    size_t            old;
    mesh_agent_js_t  *js = data;

    if (p == NULL) {
        return mesh_agent_js_heap_alloc(data, size);
    }

    if (size == 0) {
        mesh_agent_js_heap_free(data, p);
        return NULL;
    }

    old = mesh_agent_os_alloc_size(p);

    if (js->depth > 0 && size > old
        && (js->used > js->max || size - old > js->max - js->used))
    {
        return NULL;
    }

    new = realloc(p, size);
    if (new != NULL) {
        js->used = js->used - old + mesh_agent_os_alloc_size(new);
    }

    return new;
}


static void
mesh_agent_js_heap_free(void *data, void *p)
{
    mesh_agent_js_t  *js = data;

    if (p != NULL) {
        js->used -= mesh_agent_os_alloc_size(p);
        free(p);
    }
}


/* nothing leads here as long as each call is a protected one */
static void
mesh_agent_js_heap_fatal(void *data, const char *msg)
{
    mesh_agent_log(MESH_AGENT_LOG_ERR, "script engine: %s",
                   msg != NULL ? msg : "fatal error");
    abort();
}
