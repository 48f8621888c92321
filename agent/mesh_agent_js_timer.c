/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Timers: the host's scripts make setTimeout() and its like of them. */

#include <stdlib.h>
#include "mesh_agent_js.h"


typedef struct {
    mesh_agent_js_obj_t   obj;
    uv_timer_t            timer;
} mesh_agent_js_timer_t;


static duk_ret_t mesh_agent_js_timer_create(duk_context *duk);
static duk_ret_t mesh_agent_js_timer_stop(duk_context *duk);
static void mesh_agent_js_timer_handler(uv_timer_t *handle);
static void mesh_agent_js_timer_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_timer_close_handler(uv_handle_t *handle);


static const duk_function_list_entry  mesh_agent_js_timer_methods[] = {
    { "stop", mesh_agent_js_timer_stop, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_timer(duk_context *duk)
{
    duk_push_c_function(duk, mesh_agent_js_timer_create, 2);
    duk_put_prop_string(duk, -2, "timer");
}


/* timer(ms, repeat) -> object whose fire() is called */
static duk_ret_t
mesh_agent_js_timer_create(duk_context *duk)
{
    int                     repeat;
    uint64_t                ms;
    duk_double_t            n;
    mesh_agent_t           *a;
    mesh_agent_js_timer_t  *t;

    n = duk_get_number_default(duk, 0, 0);
    repeat = duk_to_boolean(duk, 1);

    /* NaN is not above 0 */
    ms = n > 0 ? (n < 2147483647.0 ? (uint64_t) n : 2147483647) : 0;

    /* an interval of 0 would never let the loop wait */
    if (repeat && ms == 0) {
        ms = 1;
    }

    a = mesh_agent_js_agent(mesh_agent_js_of(duk));

    mesh_agent_js_push_object(duk, "timer", mesh_agent_js_timer_methods);

    t = mesh_agent_alloc(sizeof(mesh_agent_js_timer_t));
    mesh_agent_js_open(duk, -1, &t->obj, mesh_agent_js_timer_close);

    t->timer.data = t;
    uv_timer_init(a->loop, &t->timer);

    /* the script may have run for a while */
    uv_update_time(a->loop);
    uv_timer_start(&t->timer, mesh_agent_js_timer_handler, ms,
                   repeat ? ms : 0);

    return 1;
}


/* stop() */
static duk_ret_t
mesh_agent_js_timer_stop(duk_context *duk)
{
    mesh_agent_js_timer_t  *t;

    duk_push_this(duk);
    t = mesh_agent_js_obj(duk, -1, mesh_agent_js_timer_close);

    if (t != NULL) {
        mesh_agent_js_timer_close(&t->obj);
    }

    return 0;
}


static void
mesh_agent_js_timer_handler(uv_timer_t *handle)
{
    mesh_agent_js_timer_t  *t = handle->data;

    (void) mesh_agent_js_call(&t->obj, "fire", 0);

    if (uv_timer_get_repeat(handle) == 0) {
        mesh_agent_js_timer_close(&t->obj);
    }
}


static void
mesh_agent_js_timer_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_timer_t  *t = (mesh_agent_js_timer_t *) obj;

    if (!uv_is_closing((uv_handle_t *) &t->timer)) {
        uv_close((uv_handle_t *) &t->timer,
                 mesh_agent_js_timer_close_handler);
    }
}


static void
mesh_agent_js_timer_close_handler(uv_handle_t *handle)
{
    mesh_agent_js_timer_t  *t = handle->data;

    mesh_agent_js_gone(&t->obj);
    free(t);
}
