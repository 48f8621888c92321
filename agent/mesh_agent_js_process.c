/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The agent's own process, and the programs that a script starts.
 *
 * A child is its own object, beside its pipes: it is open until the program
 * has been reaped.  When the script ends it is killed, and the struct lives on
 * without a script until then.
 */

#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mesh_agent_conf.h"
#include "mesh_agent_js.h"
#include "mesh_agent_js_pipe.h"
#include "mesh_agent_version.h"
#include "os/mesh_agent_os.h"


#define MESH_AGENT_JS_ARGS       4096     /* of argv, and of the environment */


typedef struct {
    mesh_agent_js_obj_t   obj;
    mesh_agent_os_exit_t  exit;
    int                   pid;
    int                   code;
    int                   sig;
    unsigned              reaped:1;
    unsigned              detached:1;
    unsigned              started:1;
} mesh_agent_js_child_t;

typedef struct {
    uv_env_item_t        *items;
    int                   n;
} mesh_agent_js_environ_t;


static duk_ret_t mesh_agent_js_spawn(duk_context *duk);
static char **mesh_agent_js_argv(duk_context *duk, duk_idx_t idx);
static char **mesh_agent_js_env(duk_context *duk, duk_idx_t idx);
static int mesh_agent_js_int(duk_context *duk, duk_idx_t idx,
    const char *name, int otherwise);
static duk_ret_t mesh_agent_js_child_kill(duk_context *duk);
static duk_ret_t mesh_agent_js_child_size(duk_context *duk);
static duk_ret_t mesh_agent_js_child_check(duk_context *duk);
static void mesh_agent_js_child_handler(void *data);
static void mesh_agent_js_child_reap(mesh_agent_js_child_t *child);
static void mesh_agent_js_child_close(mesh_agent_js_obj_t *obj);
static void mesh_agent_js_child_gone(mesh_agent_js_child_t *child);
static void mesh_agent_js_child_free(uv_handle_t *handle);
static duk_ret_t mesh_agent_js_wait(duk_context *duk);
static duk_ret_t mesh_agent_js_kill(duk_context *duk);
static duk_ret_t mesh_agent_js_chdir(duk_context *duk);
static duk_ret_t mesh_agent_js_cwd(duk_context *duk);
static duk_ret_t mesh_agent_js_getenv(duk_context *duk);
static duk_ret_t mesh_agent_js_getenv_call(duk_context *duk, void *data);
static duk_ret_t mesh_agent_js_setenv(duk_context *duk);
static duk_ret_t mesh_agent_js_exit(duk_context *duk);
static duk_ret_t mesh_agent_js_print(duk_context *duk);
static duk_ret_t mesh_agent_js_facts(duk_context *duk);


static const char  *mesh_agent_js_std[] = { "in", "out", "err" };

static const duk_function_list_entry  mesh_agent_js_child_methods[] = {
    { "kill", mesh_agent_js_child_kill, 1 },
    { "size", mesh_agent_js_child_size, 3 },
    { "check", mesh_agent_js_child_check, 0 },
    { NULL, NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_process_functions[] = {
    { "spawn", mesh_agent_js_spawn, 3 },
    { "wait", mesh_agent_js_wait, 2 },
    { "kill", mesh_agent_js_kill, 2 },
    { "chdir", mesh_agent_js_chdir, 1 },
    { "cwd", mesh_agent_js_cwd, 0 },
    { "getenv", mesh_agent_js_getenv, 0 },
    { "setenv", mesh_agent_js_setenv, 2 },
    { "exit", mesh_agent_js_exit, 1 },
    { "print", mesh_agent_js_print, 2 },
    { "facts", mesh_agent_js_facts, 0 },
    { NULL, NULL, 0 }
};


void
mesh_agent_js_init_process(duk_context *duk)
{
    duk_put_function_list(duk, -1, mesh_agent_js_process_functions);
}


/*
 * spawn(path, argv, {type, uid, env, rows, cols}) -> object with pid, in, out
 * and err, which are pipes or undefined; onexit(code, signal) is called.
 */
static duk_ret_t
mesh_agent_js_spawn(duk_context *duk)
{
    int                      rc, i, n, fd[3];
    mesh_agent_t            *a;
    mesh_agent_js_child_t   *child;
    mesh_agent_os_spawn_t    spawn;
    mesh_agent_os_child_t    fds;

    a = mesh_agent_js_agent(mesh_agent_js_of(duk));

    memset(&spawn, 0, sizeof(mesh_agent_os_spawn_t));

    spawn.path = mesh_agent_js_text(duk, 0);
    spawn.argv = mesh_agent_js_argv(duk, 1);

    duk_require_object(duk, 2);
    duk_get_prop_string(duk, 2, "env");
    spawn.env = mesh_agent_js_env(duk, duk_get_top_index(duk));
    spawn.type = mesh_agent_js_int(duk, 2, "type", MESH_AGENT_OS_DEFAULT);
    spawn.uid = mesh_agent_js_int(duk, 2, "uid", -1);
    spawn.rows = mesh_agent_js_int(duk, 2, "rows", 0);
    spawn.cols = mesh_agent_js_int(duk, 2, "cols", 0);

    mesh_agent_js_push_object(duk, "child", mesh_agent_js_child_methods);

    /* all that can throw comes before there is a process */

    duk_push_int(duk, 0);
    duk_put_prop_string(duk, -2, "pid");

    n = mesh_agent_os_streams(spawn.type);

    for (i = 0; i < n; i++) {
        mesh_agent_js_push_pipe(duk);
        duk_dup(duk, -1);
        duk_put_prop_string(duk, -3, mesh_agent_js_std[i]);
        duk_insert(duk, -2);
    }

    child = mesh_agent_alloc(sizeof(mesh_agent_js_child_t));
    mesh_agent_js_open(duk, -1, &child->obj, mesh_agent_js_child_close);

    child->exit.fn = mesh_agent_js_child_handler;
    child->exit.data = child;

    rc = mesh_agent_os_exit_init(a->loop, &child->exit);
    if (rc == 0) {
        rc = mesh_agent_os_spawn(&spawn, &fds, &child->exit);
    }

    if (rc != 0) {
        for (i = 0; i < n; i++) {
            (void) mesh_agent_js_pipe_open(duk, i - n - 1, -1);
        }

        mesh_agent_js_child_close(&child->obj);
        return mesh_agent_js_throw(duk, rc, "spawn", spawn.path);
    }

    child->pid = fds.pid;
    child->started = 1;
    child->detached = spawn.type == MESH_AGENT_OS_DETACHED;
    child->obj.session = !child->detached;

    duk_push_int(duk, fds.pid);
    duk_put_prop_string(duk, -2, "pid");

    fd[0] = fds.in;
    fd[1] = fds.out;
    fd[2] = fds.err;

    for (i = 0; i < n; i++) {
        (void) mesh_agent_js_pipe_open(duk, i - n - 1, fd[i]);
    }

    return 1;
}


/* pointers into strings that stay on the stack */
static char **
mesh_agent_js_argv(duk_context *duk, duk_idx_t idx)
{
    char        **argv;
    duk_size_t    i, n;

    duk_require_object(duk, idx);
    n = duk_get_length(duk, idx);

    if (n > MESH_AGENT_JS_ARGS) {
        (void) duk_error(duk, DUK_ERR_RANGE_ERROR, "too many arguments");
    }

    argv = duk_push_fixed_buffer(duk, (n + 1) * sizeof(char *));
    duk_require_stack(duk, (duk_idx_t) n + 8);

    for (i = 0; i < n; i++) {
        duk_get_prop_index(duk, idx, (duk_uarridx_t) i);
        (void) duk_to_string(duk, -1);
        argv[i] = (char *) mesh_agent_js_text(duk, -1);
    }

    return argv;
}


static char **
mesh_agent_js_env(duk_context *duk, duk_idx_t idx)
{
    char        **env;
    duk_size_t    n;

    if (!duk_is_object(duk, idx)) {
        return NULL;
    }

    env = duk_push_fixed_buffer(duk,
                                (MESH_AGENT_JS_ARGS + 1) * sizeof(char *));
    duk_require_stack(duk, MESH_AGENT_JS_ARGS + 8);
    duk_enum(duk, idx, DUK_ENUM_OWN_PROPERTIES_ONLY);

    for (n = 0; duk_next(duk, -1, 1); n++) {

        if (n == MESH_AGENT_JS_ARGS) {
            (void) duk_error(duk, DUK_ERR_RANGE_ERROR, "large environment");
        }

        /* enum, key, value -> text, enum */
        (void) duk_to_string(duk, -2);
        (void) duk_to_string(duk, -1);
        duk_push_string(duk, "=");
        duk_insert(duk, -2);
        duk_concat(duk, 3);
        env[n] = (char *) mesh_agent_js_text(duk, -1);
        duk_swap_top(duk, -2);
    }

    return env;
}


static int
mesh_agent_js_int(duk_context *duk, duk_idx_t idx, const char *name,
    int otherwise)
{
    int  value;

    duk_get_prop_string(duk, idx, name);
    value = duk_is_number(duk, -1) ? duk_get_int(duk, -1) : otherwise;
    duk_pop(duk);

    return value;
}


/* kill(signal) -> boolean */
static duk_ret_t
mesh_agent_js_child_kill(duk_context *duk)
{
    mesh_agent_js_child_t  *child;

    duk_push_this(duk);
    child = mesh_agent_js_obj(duk, -1, mesh_agent_js_child_close);

    /* a number that has been reaped may be another process by now */
    duk_push_boolean(duk, child != NULL && child->started && !child->reaped
                     && mesh_agent_os_kill(child->pid,
                                           duk_get_int_default(duk, 0, SIGKILL))
                        == 0);

    return 1;
}


/* size(fd, rows, cols) -> boolean; fd is that of the child's terminal */
static duk_ret_t
mesh_agent_js_child_size(duk_context *duk)
{
    int                     rows, cols;
    mesh_agent_js_child_t  *child;

    duk_push_this(duk);
    child = mesh_agent_js_obj(duk, -1, mesh_agent_js_child_close);
    rows = duk_require_int(duk, 1);
    cols = duk_require_int(duk, 2);

    duk_push_boolean(duk, rows > 0 && rows < 65536 && cols > 0 && cols < 65536
                     && child != NULL && child->started && !child->reaped
                     && mesh_agent_os_tty_size(child->pid,
                                               duk_require_int(duk, 0), rows,
                                               cols) == 0);

    return 1;
}


/* check() -> boolean: it has ended, and onexit() was called */
static duk_ret_t
mesh_agent_js_child_check(duk_context *duk)
{
    mesh_agent_js_child_t  *child;

    duk_push_this(duk);
    child = mesh_agent_js_obj(duk, -1, mesh_agent_js_child_close);

    if (child != NULL && child->started && !child->reaped) {
        mesh_agent_js_child_reap(child);
    }

    duk_push_boolean(duk, child == NULL || child->reaped);

    return 1;
}


static void
mesh_agent_js_child_handler(void *data)
{
    mesh_agent_js_child_t  *child = data;

    if (child->started && !child->reaped) {
        mesh_agent_js_child_reap(child);
    }
}


static void
mesh_agent_js_child_reap(mesh_agent_js_child_t *child)
{
    duk_context  *duk;

    if (mesh_agent_os_reap(child->pid, &child->code, &child->sig)
        == MESH_AGAIN)
    {
        return;
    }

    child->reaped = 1;

    if (child->obj.js == NULL) {
        uv_close(&child->exit.handle.any, mesh_agent_js_child_free);
        return;
    }

    duk = mesh_agent_js_duk(child->obj.js);

    if (child->sig != 0) {
        duk_push_null(duk);
        duk_push_int(duk, child->sig);

    } else {
        duk_push_int(duk, child->code);
        duk_push_null(duk);
    }

    (void) mesh_agent_js_call(&child->obj, "onexit", 2);

    mesh_agent_js_child_gone(child);
}


static void
mesh_agent_js_child_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_child_t  *child = (mesh_agent_js_child_t *) obj;

    if (!child->started) {
        child->reaped = 1;
    }

    if (!child->reaped && !child->detached) {
        (void) mesh_agent_os_kill(child->pid, SIGKILL);
    }

    mesh_agent_js_child_gone(child);
}


/* the script is done with it; the system may not be */
static void
mesh_agent_js_child_gone(mesh_agent_js_child_t *child)
{
    int  quitting;

    quitting = 0;

    if (child->obj.js != NULL) {
        quitting = mesh_agent_js_agent(child->obj.js)->quitting;
        mesh_agent_js_gone(&child->obj);
    }

    /* of an agent that ends the system takes over the children */
    if (child->reaped || quitting) {
        if (!uv_is_closing(&child->exit.handle.any)) {
            uv_close(&child->exit.handle.any, mesh_agent_js_child_free);
        }
        return;
    }

    if (child->detached) {
        uv_unref(&child->exit.handle.any);
    }
}


static void
mesh_agent_js_child_free(uv_handle_t *handle)
{
    mesh_agent_os_exit_t  *e = handle->data;

    free(e->data);
}


/* wait([fd, ...], ms): until one of them has something to read */
static duk_ret_t
mesh_agent_js_wait(duk_context *duk)
{
    int         i, n, fds[8];
    duk_size_t  len;

    len = duk_get_length(duk, 0);
    n = len < 8 ? (int) len : 8;

    for (i = 0; i < n; i++) {
        duk_get_prop_index(duk, 0, (duk_uarridx_t) i);
        fds[i] = duk_get_int_default(duk, -1, -1);
        duk_pop(duk);
    }

    mesh_agent_os_wait(fds, n, duk_get_int_default(duk, 1, 0));

    return 0;
}


/* kill(pid, signal); throws */
static duk_ret_t
mesh_agent_js_kill(duk_context *duk)
{
    int  rc;

    rc = mesh_agent_os_kill(duk_require_int(duk, 0), duk_require_int(duk, 1));

    return rc == 0 ? 0 : mesh_agent_js_throw(duk, rc, "kill", NULL);
}


/* chdir(path) */
static duk_ret_t
mesh_agent_js_chdir(duk_context *duk)
{
    int          rc;
    const char  *path;

    path = mesh_agent_js_text(duk, 0);
    rc = uv_chdir(path);

    return rc == 0 ? 0 : mesh_agent_js_throw(duk, rc, "chdir", path);
}


/* cwd() -> path */
static duk_ret_t
mesh_agent_js_cwd(duk_context *duk)
{
    int     rc;
    char    path[4096];
    size_t  len;

    len = sizeof(path);
    rc = uv_cwd(path, &len);

    if (rc != 0) {
        return mesh_agent_js_throw(duk, rc, "cwd", NULL);
    }

    mesh_agent_js_push_text(duk, path, len);

    return 1;
}


/* getenv() -> object */
static duk_ret_t
mesh_agent_js_getenv(duk_context *duk)
{
    duk_int_t                 rc;
    mesh_agent_js_environ_t   env;

    if (uv_os_environ(&env.items, &env.n) != 0) {
        duk_push_object(duk);
        return 1;
    }

    /* a throw must not lose the list */
    rc = duk_safe_call(duk, mesh_agent_js_getenv_call, &env, 0, 1);

    uv_os_free_environ(env.items, env.n);

    return rc == DUK_EXEC_SUCCESS ? 1 : duk_throw(duk);
}


static duk_ret_t
mesh_agent_js_getenv_call(duk_context *duk, void *data)
{
    int                       i;
    uv_env_item_t            *item;
    mesh_agent_js_environ_t  *env = data;

    duk_push_object(duk);

    for (i = 0; i < env->n; i++) {
        item = &env->items[i];
        mesh_agent_js_push_text(duk, item->name, strlen(item->name));
        mesh_agent_js_push_text(duk, item->value, strlen(item->value));
        duk_put_prop(duk, -3);
    }

    return 1;
}


/* setenv(name, value); undefined takes it away */
static duk_ret_t
mesh_agent_js_setenv(duk_context *duk)
{
    int          rc;
    const char  *name;

    name = mesh_agent_js_text(duk, 0);

    rc = duk_is_null_or_undefined(duk, 1)
         ? uv_os_unsetenv(name)
         : uv_os_setenv(name, mesh_agent_js_text(duk, 1));

    return rc == 0 ? 0 : mesh_agent_js_throw(duk, rc, "setenv", name);
}


/* exit(code): does not return */
static duk_ret_t
mesh_agent_js_exit(duk_context *duk)
{
    int  code;

    code = duk_get_int_default(duk, 0, 0);
    mesh_agent_log(MESH_AGENT_LOG_NOTICE, "script ends the agent with %d",
                   code);
    exit(code);
}


/* print(fd, text) */
static duk_ret_t
mesh_agent_js_print(duk_context *duk)
{
    int             fd;
    long            n;
    size_t          len;
    const uint8_t  *data;

    fd = duk_require_int(duk, 0) == 2 ? 2 : 1;
    data = mesh_agent_js_bytes(duk, 1, &len);

    while (len > 0) {
        n = (long) write(fd, data, len);
        if (n <= 0) {
            break;
        }
        data += n;
        len -= (size_t) n;
    }

    return 0;
}


/* facts() -> {pid, platform, arch, execPath, openssl, uv, version, date} */
static duk_ret_t
mesh_agent_js_facts(duk_context *duk)
{
    char                      path[4096];
    size_t                    len;
    const mesh_agent_conf_t  *conf;

    conf = mesh_agent_js_agent(mesh_agent_js_of(duk))->conf;

    duk_push_object(duk);

    duk_push_int(duk, (duk_int_t) uv_os_getpid());
    duk_put_prop_string(duk, -2, "pid");
    duk_push_string(duk, mesh_agent_os_platform());
    duk_put_prop_string(duk, -2, "platform");
    duk_push_string(duk, mesh_agent_os_arch());
    duk_put_prop_string(duk, -2, "arch");
    duk_push_string(duk, OpenSSL_version(OPENSSL_VERSION_STRING));
    duk_put_prop_string(duk, -2, "openssl");
    duk_push_string(duk, uv_version_string());
    duk_put_prop_string(duk, -2, "uv");
    duk_push_string(duk, MESH_AGENT_VERSION_TEXT);
    duk_put_prop_string(duk, -2, "version");
    duk_push_string(duk, MESH_AGENT_VERSION_DATE);
    duk_put_prop_string(duk, -2, "date");

    len = sizeof(path);

    if (conf->exe != NULL) {
        mesh_agent_js_push_text(duk, conf->exe, strlen(conf->exe));
    } else if (uv_exepath(path, &len) == 0) {
        mesh_agent_js_push_text(duk, path, len);
    } else {
        duk_push_string(duk, "");
    }

    duk_put_prop_string(duk, -2, "execPath");

    return 1;
}
