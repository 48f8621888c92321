/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Windows: the agent as a service.
 *
 *   %ProgramFiles%\mesh-agent\mesh-agent.exe, .msh, .exe.log
 *   %ProgramData%\mesh-agent                  its data
 */

#include "mesh_agent_windows.h"

#include <shlobj.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../mesh_agent_conf.h"
#include "../mesh_agent_install.h"
#include "../mesh_agent_update.h"
#include "mesh_agent_host.h"


#define MESH_AGENT_OS_STOP    30000       /* ms, for a service that runs */
#define MESH_AGENT_OS_START   20000       /* ms, to be online */
#define MESH_AGENT_OS_STEP    250

#define MESH_AGENT_OS_TITLE   L"Mesh agent"
#define MESH_AGENT_OS_ABOUT   L"Remote management of this machine"


typedef struct {
    char       node[96];
    char       server[512];
    int        connected;
    long long  since;
    long       pid;
} mesh_agent_os_state_t;


static char *mesh_agent_os_installed(const char *name);
static char *mesh_agent_os_data(void);
static int mesh_agent_os_files(const mesh_agent_conf_t *conf);
static int mesh_agent_os_copy(const char *from, const char *to, int private);
static int mesh_agent_os_service_make(void);
static int mesh_agent_os_service_end(SC_HANDLE service);
static int mesh_agent_os_online(const char *data, long long since);
static int mesh_agent_os_state(const char *data, mesh_agent_os_state_t *st);
static int mesh_agent_os_alive(long pid);
static int mesh_agent_os_remove(const char *path);
static int mesh_agent_os_say(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));


int
mesh_agent_install(int argc, char **argv)
{
    int                 rc;
    char               *program, *policy, *stem, *beside, *option, *data;
    char               *args[1];
    long long           since;
    mesh_agent_conf_t  *conf;

    if (argc > 1 || (argc == 1 && strncmp(argv[0], "--policy=", 9) != 0)) {
        (void) mesh_agent_os_say("\"install\" takes --policy=FILE alone");
        return MESH_AGENT_EXIT_USAGE;
    }

    if (!mesh_agent_os_admin()) {
        return mesh_agent_os_say("only an administrator can install the agent: "
                                 "try again in a command prompt that was "
                                 "started as administrator");
    }

    program = mesh_agent_os_exe();
    stem = program ? mesh_agent_os_stem(program) : NULL;
    beside = stem ? mesh_agent_join(stem, ".msh") : NULL;
    policy = mesh_agent_os_installed("mesh-agent.msh");
    option = policy ? mesh_agent_join("--policy=", policy) : NULL;
    free(program);
    free(stem);

    /* an upgrade may come without one */
    if (argc == 0 && beside && !mesh_agent_os_readable(beside) && policy
        && mesh_agent_os_readable(policy))
    {
        args[0] = option;
        argv = args;
        argc = 1;
    }

    conf = mesh_agent_conf_load(argc, argv);
    free(beside);
    free(policy);
    free(option);

    if (conf == NULL) {
        return MESH_AGENT_EXIT_FAILED;
    }

    since = (long long) time(NULL);
    rc = mesh_agent_os_files(conf) == MESH_OK
         ? mesh_agent_os_service_make() : MESH_ERROR;

    if (rc == MESH_OK) {
        data = mesh_agent_os_data();

        if (data && mesh_agent_os_online(data, since) == MESH_OK) {
            (void) printf("The agent is installed, and online at %s\n",
                          conf->servers[0]);
        } else {
            (void) printf("The agent is installed and runs, but does not "
                          "reach its server yet: %s\n", conf->servers[0]);
        }

        free(data);
    }

    mesh_agent_conf_free(conf);

    return rc == MESH_OK ? MESH_AGENT_EXIT_OK : MESH_AGENT_EXIT_FAILED;
}


int
mesh_agent_uninstall(int argc, char **argv)
{
    int         found, failed;
    char       *folder, *data;
    SC_HANDLE   scm, service;

    if (argc > 0) {
        (void) mesh_agent_os_say("\"uninstall\" takes no options");
        return MESH_AGENT_EXIT_USAGE;
    }

    if (!mesh_agent_os_admin()) {
        return mesh_agent_os_say("only an administrator can remove the agent");
    }

    found = 0;
    failed = 0;
    scm = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    service = scm ? OpenServiceW(scm, MESH_AGENT_OS_SERVICE,
                                 SERVICE_STOP|SERVICE_QUERY_STATUS|DELETE)
                  : NULL;

    if (service) {
        found = 1;
        failed = mesh_agent_os_service_end(service) != MESH_OK
                 || !DeleteService(service);
        (void) CloseServiceHandle(service);
    }

    if (scm) {
        (void) CloseServiceHandle(scm);
    }

    folder = mesh_agent_os_installed(NULL);
    data = mesh_agent_os_data();

    if (!failed && folder && data) {
        found |= mesh_agent_os_remove(data) > 0;
        found |= mesh_agent_os_remove(folder) > 0;
    }

    free(folder);
    free(data);

    if (failed) {
        return mesh_agent_os_say("the service cannot be stopped and removed");
    }

    (void) printf(found ? "The agent is removed, and its identity with it.  "
                          "The server still shows the device\nas offline, "
                          "until it is removed there.\n"
                        : "There is no agent installed here.\n");

    return MESH_AGENT_EXIT_OK;
}


int
mesh_agent_status(int argc, char **argv)
{
    int                     alive, installed;
    char                   *program, *data, when[32];
    time_t                  since;
    struct tm               tm;
    mesh_agent_os_state_t   st;

    if (argc > 1 || (argc == 1 && strncmp(argv[0], "--data=", 7) != 0)) {
        (void) mesh_agent_os_say("\"status\" takes --data=DIR alone");
        return MESH_AGENT_EXIT_USAGE;
    }

    program = mesh_agent_os_installed("mesh-agent.exe");
    installed = program && mesh_agent_os_readable(program);
    (void) printf("installed  %s\n", installed ? program : "no");
    free(program);

    data = argc ? mesh_agent_strdup(argv[0] + 7) : mesh_agent_os_data();

    if (data == NULL || mesh_agent_os_state(data, &st) != MESH_OK) {
        free(data);
        (void) printf("running    no\n");
        return installed ? MESH_AGENT_EXIT_FAILED : MESH_AGENT_EXIT_ABSENT;
    }

    alive = mesh_agent_os_alive(st.pid);

    if (alive) {
        (void) printf("running    yes, pid %ld\n", st.pid);
    } else {
        (void) printf("running    no\n");
    }

    when[0] = '\0';
    since = (time_t) st.since;

    if (alive && st.since && localtime_s(&tm, &since) == 0) {
        (void) strftime(when, sizeof(when), ", since %Y-%m-%d %H:%M:%S", &tm);
    }

    (void) printf("data       %s\nserver     %s\nnode       %s\n"
                  "online     %s%s\n", data,
                  st.server[0] ? st.server : "not known",
                  st.node[0] ? st.node : "not known",
                  alive && st.connected ? "yes" : "no", when);
    free(data);

    return alive && st.connected ? MESH_AGENT_EXIT_OK
                                 : MESH_AGENT_EXIT_FAILED;
}


/* a path in the program's folder, or that itself; the caller frees it */
static char *
mesh_agent_os_installed(const char *name)
{
    char     *base, *folder, *path;
    wchar_t   wide[MAX_PATH];

    if (FAILED(SHGetFolderPathW(NULL, CSIDL_PROGRAM_FILES, NULL,
                                SHGFP_TYPE_CURRENT, wide)))
    {
        return NULL;
    }

    base = mesh_agent_os_utf8(wide);

    if (base == NULL) {
        return NULL;
    }

    folder = mesh_agent_join(base, name ? "\\mesh-agent\\" : "\\mesh-agent");
    path = mesh_agent_join(folder, name ? name : "");
    free(base);
    free(folder);

    return path;
}


/* the service's; not made here */
static char *
mesh_agent_os_data(void)
{
    char     *base, *data;
    wchar_t   wide[MAX_PATH];

    if (FAILED(SHGetFolderPathW(NULL, CSIDL_COMMON_APPDATA, NULL,
                                SHGFP_TYPE_CURRENT, wide)))
    {
        return NULL;
    }

    base = mesh_agent_os_utf8(wide);
    data = base ? mesh_agent_join(base, "\\mesh-agent") : NULL;
    free(base);

    return data;
}


/* stops what runs, and puts program and policy into their folder */
static int
mesh_agent_os_files(const mesh_agent_conf_t *conf)
{
    int         rc;
    char       *folder, *program, *policy;
    wchar_t    *wide;
    SC_HANDLE   scm, service;

    scm = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    service = scm ? OpenServiceW(scm, MESH_AGENT_OS_SERVICE,
                                 SERVICE_STOP|SERVICE_QUERY_STATUS) : NULL;
    rc = MESH_OK;

    if (service) {
        rc = mesh_agent_os_service_end(service);
        (void) CloseServiceHandle(service);
    }

    if (scm) {
        (void) CloseServiceHandle(scm);
    }

    if (rc != MESH_OK) {
        (void) mesh_agent_os_say("the agent that runs cannot be stopped");
        return MESH_ERROR;
    }

    folder = mesh_agent_os_installed(NULL);
    program = mesh_agent_os_installed("mesh-agent.exe");
    policy = mesh_agent_os_installed("mesh-agent.msh");
    wide = folder ? mesh_agent_os_wide(folder) : NULL;
    rc = MESH_ERROR;

    if (wide && program && policy
        && (CreateDirectoryW(wide, NULL)
            || GetLastError() == ERROR_ALREADY_EXISTS)
        && mesh_agent_os_copy(conf->exe, program, 0) == MESH_OK
        && mesh_agent_os_copy(conf->policy, policy, 1) == MESH_OK)
    {
        mesh_agent_update_forget(program);
        rc = MESH_OK;

    } else {
        (void) mesh_agent_os_say("\"%s\" cannot be written: %s",
                                 folder ? folder : "",
                                 uv_strerror(mesh_agent_os_error()));
    }

    free(folder);
    free(program);
    free(policy);
    free(wide);

    return rc;
}


/* whole or not at all; private: for administrators and the system */
static int
mesh_agent_os_copy(const char *from, const char *to, int private)
{
    int       rc;
    char     *tmp;
    wchar_t  *wide_from, *wide_to, *wide_tmp;

    tmp = mesh_agent_join(to, ".new");
    wide_from = mesh_agent_os_wide(from);
    wide_to = mesh_agent_os_wide(to);
    wide_tmp = mesh_agent_os_wide(tmp);
    rc = MESH_ERROR;

    if (wide_from && wide_to && wide_tmp) {
        if (_wcsicmp(wide_from, wide_to) == 0
            || (CopyFileW(wide_from, wide_tmp, FALSE)
                && (!private || mesh_agent_os_protect(wide_tmp) == MESH_OK)
                && MoveFileExW(wide_tmp, wide_to, MOVEFILE_REPLACE_EXISTING
                                                  |MOVEFILE_WRITE_THROUGH)))
        {
            rc = MESH_OK;
        }
    }

    free(tmp);
    free(wide_from);
    free(wide_to);
    free(wide_tmp);

    return rc;
}


static int
mesh_agent_os_service_make(void)
{
    int                       rc;
    char                     *program;
    wchar_t                  *wide, command[MAX_PATH + 16];
    SC_HANDLE                 scm, service;
    SC_ACTION                 action;
    SERVICE_DESCRIPTIONW      about;
    SERVICE_FAILURE_ACTIONSW  failure;
    SERVICE_FAILURE_ACTIONS_FLAG  always;

    program = mesh_agent_os_installed("mesh-agent.exe");
    wide = program ? mesh_agent_os_wide(program) : NULL;
    free(program);

    if (wide == NULL) {
        return MESH_ERROR;
    }

    /* in quotes: there is a space in the path */
    (void) swprintf(command, MAX_PATH + 16, L"\"%ls\" run", wide);
    free(wide);

    scm = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT
                                     |SC_MANAGER_CREATE_SERVICE);
    service = scm ? OpenServiceW(scm, MESH_AGENT_OS_SERVICE,
                                 SERVICE_ALL_ACCESS) : NULL;

    if (service == NULL && scm) {
        service = CreateServiceW(scm, MESH_AGENT_OS_SERVICE,
                                 MESH_AGENT_OS_TITLE, SERVICE_ALL_ACCESS,
                                 SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START,
                                 SERVICE_ERROR_NORMAL, command, NULL, NULL,
                                 NULL, NULL, NULL);

    } else if (service) {
        (void) ChangeServiceConfigW(service, SERVICE_WIN32_OWN_PROCESS,
                                    SERVICE_AUTO_START, SERVICE_ERROR_NORMAL,
                                    command, NULL, NULL, NULL, NULL, NULL,
                                    MESH_AGENT_OS_TITLE);
    }

    rc = MESH_ERROR;

    if (service) {
        about.lpDescription = (wchar_t *) MESH_AGENT_OS_ABOUT;
        (void) ChangeServiceConfig2W(service, SERVICE_CONFIG_DESCRIPTION,
                                     &about);

        /* it may be the only way to this machine: always started anew */
        memset(&failure, 0, sizeof(failure));
        action.Type = SC_ACTION_RESTART;
        action.Delay = 5000;
        failure.dwResetPeriod = 86400;
        failure.cActions = 1;
        failure.lpsaActions = &action;
        (void) ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS,
                                     &failure);
        always.fFailureActionsOnNonCrashFailures = TRUE;
        (void) ChangeServiceConfig2W(service,
                                     SERVICE_CONFIG_FAILURE_ACTIONS_FLAG,
                                     &always);

        rc = StartServiceW(service, 0, NULL) ? MESH_OK : MESH_ERROR;
    }

    if (rc != MESH_OK) {
        (void) mesh_agent_os_say("the service cannot be made and started: %s",
                                 uv_strerror(mesh_agent_os_error()));
    }

    if (service) {
        (void) CloseServiceHandle(service);
    }

    if (scm) {
        (void) CloseServiceHandle(scm);
    }

    return rc;
}


/* until its process has gone: its file can be replaced only then */
static int
mesh_agent_os_service_end(SC_HANDLE service)
{
    int                      rc;
    DWORD                    size;
    HANDLE                   process;
    SERVICE_STATUS           status;
    SERVICE_STATUS_PROCESS   facts;

    if (!QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO,
                              (BYTE *) &facts, sizeof(facts), &size))
    {
        return MESH_ERROR;
    }

    if (facts.dwCurrentState == SERVICE_STOPPED) {
        return MESH_OK;
    }

    process = OpenProcess(SYNCHRONIZE, FALSE, facts.dwProcessId);

    if (!ControlService(service, SERVICE_CONTROL_STOP, &status)
        && GetLastError() != ERROR_SERVICE_NOT_ACTIVE
        && GetLastError() != ERROR_SERVICE_CANNOT_ACCEPT_CTRL)
    {
        rc = MESH_ERROR;

    } else {
        rc = process == NULL
             || WaitForSingleObject(process, MESH_AGENT_OS_STOP)
                == WAIT_OBJECT_0
             ? MESH_OK : MESH_ERROR;
    }

    if (process) {
        (void) CloseHandle(process);
    }

    return rc;
}


static int
mesh_agent_os_online(const char *data, long long since)
{
    int                    ms;
    mesh_agent_os_state_t  st;

    for (ms = 0; ms < MESH_AGENT_OS_START; ms += MESH_AGENT_OS_STEP) {
        if (mesh_agent_os_state(data, &st) == MESH_OK && st.connected
            && st.since >= since && mesh_agent_os_alive(st.pid))
        {
            return MESH_OK;
        }

        Sleep(MESH_AGENT_OS_STEP);
    }

    return MESH_ERROR;
}


static int
mesh_agent_os_state(const char *data, mesh_agent_os_state_t *st)
{
    char      line[640], *path, *value;
    FILE     *f;
    wchar_t  *wide;

    memset(st, 0, sizeof(mesh_agent_os_state_t));

    path = mesh_agent_join(data, "\\state");
    wide = mesh_agent_os_wide(path);
    f = wide ? _wfopen(wide, L"r") : NULL;
    free(path);
    free(wide);

    if (f == NULL) {
        return MESH_ERROR;
    }

    while (fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        value = strchr(line, '=');

        if (value == NULL) {
            continue;
        }

        *value++ = '\0';

        if (strcmp(line, "node") == 0) {
            (void) snprintf(st->node, sizeof(st->node), "%s", value);
        } else if (strcmp(line, "server") == 0) {
            (void) snprintf(st->server, sizeof(st->server), "%s", value);
        } else if (strcmp(line, "connected") == 0) {
            st->connected = strcmp(value, "1") == 0;
        } else if (strcmp(line, "since") == 0) {
            st->since = strtoll(value, NULL, 10);
        } else if (strcmp(line, "pid") == 0) {
            st->pid = strtol(value, NULL, 10);
        }
    }

    (void) fclose(f);

    return MESH_OK;
}


static int
mesh_agent_os_alive(long pid)
{
    int     alive;
    HANDLE  process;

    process = pid > 0 ? OpenProcess(SYNCHRONIZE, FALSE, (DWORD) pid) : NULL;

    if (process == NULL) {
        /* another account's is there all the same */
        return pid > 0 && GetLastError() == ERROR_ACCESS_DENIED;
    }

    alive = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
    (void) CloseHandle(process);

    return alive;
}


/* a folder of ours with its files, which has no folders; how many there were */
static int
mesh_agent_os_remove(const char *path)
{
    int                n;
    char              *pattern;
    HANDLE             list;
    wchar_t           *wide, *all, file[MAX_PATH * 2];
    WIN32_FIND_DATAW   found;

    pattern = mesh_agent_join(path, "\\*");
    wide = mesh_agent_os_wide(path);
    all = mesh_agent_os_wide(pattern);
    free(pattern);
    n = 0;

    list = wide && all ? FindFirstFileW(all, &found) : INVALID_HANDLE_VALUE;

    if (list != INVALID_HANDLE_VALUE) {
        do {
            if ((found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0
                && swprintf(file, MAX_PATH * 2, L"%ls\\%ls", wide,
                            found.cFileName) > 0)
            {
                /* this program itself goes when the system starts next */
                n += DeleteFileW(file)
                     || MoveFileExW(file, NULL, MOVEFILE_DELAY_UNTIL_REBOOT);
            }
        } while (FindNextFileW(list, &found));

        (void) FindClose(list);
        (void) RemoveDirectoryW(wide);
        (void) printf("removed %s\n", path);
    }

    free(wide);
    free(all);

    return n;
}


static int
mesh_agent_os_say(const char *fmt, ...)
{
    va_list  args;

    (void) fprintf(stderr, "mesh-agent: ");
    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);
    (void) fputc('\n', stderr);

    return MESH_AGENT_EXIT_FAILED;
}
