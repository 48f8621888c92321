/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A script and what it may use: one Duktape heap, bounded in memory and in the
 * time of one call.  agent.md 7 is what the script sees.
 *
 * Every entry from C is a protected call under the clock.  What a script has
 * open (timers, files, programs, sockets) hangs in its list of objects; each
 * is kept from the collector until it is closed.
 */

#ifndef MESH_AGENT_JS_H_INCLUDED
#define MESH_AGENT_JS_H_INCLUDED


#include "duktape.h"
#include "mesh_agent.h"


#define MESH_AGENT_JS_MEMORY   (64 * 1024 * 1024)    /* bytes of one heap */
#define MESH_AGENT_JS_SECONDS  10                    /* of one call */


typedef struct mesh_agent_js_obj_s  mesh_agent_js_obj_t;

typedef void (*mesh_agent_js_close_pt)(mesh_agent_js_obj_t *obj);

/* the first member of what a binding allocates for an object */
struct mesh_agent_js_obj_s {
    mesh_agent_js_t         *js;          /* NULL after gone() */
    mesh_agent_js_obj_t     *next;        /* in js */
    mesh_agent_js_obj_t    **prev;
    void                    *object;      /* duk_get_heapptr() of it */
    mesh_agent_js_close_pt   close;
    unsigned                 session:1;   /* holds a retired script alive */
    unsigned                 door:1;      /* closes when its script retires */
};


/* odd while a script runs; read by another thread */
extern unsigned  mesh_agent_js_calls;


/*
 * Life of a script.
 *
 * create() makes the heap with all modules; NULL: no memory.  run() compiles
 * and runs a program; MESH_ERROR when it threw, which is logged.  retire()
 * takes commands and events from it; it lives until no object with session set
 * is open, then it is freed and mesh_agent_core_gone() is called, not from
 * within retire().  free() closes all at once; its memory goes when the
 * handles have been closed.
 */
mesh_agent_js_t *mesh_agent_js_create(mesh_agent_t *a);
int mesh_agent_js_run(mesh_agent_js_t *js, const char *name,
    const uint8_t *source, size_t len);
void mesh_agent_js_retire(mesh_agent_js_t *js);
void mesh_agent_js_free(mesh_agent_js_t *js);

/* collects its garbage now */
void mesh_agent_js_collect(mesh_agent_js_t *js);

/* the control channel was opened (1) or lost (0): "Connected" */
void mesh_agent_js_connected(mesh_agent_js_t *js, int connected);
/* JSON text or a binary command >= 1000: "Command"; data is borrowed */
void mesh_agent_js_command(mesh_agent_js_t *js, const uint8_t *data,
    size_t len, int json);


/* For bindings. */

mesh_agent_t *mesh_agent_js_agent(mesh_agent_js_t *js);
duk_context *mesh_agent_js_duk(mesh_agent_js_t *js);
mesh_agent_js_t *mesh_agent_js_of(duk_context *duk);

/*
 * The object at idx has obj behind it from now on: it is kept, and close() is
 * called when the script ends.  close() must lead to gone(), at once or when
 * libuv has closed the handles.  Where there is no memory it frees obj, of
 * mesh_agent_alloc(), and throws: call it before obj has anything to undo.
 */
void mesh_agent_js_open(duk_context *duk, duk_idx_t idx,
    mesh_agent_js_obj_t *obj, mesh_agent_js_close_pt close);
/* the obj behind the value at idx (a method's "this"), or NULL after gone() */
void *mesh_agent_js_obj(duk_context *duk, duk_idx_t idx,
    mesh_agent_js_close_pt close);
/* unlinks it; the object may be collected; the caller frees obj afterwards */
void mesh_agent_js_gone(mesh_agent_js_obj_t *obj);

/*
 * From the loop: calls the object's method with the nargs values on top of
 * the stack, which are removed.  1 if it returned something true, 0 if not,
 * or if it threw (which is reported as agent.md 7.0, 5).  obj may be gone
 * afterwards: js is still good until the next turn of the loop.
 */
int mesh_agent_js_call(mesh_agent_js_obj_t *obj, const char *method,
    duk_idx_t nargs);

/*
 * Pushes made from the loop, outside of any call of a script, do not count
 * against the heap's bound, so they do not throw; what the call then does is
 * counted.  Pushes from within a function that the script has called may.
 */

/* pushes a Buffer with a copy of the bytes */
void mesh_agent_js_push_buffer(duk_context *duk, const void *data, size_t len);
/* pushes text; what is no UTF-8 becomes U+FFFD, never a broken string */
void mesh_agent_js_push_text(duk_context *duk, const void *data, size_t len);
/*
 * Bytes of a string (UTF-8) or of a Buffer; throws on anything else.  Good as
 * long as the value at idx, which a converted string replaces.
 */
const uint8_t *mesh_agent_js_bytes(duk_context *duk, duk_idx_t idx,
    size_t *len);
/* the same of a string, and with NUL; throws where it has one inside */
const char *mesh_agent_js_text(duk_context *duk, duk_idx_t idx);
/* throws an Error with libuv's words and code; path may be NULL */
duk_ret_t mesh_agent_js_throw(duk_context *duk, int rc, const char *what,
    const char *path);
/*
 * Pushes a new object of a class: name is unique to it, and its methods are
 * shared by all objects of the class.
 */
void mesh_agent_js_push_object(duk_context *duk, const char *name,
    const duk_function_list_entry *methods);
/* from a script: is the new one in its place? */
int mesh_agent_js_is_retired(const mesh_agent_js_t *js);
/* other bounds than those above: of tests */
void mesh_agent_js_limit(mesh_agent_js_t *js, size_t bytes, unsigned ms);

/*
 * The native half of modules: each puts functions into the object at the top
 * of the stack, which the scripts of js/host see as `native`.
 */
void mesh_agent_js_init_buffer(duk_context *duk);
void mesh_agent_js_init_fs(duk_context *duk);
void mesh_agent_js_init_os(duk_context *duk);
void mesh_agent_js_init_process(duk_context *duk);
void mesh_agent_js_init_timer(duk_context *duk);
void mesh_agent_js_init_hash(duk_context *duk);
void mesh_agent_js_init_agent(duk_context *duk);
void mesh_agent_js_init_desktop(duk_context *duk);
void mesh_agent_js_init_net(duk_context *duk);
void mesh_agent_js_init_listen(duk_context *duk);


/* the scripts of js/host, which the build puts into the program */
typedef struct {
    const char     *name;                 /* without .js; NULL at the end */
    const uint8_t  *data;
    size_t          len;
} mesh_agent_js_script_t;

extern const mesh_agent_js_script_t  mesh_agent_js_scripts[];


#endif /* MESH_AGENT_JS_H_INCLUDED */
