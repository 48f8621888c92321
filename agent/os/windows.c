/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Windows: programs that scripts start, and power.
 *
 * A child with a terminal has two pipes to its pseudo console, which writes
 * the last of the screen only while it is closed.  That waits for whoever
 * reads, so a thread of the system does it, and the child counts as ended
 * when that is done.  The other children live in a job, which is what kill()
 * ends: a program takes along what it has started.
 */

#include "mesh_agent_windows.h"

#include <fcntl.h>
#include <io.h>
#include <malloc.h>
#include <powrprof.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh_agent_os.h"


#define MESH_AGENT_OS_PIPE   65536
#define MESH_AGENT_OS_LINE   32767        /* characters of a command line */
#define MESH_AGENT_OS_STEP   10           /* ms, of a wait */


typedef struct mesh_agent_os_process_s {
    struct mesh_agent_os_process_s  *next;
    int                              pid;
    HANDLE                           process;
    HANDLE                           job;       /* NULL: detached */
    HANDLE                           wait;      /* of the system's thread */
    HPCON                            console;   /* NULL: none */
    uv_async_t                      *async;
    volatile LONG                    ended;
} mesh_agent_os_process_t;

/* of a child: what it gets, and what it leaves us */
typedef struct {
    HANDLE                           std[3];
    HANDLE                           ours[3];
    HPCON                            console;
    LPPROC_THREAD_ATTRIBUTE_LIST     list;
} mesh_agent_os_start_t;


static int mesh_agent_os_pipe(HANDLE *ours, HANDLE *theirs, int input);
static int mesh_agent_os_console(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_start_t *s);
static int mesh_agent_os_attributes(mesh_agent_os_start_t *s, int tty);
static int mesh_agent_os_create(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_start_t *s, mesh_agent_os_process_t *p);
static void mesh_agent_os_wine(wchar_t **path, wchar_t **line);
static int mesh_agent_os_descriptors(mesh_agent_os_start_t *s, int tty,
    mesh_agent_os_child_t *child);
static wchar_t *mesh_agent_os_line(char **argv);
static size_t mesh_agent_os_quote(wchar_t *to, const wchar_t *arg);
static wchar_t *mesh_agent_os_block(char **env);
static int mesh_agent_os_compare(const void *a, const void *b);
static void CALLBACK mesh_agent_os_ended(void *data, BOOLEAN fired);
static mesh_agent_os_process_t *mesh_agent_os_process(int pid);
static void mesh_agent_os_forget(mesh_agent_os_process_t *p);
static void mesh_agent_os_exit_handler(uv_async_t *async);
static int mesh_agent_os_privilege(const wchar_t *name);


static mesh_agent_os_process_t  *mesh_agent_os_processes;


size_t
mesh_agent_os_alloc_size(void *p)
{
    return p ? _msize(p) : 0;
}


const char *
mesh_agent_os_platform(void)
{
    return "win32";
}


const char *
mesh_agent_os_arch(void)
{
#if defined(_M_ARM64)
    return "arm64";
#else
    return "x64";
#endif
}


int
mesh_agent_os_arch_id(void)
{
#if defined(_M_ARM64)
    return 43;
#else
    return 4;
#endif
}


int
mesh_agent_os_streams(int type)
{
    return type == MESH_AGENT_OS_TERM ? 2 : 3;
}


int
mesh_agent_os_exit_init(uv_loop_t *loop, mesh_agent_os_exit_t *e)
{
    e->handle.any.data = e;

    return uv_async_init(loop, &e->handle.async, mesh_agent_os_exit_handler);
}


static void
mesh_agent_os_exit_handler(uv_async_t *async)
{
    mesh_agent_os_exit_t  *e = async->data;

    e->fn(e->data);
}


int
mesh_agent_os_spawn(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_child_t *child, mesh_agent_os_exit_t *e)
{
    int                       rc, i, tty;
    mesh_agent_os_start_t     s;
    mesh_agent_os_process_t  *p;

    memset(&s, 0, sizeof(mesh_agent_os_start_t));
    child->in = child->out = child->err = -1;
    tty = spawn->type == MESH_AGENT_OS_TERM;

    if (spawn->uid >= 0) {
        return UV_ENOTSUP;
    }

    p = mesh_agent_alloc(sizeof(mesh_agent_os_process_t));
    rc = 0;

    for (i = 0; rc == 0 && i < (tty ? 2 : 3); i++) {
        rc = mesh_agent_os_pipe(&s.ours[i], &s.std[i], i == 0);
    }

    if (rc == 0 && tty) {
        rc = mesh_agent_os_console(spawn, &s);
    }

    if (rc == 0) {
        rc = mesh_agent_os_attributes(&s, tty);
    }

    if (rc == 0) {
        rc = mesh_agent_os_create(spawn, &s, p);
    }

    if (rc == 0) {
        rc = mesh_agent_os_descriptors(&s, tty, child);
    }

    if (s.list) {
        DeleteProcThreadAttributeList(s.list);
        free(s.list);
    }

    for (i = 0; i < 3; i++) {
        if (s.std[i]) {
            (void) CloseHandle(s.std[i]);
        }

        if (s.ours[i]) {
            (void) CloseHandle(s.ours[i]);
        }
    }

    p->console = s.console;

    if (rc != 0) {
        if (p->process) {
            (void) TerminateProcess(p->process, 1);
        }

        if (p->console) {
            ClosePseudoConsole(p->console);
        }

        mesh_agent_os_forget(p);
        return rc;
    }

    p->async = &e->handle.async;
    p->next = mesh_agent_os_processes;
    mesh_agent_os_processes = p;
    child->pid = p->pid;

    if (!RegisterWaitForSingleObject(&p->wait, p->process, mesh_agent_os_ended,
                                     p, INFINITE,
                                     WT_EXECUTEONLYONCE
                                     |WT_EXECUTELONGFUNCTION))
    {
        /* nobody would learn of its end */
        p->wait = NULL;
        (void) TerminateProcess(p->process, 1);
        mesh_agent_os_ended(p, FALSE);
    }

    return 0;
}


/* input: the child reads from it; our end is for libuv */
static int
mesh_agent_os_pipe(HANDLE *ours, HANDLE *theirs, int input)
{
    HANDLE               a, b;
    wchar_t              name[80];
    SECURITY_ATTRIBUTES  sa;

    static unsigned      serial;

    /* with our number, and the first of its name: nobody else has it */
    (void) swprintf(name, sizeof(name) / sizeof(name[0]),
                    L"\\\\.\\pipe\\mesh-agent-%lu-%u",
                    (unsigned long) GetCurrentProcessId(), ++serial);

    a = CreateNamedPipeW(name, (input ? PIPE_ACCESS_OUTBOUND
                                      : PIPE_ACCESS_INBOUND)
                         |FILE_FLAG_OVERLAPPED|FILE_FLAG_FIRST_PIPE_INSTANCE,
                         PIPE_TYPE_BYTE|PIPE_REJECT_REMOTE_CLIENTS, 1,
                         MESH_AGENT_OS_PIPE, MESH_AGENT_OS_PIPE, 0, NULL);

    if (a == INVALID_HANDLE_VALUE) {
        return mesh_agent_os_error();
    }

    memset(&sa, 0, sizeof(SECURITY_ATTRIBUTES));
    sa.nLength = sizeof(SECURITY_ATTRIBUTES);
    sa.bInheritHandle = TRUE;

    b = CreateFileW(name, input ? GENERIC_READ : GENERIC_WRITE, 0, &sa,
                    OPEN_EXISTING, 0, NULL);

    if (b == INVALID_HANDLE_VALUE) {
        (void) CloseHandle(a);
        return mesh_agent_os_error();
    }

    *ours = a;
    *theirs = b;

    return 0;
}


static int
mesh_agent_os_console(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_start_t *s)
{
    COORD    size;
    HRESULT  rc;

    size.X = (SHORT) (spawn->cols > 0 ? spawn->cols : 80);
    size.Y = (SHORT) (spawn->rows > 0 ? spawn->rows : 25);

    rc = CreatePseudoConsole(size, s->std[0], s->std[1], 0, &s->console);

    if (FAILED(rc)) {
        s->console = NULL;
        return UV_ENOTSUP;
    }

    return 0;
}


/* a child gets the console, or these three handles and no other */
static int
mesh_agent_os_attributes(mesh_agent_os_start_t *s, int tty)
{
    BOOL    done;
    SIZE_T  size;

    size = 0;
    (void) InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    s->list = mesh_agent_alloc(size);

    if (!InitializeProcThreadAttributeList(s->list, 1, 0, &size)) {
        free(s->list);
        s->list = NULL;
        return mesh_agent_os_error();
    }

    done = tty ? UpdateProcThreadAttribute(s->list, 0,
                     PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, s->console,
                     sizeof(HPCON), NULL, NULL)
               : UpdateProcThreadAttribute(s->list, 0,
                     PROC_THREAD_ATTRIBUTE_HANDLE_LIST, s->std,
                     sizeof(s->std), NULL, NULL);

    return done ? 0 : mesh_agent_os_error();
}


static int
mesh_agent_os_create(const mesh_agent_os_spawn_t *spawn,
    mesh_agent_os_start_t *s, mesh_agent_os_process_t *p)
{
    int                                   i, rc, tty, detached;
    BOOL                                  done;
    DWORD                                 flags;
    HANDLE                                std[3];
    wchar_t                              *path, *line, *env;
    STARTUPINFOEXW                        si;
    PROCESS_INFORMATION                   pi;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION  limit;

    static const DWORD  names[] = {
        STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE
    };

    tty = spawn->type == MESH_AGENT_OS_TERM;
    detached = spawn->type == MESH_AGENT_OS_DETACHED;

    path = mesh_agent_os_wide(spawn->path);
    line = mesh_agent_os_line(spawn->argv);

    if (tty && line) {
        mesh_agent_os_wine(&path, &line);
    }

    env = mesh_agent_os_block(spawn->env);

    if (path == NULL || line == NULL) {
        free(path);
        free(line);
        free(env);
        return UV_EINVAL;
    }

    memset(&si, 0, sizeof(STARTUPINFOEXW));
    si.StartupInfo.cb = sizeof(STARTUPINFOEXW);
    si.lpAttributeList = s->list;

    if (!tty) {
        si.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        si.StartupInfo.hStdInput = s->std[0];
        si.StartupInfo.hStdOutput = s->std[1];
        si.StartupInfo.hStdError = s->std[2];
    }

    flags = CREATE_SUSPENDED|CREATE_UNICODE_ENVIRONMENT
            |EXTENDED_STARTUPINFO_PRESENT;

    if (detached) {
        flags |= DETACHED_PROCESS|CREATE_NEW_PROCESS_GROUP;

    } else if (!tty) {
        flags |= CREATE_NO_WINDOW;
    }

    /* else a child would get these for those of its console */
    for (i = 0; tty && i < 3; i++) {
        std[i] = GetStdHandle(names[i]);
        (void) SetStdHandle(names[i], NULL);
    }

    done = CreateProcessW(path, line, NULL, NULL, !tty, flags, env, NULL,
                          &si.StartupInfo, &pi);
    rc = done ? 0 : mesh_agent_os_error();

    for (i = 0; tty && i < 3; i++) {
        (void) SetStdHandle(names[i], std[i]);
    }

    free(path);
    free(line);
    free(env);

    if (!done) {
        return rc;
    }

    p->pid = (int) pi.dwProcessId;
    p->process = pi.hProcess;

    if (!detached) {
        p->job = CreateJobObjectW(NULL, NULL);
        memset(&limit, 0, sizeof(limit));
        limit.BasicLimitInformation.LimitFlags =
            JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;

        /* what a program leaves behind may live on when it ends by itself */
        if (p->job
            && (!SetInformationJobObject(p->job,
                    JobObjectExtendedLimitInformation, &limit, sizeof(limit))
                || !AssignProcessToJobObject(p->job, p->process)))
        {
            (void) CloseHandle(p->job);
            p->job = NULL;
        }
    }

    (void) ResumeThread(pi.hThread);
    (void) CloseHandle(pi.hThread);

    return 0;
}


/*
 * Wine gives a program in a pseudo console no standard handles; a shell there
 * can open them by name.
 */
static void
mesh_agent_os_wine(wchar_t **path, wchar_t **line)
{
    size_t    len;
    HMODULE   ntdll;
    wchar_t  *shell, *whole;

    ntdll = GetModuleHandleW(L"ntdll.dll");

    if (ntdll == NULL || GetProcAddress(ntdll, "wine_get_version") == NULL) {
        return;
    }

    shell = mesh_agent_os_wide("C:\\windows\\system32\\cmd.exe");
    len = wcslen(*line) + 64;
    whole = mesh_agent_alloc(len * sizeof(wchar_t));

    (void) swprintf(whole, len, L"cmd.exe /d /s /c \"%ls <CONIN$ >CONOUT$ "
                    L"2>CONOUT$\"", *line);
    free(*path);
    free(*line);
    *path = shell;
    *line = whole;
}


static int
mesh_agent_os_descriptors(mesh_agent_os_start_t *s, int tty,
    mesh_agent_os_child_t *child)
{
    int  i, *fd[3];

    fd[0] = &child->in;
    fd[1] = &child->out;
    fd[2] = &child->err;

    for (i = 0; i < (tty ? 2 : 3); i++) {
        *fd[i] = _open_osfhandle((intptr_t) s->ours[i],
                                 i == 0 ? _O_WRONLY : _O_RDONLY);

        if (*fd[i] != -1) {
            s->ours[i] = NULL;
        }
    }

    if (child->in != -1 && child->out != -1 && (tty || child->err != -1)) {
        return 0;
    }

    for (i = 0; i < 3; i++) {
        if (*fd[i] != -1) {
            (void) _close(*fd[i]);
            *fd[i] = -1;
        }
    }

    return UV_EMFILE;
}


/* one line, as the program's own start takes it apart again */
static wchar_t *
mesh_agent_os_line(char **argv)
{
    size_t    used;
    wchar_t  *line, *arg;

    line = mesh_agent_alloc((MESH_AGENT_OS_LINE + 1) * sizeof(wchar_t));
    used = 0;

    for ( /* void */ ; *argv; argv++) {
        arg = mesh_agent_os_wide(*argv);

        /* each character takes two places at most, and there are quotes */
        if (arg == NULL || wcslen(arg) * 2 + 4 > MESH_AGENT_OS_LINE - used) {
            free(arg);
            free(line);
            return NULL;
        }

        if (used) {
            line[used++] = L' ';
        }

        used += mesh_agent_os_quote(line + used, arg);
        free(arg);
    }

    return line;
}


/* backslashes count only where quotes follow them */
static size_t
mesh_agent_os_quote(wchar_t *to, const wchar_t *arg)
{
    size_t          slashes;
    wchar_t        *p;
    const wchar_t  *s;

    if (*arg && wcspbrk(arg, L" \t\n\v\"") == NULL) {
        wcscpy(to, arg);
        return wcslen(arg);
    }

    p = to;
    *p++ = L'"';
    slashes = 0;

    for (s = arg; ; s++) {
        if (*s == L'\\') {
            slashes++;
            *p++ = *s;
            continue;
        }

        if (*s == L'"' || *s == L'\0') {
            for ( /* void */ ; slashes; slashes--) {
                *p++ = L'\\';
            }
        }

        slashes = 0;

        if (*s == L'\0') {
            break;
        }

        if (*s == L'"') {
            *p++ = L'\\';
        }

        *p++ = *s;
    }

    *p++ = L'"';
    *p = L'\0';

    return (size_t) (p - to);
}


/* sorted, each with its NUL, and another at the end; NULL: our own */
static wchar_t *
mesh_agent_os_block(char **env)
{
    size_t     i, n, len, used;
    wchar_t  **list, *block;

    if (env == NULL) {
        return NULL;
    }

    for (n = 0; env[n]; n++) { /* void */ }

    list = mesh_agent_alloc((n + 1) * sizeof(wchar_t *));
    len = 2;

    for (i = 0; i < n; i++) {
        list[i] = mesh_agent_os_wide(env[i]);

        if (list[i] == NULL) {
            list[i] = mesh_agent_os_wide("");
        }

        len += wcslen(list[i]) + 1;
    }

    qsort(list, n, sizeof(wchar_t *), mesh_agent_os_compare);

    block = mesh_agent_alloc(len * sizeof(wchar_t));
    used = 0;

    for (i = 0; i < n; i++) {
        if (*list[i]) {
            wcscpy(block + used, list[i]);
            used += wcslen(list[i]) + 1;
        }

        free(list[i]);
    }

    free(list);

    return block;
}


static int
mesh_agent_os_compare(const void *a, const void *b)
{
    return _wcsicmp(*(wchar_t *const *) a, *(wchar_t *const *) b);
}


/* in a thread of the system */
static void CALLBACK
mesh_agent_os_ended(void *data, BOOLEAN fired)
{
    mesh_agent_os_process_t  *p = data;

    (void) fired;

    if (p->console) {
        ClosePseudoConsole(p->console);
    }

    (void) InterlockedExchange(&p->ended, 1);
    (void) uv_async_send(p->async);
}


static mesh_agent_os_process_t *
mesh_agent_os_process(int pid)
{
    mesh_agent_os_process_t  *p;

    for (p = mesh_agent_os_processes; p && p->pid != pid; p = p->next) {
        /* void */
    }

    return p;
}


static void
mesh_agent_os_forget(mesh_agent_os_process_t *p)
{
    if (p->wait) {
        /* its thread is at its last line, if it is there at all */
        (void) UnregisterWaitEx(p->wait, INVALID_HANDLE_VALUE);
    }

    if (p->job) {
        (void) CloseHandle(p->job);
    }

    if (p->process) {
        (void) CloseHandle(p->process);
    }

    free(p);
}


int
mesh_agent_os_reap(int pid, int *code, int *sig)
{
    DWORD                      status;
    mesh_agent_os_process_t   *p, **at;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION  limit;

    *code = 0;
    *sig = 0;

    p = mesh_agent_os_process(pid);

    if (p == NULL) {
        return MESH_ERROR;
    }

    if (InterlockedCompareExchange(&p->ended, 0, 0) == 0) {
        return MESH_AGAIN;
    }

    status = 0;
    (void) GetExitCodeProcess(p->process, &status);
    *code = (int) status;

    if (p->job) {
        memset(&limit, 0, sizeof(limit));
        (void) SetInformationJobObject(p->job,
                                       JobObjectExtendedLimitInformation,
                                       &limit, sizeof(limit));
    }

    for (at = &mesh_agent_os_processes; *at != p; at = &(*at)->next) {
        /* void */
    }

    *at = p->next;
    mesh_agent_os_forget(p);

    return MESH_OK;
}


/* there are no signals: 0 asks whether it is there, any other ends it */
int
mesh_agent_os_kill(int pid, int sig)
{
    int                       rc;
    HANDLE                    process;
    mesh_agent_os_process_t  *p;

    p = mesh_agent_os_process(pid);

    if (p && p->job && sig != 0) {
        return TerminateJobObject(p->job, 1) ? 0 : mesh_agent_os_error();
    }

    if (pid <= 0) {
        return UV_EINVAL;
    }

    process = OpenProcess(sig ? PROCESS_TERMINATE
                              : PROCESS_QUERY_LIMITED_INFORMATION, FALSE,
                          (DWORD) pid);

    if (process == NULL) {
        return GetLastError() == ERROR_INVALID_PARAMETER
               ? UV_ESRCH : mesh_agent_os_error();
    }

    rc = sig == 0 || TerminateProcess(process, 1) ? 0 : mesh_agent_os_error();
    (void) CloseHandle(process);

    return rc;
}


int
mesh_agent_os_tty_size(int pid, int fd, int rows, int cols)
{
    COORD                     size;
    mesh_agent_os_process_t  *p;

    (void) fd;

    p = mesh_agent_os_process(pid);

    /* a console that has ended is closed elsewhere */
    if (p == NULL || p->console == NULL
        || WaitForSingleObject(p->process, 0) != WAIT_TIMEOUT)
    {
        return UV_EBADF;
    }

    size.X = (SHORT) (cols < 32767 ? cols : 32767);
    size.Y = (SHORT) (rows < 32767 ? rows : 32767);

    return SUCCEEDED(ResizePseudoConsole(p->console, size)) ? 0 : UV_EIO;
}


/* here they are handles, of pipes */
void
mesh_agent_os_wait(const int *fds, int n, int timeout_ms)
{
    int     i;
    DWORD   bytes;
    HANDLE  pipe;

    for ( ;; ) {
        for (i = 0; i < n; i++) {
            pipe = (HANDLE) (intptr_t) fds[i];

            if (fds[i] != -1
                && (!PeekNamedPipe(pipe, NULL, 0, NULL, &bytes, NULL)
                    || bytes > 0))
            {
                return;
            }
        }

        if (timeout_ms <= 0) {
            return;
        }

        Sleep(MESH_AGENT_OS_STEP);
        timeout_ms -= MESH_AGENT_OS_STEP;
    }
}


long
mesh_agent_os_read(int fd, void *buf, size_t len)
{
    DWORD       bytes, n;
    HANDLE      pipe, event;
    OVERLAPPED  o;

    pipe = (HANDLE) (intptr_t) fd;

    if (!PeekNamedPipe(pipe, NULL, 0, NULL, &bytes, NULL)) {
        return 0;
    }

    if (bytes == 0) {
        return UV_EAGAIN;
    }

    event = CreateEventW(NULL, TRUE, FALSE, NULL);

    if (event == NULL) {
        return UV_ENOMEM;
    }

    /* the last bit: not for the port of the loop */
    memset(&o, 0, sizeof(OVERLAPPED));
    o.hEvent = (HANDLE) ((uintptr_t) event | 1);

    n = 0;
    len = len < bytes ? len : bytes;

    if (!ReadFile(pipe, buf, (DWORD) len, NULL, &o)
        && GetLastError() != ERROR_IO_PENDING)
    {
        n = 0;

    } else if (!GetOverlappedResult(pipe, &o, &n, TRUE)) {
        n = 0;
    }

    (void) CloseHandle(event);

    return (long) n;
}


int
mesh_agent_os_power(int state, int force)
{
    UINT  how;

    if (!mesh_agent_os_privilege(SE_SHUTDOWN_NAME)) {
        return 0;
    }

    switch (state) {

    case 2:
    case 3:
        how = state == 2 ? EWX_POWEROFF : EWX_REBOOT;
        how |= force ? EWX_FORCE : EWX_FORCEIFHUNG;

        return ExitWindowsEx(how, SHTDN_REASON_MAJOR_OTHER
                                  |SHTDN_REASON_FLAG_PLANNED) != 0;

    case 4:
    case 5:
        return SetSuspendState(state == 5, force != 0, FALSE) != 0;

    default:
        return 0;
    }
}


static int
mesh_agent_os_privilege(const wchar_t *name)
{
    int               rc;
    HANDLE            token;
    TOKEN_PRIVILEGES  tp;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES,
                          &token))
    {
        return 0;
    }

    tp.PrivilegeCount = 1;
    tp.Privileges[0].Attributes = SE_PRIVILEGE_ENABLED;

    rc = LookupPrivilegeValueW(NULL, name, &tp.Privileges[0].Luid)
         && AdjustTokenPrivileges(token, FALSE, &tp, 0, NULL, NULL)
         && GetLastError() == ERROR_SUCCESS;

    (void) CloseHandle(token);

    return rc;
}
