/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Windows: what the agent itself asks. */

#include "mesh_agent_windows.h"

#include <aclapi.h>
#include <io.h>
#include <malloc.h>
#include <sddl.h>
#include <shlobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_agent_msg.h"
#include "mesh_agent_host.h"
#include "mesh_agent_os.h"


#define MESH_AGENT_OS_PATH   32768        /* characters */
#define MESH_AGENT_OS_SDDL   256
#define MESH_AGENT_OS_LOG    (1024 * 1024)
#define MESH_AGENT_OS_ENDING 10000        /* ms, for the server's close */

#define MESH_AGENT_OS_NT     L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
#define MESH_AGENT_OS_BIOS   L"HARDWARE\\DESCRIPTION\\System\\BIOS"


static char *mesh_agent_os_place(const char *exe);
static int mesh_agent_os_make(const wchar_t *path);
static int mesh_agent_os_ours(const wchar_t *path);
static PSECURITY_DESCRIPTOR mesh_agent_os_acl(void);
static wchar_t *mesh_agent_os_user(void);
static int mesh_agent_os_owned(HANDLE file);
static int mesh_agent_os_rename(const wchar_t *from, const wchar_t *to);
static void WINAPI mesh_agent_os_service_main(DWORD argc, LPWSTR *argv);
static DWORD WINAPI mesh_agent_os_control(DWORD control, DWORD type,
    LPVOID event, LPVOID data);
static void mesh_agent_os_service_state(DWORD state, DWORD code);
static void mesh_agent_os_log_file(void);


typedef struct {
    int                      (*run)(int argc, char **argv);
    int                        argc;
    char                     **argv;
    SERVICE_STATUS_HANDLE      handle;
    int                        service;
    int                        stopping;
    CRITICAL_SECTION           lock;      /* of stop, which two threads have */
    void                     (*stop)(void *data);
    void                      *data;
} mesh_agent_os_host_t;


static mesh_agent_os_host_t  mesh_agent_os_host;


wchar_t *
mesh_agent_os_wide(const char *s)
{
    int       n;
    wchar_t  *wide;

    n = MultiByteToWideChar(CP_UTF8, 0, s, -1, NULL, 0);

    if (n <= 0) {
        return NULL;
    }

    wide = mesh_agent_alloc((size_t) n * sizeof(wchar_t));
    (void) MultiByteToWideChar(CP_UTF8, 0, s, -1, wide, n);

    return wide;
}


char *
mesh_agent_os_utf8(const wchar_t *s)
{
    int    n;
    char  *text;

    n = WideCharToMultiByte(CP_UTF8, 0, s, -1, NULL, 0, NULL, NULL);

    if (n <= 0) {
        return NULL;
    }

    text = mesh_agent_alloc((size_t) n);
    (void) WideCharToMultiByte(CP_UTF8, 0, s, -1, text, n, NULL, NULL);

    return text;
}


int
mesh_agent_os_error(void)
{
    int  rc;

    rc = uv_translate_sys_error((int) GetLastError());

    return rc < 0 ? rc : UV_UNKNOWN;
}


char *
mesh_agent_os_registry(const wchar_t *key, const wchar_t *name)
{
    DWORD    size;
    wchar_t  value[1024];

    size = sizeof(value);

    if (RegGetValueW(HKEY_LOCAL_MACHINE, key, name,
                     RRF_RT_REG_SZ|RRF_SUBKEY_WOW6464KEY, NULL, value, &size)
        != ERROR_SUCCESS || value[0] == L'\0')
    {
        return NULL;
    }

    return mesh_agent_os_utf8(value);
}


int
mesh_agent_os_admin(void)
{
    int                       rc;
    BOOL                      member;
    PSID                      sid;
    SID_IDENTIFIER_AUTHORITY  nt = { SECURITY_NT_AUTHORITY };

    if (!AllocateAndInitializeSid(&nt, 2, SECURITY_BUILTIN_DOMAIN_RID,
                                  DOMAIN_ALIAS_RID_ADMINS, 0, 0, 0, 0, 0, 0,
                                  &sid))
    {
        return 0;
    }

    rc = CheckTokenMembership(NULL, sid, &member) && member;
    (void) FreeSid(sid);

    return rc;
}


void
mesh_agent_os_start(void)
{
    /* no window of the system in the way, of a drive without a disk or so */
    (void) SetErrorMode(SEM_FAILCRITICALERRORS|SEM_NOGPFAULTERRORBOX
                        |SEM_NOOPENFILEERRORBOX);

    (void) SetDllDirectoryW(L"");
    (void) SetConsoleOutputCP(CP_UTF8);
    InitializeCriticalSection(&mesh_agent_os_host.lock);
}


int
mesh_agent_os_run(int (*run)(int argc, char **argv), int argc, char **argv)
{
    SERVICE_TABLE_ENTRYW  table[2];

    memset(table, 0, sizeof(table));
    table[0].lpServiceName = (wchar_t *) MESH_AGENT_OS_SERVICE;
    table[0].lpServiceProc = mesh_agent_os_service_main;

    mesh_agent_os_host.run = run;
    mesh_agent_os_host.argc = argc;
    mesh_agent_os_host.argv = argv;

    /* who is no service learns it at once */
    if (StartServiceCtrlDispatcherW(table)) {
        return 0;
    }

    return run(argc, argv);
}


static void WINAPI
mesh_agent_os_service_main(DWORD argc, LPWSTR *argv)
{
    int                    rc;
    mesh_agent_os_host_t  *h = &mesh_agent_os_host;

    (void) argc;
    (void) argv;

    h->service = 1;
    h->handle = RegisterServiceCtrlHandlerExW(MESH_AGENT_OS_SERVICE,
                                              mesh_agent_os_control, NULL);

    if (h->handle == NULL) {
        return;
    }

    mesh_agent_os_log_file();
    mesh_agent_os_service_state(SERVICE_RUNNING, 0);

    rc = h->run(h->argc, h->argv);

    /* an end that nobody asked for is a failure: the system starts it anew */
    mesh_agent_os_service_state(SERVICE_STOPPED,
                                rc == 0 && h->stopping
                                ? NO_ERROR : ERROR_PROCESS_ABORTED);
}


static DWORD WINAPI
mesh_agent_os_control(DWORD control, DWORD type, LPVOID event, LPVOID data)
{
    mesh_agent_os_host_t  *h = &mesh_agent_os_host;

    (void) type;
    (void) event;
    (void) data;

    switch (control) {

    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
        h->stopping = 1;
        mesh_agent_os_service_state(SERVICE_STOP_PENDING, 0);

        EnterCriticalSection(&h->lock);

        if (h->stop) {
            h->stop(h->data);
        }

        LeaveCriticalSection(&h->lock);
        return NO_ERROR;

    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;

    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}


static void
mesh_agent_os_service_state(DWORD state, DWORD code)
{
    SERVICE_STATUS  status;

    memset(&status, 0, sizeof(SERVICE_STATUS));
    status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING
                                ? SERVICE_ACCEPT_STOP|SERVICE_ACCEPT_SHUTDOWN
                                : 0;
    status.dwWin32ExitCode = code;
    status.dwWaitHint = state == SERVICE_STOP_PENDING ? MESH_AGENT_OS_ENDING
                                                      : 0;

    (void) SetServiceStatus(mesh_agent_os_host.handle, &status);
}


/* beside the program, where only administrators write; the one before too */
static void
mesh_agent_os_log_file(void)
{
    char                       *exe, *path, *old;
    wchar_t                    *wide, *wide_old;
    WIN32_FILE_ATTRIBUTE_DATA   facts;

    exe = mesh_agent_os_exe();

    if (exe == NULL) {
        return;
    }

    path = mesh_agent_join(exe, ".log");
    old = mesh_agent_join(exe, ".log.old");
    wide = mesh_agent_os_wide(path);
    wide_old = mesh_agent_os_wide(old);

    if (wide && wide_old) {
        if (GetFileAttributesExW(wide, GetFileExInfoStandard, &facts)
            && facts.nFileSizeLow > MESH_AGENT_OS_LOG)
        {
            (void) MoveFileExW(wide, wide_old, MOVEFILE_REPLACE_EXISTING);
        }

        if (_wfreopen(wide, L"a", stderr)) {
            (void) setvbuf(stderr, NULL, _IONBF, 0);
        }
    }

    free(wide);
    free(wide_old);
    free(exe);
    free(path);
    free(old);
}


void
mesh_agent_os_on_stop(void (*stop)(void *data), void *data)
{
    mesh_agent_os_host_t  *h = &mesh_agent_os_host;

    EnterCriticalSection(&h->lock);
    h->stop = stop;
    h->data = data;

    if (stop && h->stopping) {
        stop(data);
    }

    LeaveCriticalSection(&h->lock);
}


int
mesh_agent_os_is_service(void)
{
    return mesh_agent_os_host.service;
}


char *
mesh_agent_os_exe(void)
{
    DWORD     n;
    char     *exe;
    wchar_t  *path;

    path = mesh_agent_alloc(MESH_AGENT_OS_PATH * sizeof(wchar_t));
    n = GetModuleFileNameW(NULL, path, MESH_AGENT_OS_PATH);
    exe = n > 0 && n < MESH_AGENT_OS_PATH ? mesh_agent_os_utf8(path) : NULL;
    free(path);

    return exe;
}


/* without its .exe */
char *
mesh_agent_os_stem(const char *exe)
{
    char    *stem;
    size_t   len;

    stem = mesh_agent_strdup(exe);
    len = strlen(stem);

    if (len > 4 && _stricmp(stem + len - 4, ".exe") == 0) {
        stem[len - 4] = '\0';
    }

    return stem;
}


int
mesh_agent_os_readable(const char *path)
{
    DWORD     flags;
    wchar_t  *wide;

    wide = mesh_agent_os_wide(path);
    flags = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
    free(wide);

    return flags != INVALID_FILE_ATTRIBUTES
           && (flags & FILE_ATTRIBUTE_DIRECTORY) == 0;
}


char *
mesh_agent_os_folder(const char *given, const char *exe)
{
    char     *path, *full;
    DWORD     n;
    wchar_t  *wide, *whole;

    path = given ? mesh_agent_strdup(given) : mesh_agent_os_place(exe);
    wide = path ? mesh_agent_os_wide(path) : NULL;
    free(path);

    if (wide == NULL) {
        return NULL;
    }

    whole = mesh_agent_alloc(MESH_AGENT_OS_PATH * sizeof(wchar_t));
    full = NULL;
    n = GetFullPathNameW(wide, MESH_AGENT_OS_PATH, whole, NULL);
    free(wide);

    if (n > 0 && n < MESH_AGENT_OS_PATH && mesh_agent_os_make(whole) == MESH_OK
        && mesh_agent_os_ours(whole))
    {
        /* names in it are joined to this */
        while (n > 3 && (whole[n - 1] == L'\\' || whole[n - 1] == L'/')) {
            whole[--n] = L'\0';
        }

        full = mesh_agent_os_utf8(whole);
    }

    free(whole);

    return full;
}


/* of the machine for administrators, else of the user */
static char *
mesh_agent_os_place(const char *exe)
{
    char     *base, *place;
    wchar_t   path[MAX_PATH];

    (void) exe;

    if (FAILED(SHGetFolderPathW(NULL, mesh_agent_os_admin()
                                ? CSIDL_COMMON_APPDATA : CSIDL_LOCAL_APPDATA,
                                NULL, SHGFP_TYPE_CURRENT, path)))
    {
        return NULL;
    }

    base = mesh_agent_os_utf8(path);

    if (base == NULL) {
        return NULL;
    }

    place = mesh_agent_join(base, "\\mesh-agent");
    free(base);

    return place;
}


static int
mesh_agent_os_make(const wchar_t *path)
{
    int                   rc;
    size_t                n;
    wchar_t              *part;
    const wchar_t        *p;
    SECURITY_ATTRIBUTES   sa;

    n = GetFileAttributesW(path);

    if (n != INVALID_FILE_ATTRIBUTES) {
        return n & FILE_ATTRIBUTE_DIRECTORY ? MESH_OK : MESH_ERROR;
    }

    part = mesh_agent_alloc((wcslen(path) + 1) * sizeof(wchar_t));

    for (p = path; *p; p++) {
        if ((*p == L'\\' || *p == L'/') && p != path) {
            n = (size_t) (p - path);
            memcpy(part, path, n * sizeof(wchar_t));
            part[n] = L'\0';
            (void) CreateDirectoryW(part, NULL);
        }
    }

    free(part);

    memset(&sa, 0, sizeof(SECURITY_ATTRIBUTES));
    sa.nLength = sizeof(SECURITY_ATTRIBUTES);
    sa.lpSecurityDescriptor = mesh_agent_os_acl();

    rc = sa.lpSecurityDescriptor && CreateDirectoryW(path, &sa);
    (void) LocalFree(sa.lpSecurityDescriptor);

    return rc ? MESH_OK : MESH_ERROR;
}


static int
mesh_agent_os_ours(const wchar_t *path)
{
    int     rc;
    HANDLE  folder;

    folder = CreateFileW(path, FILE_ADD_FILE|FILE_LIST_DIRECTORY|READ_CONTROL,
                         FILE_SHARE_READ|FILE_SHARE_WRITE|FILE_SHARE_DELETE,
                         NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS,
                         NULL);

    if (folder == INVALID_HANDLE_VALUE) {
        return 0;
    }

    /* where any account may make a folder, another one may have been first */
    rc = mesh_agent_os_owned(folder);
    (void) CloseHandle(folder);

    return rc;
}


/* the system, administrators, and who runs this where he is none of them */
static PSECURITY_DESCRIPTOR
mesh_agent_os_acl(void)
{
    wchar_t               text[MESH_AGENT_OS_SDDL], *sid;
    PSECURITY_DESCRIPTOR  sd;

    sid = mesh_agent_os_admin() ? NULL : mesh_agent_os_user();

    (void) swprintf(text, MESH_AGENT_OS_SDDL,
                    L"D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)%ls%ls%ls",
                    sid ? L"(A;OICI;FA;;;" : L"", sid ? sid : L"",
                    sid ? L")" : L"");
    (void) LocalFree(sid);

    return ConvertStringSecurityDescriptorToSecurityDescriptorW(text,
               SDDL_REVISION_1, &sd, NULL) ? sd : NULL;
}


/* LocalFree() wants it back; NULL: not known */
static wchar_t *
mesh_agent_os_user(void)
{
    DWORD        size;
    HANDLE       token;
    wchar_t     *text;
    TOKEN_USER  *user;
    BYTE         buf[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE]
                     __attribute__((aligned(8)));

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) {
        return NULL;
    }

    text = NULL;
    user = (TOKEN_USER *) buf;

    if (!GetTokenInformation(token, TokenUser, buf, sizeof(buf), &size)
        || !ConvertSidToStringSidW(user->User.Sid, &text))
    {
        text = NULL;
    }

    (void) CloseHandle(token);

    return text;
}


int
mesh_agent_os_lock(uv_file fd)
{
    OVERLAPPED  at;

    /* one byte where nobody reads or writes */
    memset(&at, 0, sizeof(OVERLAPPED));
    at.OffsetHigh = 0x7fffffff;

    return LockFileEx((HANDLE) _get_osfhandle(fd),
                      LOCKFILE_EXCLUSIVE_LOCK|LOCKFILE_FAIL_IMMEDIATELY, 0, 1,
                      0, &at)
           ? MESH_OK : MESH_ERROR;
}


int64_t
mesh_agent_os_private(uv_file fd)
{
    int                         rc;
    DWORD                       n;
    HANDLE                      file;
    wchar_t                    *path;
    BY_HANDLE_FILE_INFORMATION  facts;

    file = (HANDLE) _get_osfhandle(fd);

    if (GetFileType(file) != FILE_TYPE_DISK
        || !GetFileInformationByHandle(file, &facts)
        || (facts.dwFileAttributes & (FILE_ATTRIBUTE_DIRECTORY
                                      |FILE_ATTRIBUTE_REPARSE_POINT))
        || facts.nNumberOfLinks > 1 || !mesh_agent_os_owned(file))
    {
        return -1;
    }

    path = mesh_agent_alloc(MESH_AGENT_OS_PATH * sizeof(wchar_t));
    n = GetFinalPathNameByHandleW(file, path, MESH_AGENT_OS_PATH, 0);
    rc = n > 0 && n < MESH_AGENT_OS_PATH ? mesh_agent_os_protect(path)
                                         : MESH_ERROR;
    free(path);

    if (rc != MESH_OK) {
        return -1;
    }

    return ((int64_t) facts.nFileSizeHigh << 32) | facts.nFileSizeLow;
}


int
mesh_agent_os_protect(const wchar_t *path)
{
    int                   rc;
    BOOL                  present, defaulted;
    PACL                  acl;
    PSECURITY_DESCRIPTOR  sd;

    sd = mesh_agent_os_acl();

    rc = sd && GetSecurityDescriptorDacl(sd, &present, &acl, &defaulted)
         && SetNamedSecurityInfoW((wchar_t *) path, SE_FILE_OBJECT,
                                  DACL_SECURITY_INFORMATION
                                  |PROTECTED_DACL_SECURITY_INFORMATION,
                                  NULL, NULL, acl, NULL)
            == ERROR_SUCCESS;

    (void) LocalFree(sd);

    return rc ? MESH_OK : MESH_ERROR;
}


/* by us, by administrators or by the system */
static int
mesh_agent_os_owned(HANDLE file)
{
    int                    rc;
    PSID                   owner;
    wchar_t               *text, *user;
    PSECURITY_DESCRIPTOR   sd;

    if (GetSecurityInfo(file, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION,
                        &owner, NULL, NULL, NULL, &sd)
        != ERROR_SUCCESS)
    {
        return 0;
    }

    rc = IsWellKnownSid(owner, WinLocalSystemSid)
         || IsWellKnownSid(owner, WinBuiltinAdministratorsSid);

    user = mesh_agent_os_user();

    if (!rc && user && ConvertSidToStringSidW(owner, &text)) {
        rc = wcscmp(text, user) == 0;
        (void) LocalFree(text);
    }

    (void) LocalFree(user);
    (void) LocalFree(sd);

    return rc;
}


int
mesh_agent_os_replace(const char *from, const char *to)
{
    int       rc;
    wchar_t  *a, *b;

    a = mesh_agent_os_wide(from);
    b = mesh_agent_os_wide(to);

    if (a == NULL || b == NULL) {
        rc = UV_EINVAL;

    } else if (mesh_agent_os_rename(a, b)
               || MoveFileExW(a, b, MOVEFILE_REPLACE_EXISTING
                                    |MOVEFILE_WRITE_THROUGH))
    {
        rc = 0;

    } else {
        rc = mesh_agent_os_error();
    }

    free(a);
    free(b);

    return rc;
}


/* as on Unix, where to may be open; from Windows 10 of 2017 on, on NTFS */
static int
mesh_agent_os_rename(const wchar_t *from, const wchar_t *to)
{
    int                rc;
    DWORD              size, flags;
    HANDLE             file;
    FILE_RENAME_INFO  *info;

    file = CreateFileW(from, DELETE|SYNCHRONIZE,
                       FILE_SHARE_READ|FILE_SHARE_WRITE|FILE_SHARE_DELETE,
                       NULL, OPEN_EXISTING, 0, NULL);

    if (file == INVALID_HANDLE_VALUE) {
        return 0;
    }

    size = (DWORD) (sizeof(FILE_RENAME_INFO) + wcslen(to) * sizeof(wchar_t));
    info = mesh_agent_alloc(size);
    info->FileNameLength = (DWORD) (wcslen(to) * sizeof(wchar_t));
    wcscpy(info->FileName, to);

    /* in the place of ReplaceIfExists: that, and POSIX semantics */
    flags = 1 | 2;
    memcpy(info, &flags, sizeof(flags));

    /* 22: FileRenameInfoEx */
    rc = SetFileInformationByHandle(file, (FILE_INFO_BY_HANDLE_CLASS) 22, info,
                                    size);
    free(info);
    (void) CloseHandle(file);

    return rc != 0;
}


/*
 * A program that runs can get another name, but neither go nor be written to.
 * Between the two moves nothing has the name; the file system's log makes of
 * a power cut there a moment before or after most often.
 */
int
mesh_agent_os_swap(const char *from, const char *exe, const char *old)
{
    int       rc;
    wchar_t  *a, *b, *c;

    a = mesh_agent_os_wide(from);
    b = mesh_agent_os_wide(exe);
    c = mesh_agent_os_wide(old);
    rc = UV_EINVAL;

    if (a && b && c) {
        if (!MoveFileExW(b, c, MOVEFILE_REPLACE_EXISTING)) {
            rc = mesh_agent_os_error();

        } else if (!MoveFileExW(a, b, MOVEFILE_WRITE_THROUGH)) {
            rc = mesh_agent_os_error();
            (void) MoveFileExW(c, b, MOVEFILE_WRITE_THROUGH);

        } else {
            rc = 0;
        }
    }

    free(a);
    free(b);
    free(c);

    return rc;
}


/* the file system does it */
void
mesh_agent_os_sync_folder(const char *path)
{
    (void) path;
}


/* a service's process is started by the system: its end is a failure */
void
mesh_agent_os_again(const char *exe, int argc, char **argv)
{
    int                    i, rc;
    char                 **args, word[] = "run";
    uv_loop_t              loop;
    uv_process_t           process;
    uv_stdio_container_t   stdio[3];
    uv_process_options_t   opts;

    if (mesh_agent_os_host.service) {
        return;
    }

    args = mesh_agent_alloc(((size_t) argc + 3) * sizeof(char *));
    args[0] = (char *) exe;
    args[1] = word;

    for (i = 0; i < argc; i++) {
        args[2 + i] = argv[i];
    }

    for (i = 0; i < 3; i++) {
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = i;
    }

    memset(&opts, 0, sizeof(opts));
    opts.file = exe;
    opts.args = args;
    opts.stdio = stdio;
    opts.stdio_count = 3;
    opts.flags = UV_PROCESS_DETACHED|UV_PROCESS_WINDOWS_HIDE;

    (void) uv_loop_init(&loop);
    rc = uv_spawn(&loop, &process, &opts);

    if (rc != 0) {
        mesh_agent_log(MESH_AGENT_LOG_ERR, "\"%s\" cannot be started: %s",
                       exe, uv_strerror(rc));
    }

    uv_close((uv_handle_t *) &process, NULL);
    (void) uv_run(&loop, UV_RUN_DEFAULT);
    (void) uv_loop_close(&loop);
    free(args);
}


void
mesh_agent_os_trim(void)
{
    (void) _heapmin();
}


void
mesh_agent_os_name(char *buf, size_t size)
{
    long   number;
    char  *name, *version, *build, *p;

    name = mesh_agent_os_registry(MESH_AGENT_OS_NT, L"ProductName");
    version = mesh_agent_os_registry(MESH_AGENT_OS_NT, L"DisplayVersion");
    build = mesh_agent_os_registry(MESH_AGENT_OS_NT, L"CurrentBuild");

    number = build ? strtol(build, NULL, 10) : 0;

    /* the registry of 11 has the name of 10 */
    p = name ? strstr(name, "Windows 10") : NULL;

    if (p && number >= 22000) {
        p[9] = '1';
    }

    (void) snprintf(buf, size, "%s%s%s%s%s - %s", name ? name : "Windows",
                    version ? " " : "", version ? version : "",
                    build && !version ? " build " : "",
                    build && !version ? build : "", mesh_agent_os_arch());

    free(name);
    free(version);
    free(build);
}


uint32_t
mesh_agent_os_kind(void)
{
    int                  i, machine;
    char                *maker, *product, *type;
    SYSTEM_POWER_STATUS  power;

    static const char *const  virtual[] = {
        "VMware", "VirtualBox", "Virtual Machine", "QEMU", "KVM", "Xen",
        "HVM domU", "Bochs", "Parallels", "Google Compute", NULL
    };

    maker = mesh_agent_os_registry(MESH_AGENT_OS_BIOS, L"SystemManufacturer");
    product = mesh_agent_os_registry(MESH_AGENT_OS_BIOS, L"SystemProductName");
    type = mesh_agent_os_registry(MESH_AGENT_OS_NT, L"InstallationType");
    machine = 0;

    for (i = 0; virtual[i]; i++) {
        if ((maker && strstr(maker, virtual[i]))
            || (product && strstr(product, virtual[i])))
        {
            machine = MESH_AGENT_VIRTUAL;
        }
    }

    if (machine == 0 && type && strncmp(type, "Server", 6) == 0) {
        machine = MESH_AGENT_SERVER;
    }

    free(maker);
    free(product);
    free(type);

    if (machine) {
        return (uint32_t) machine;
    }

    /* 128: no battery, 255: not known */
    return GetSystemPowerStatus(&power) && power.BatteryFlag < 128
           ? MESH_AGENT_LAPTOP : MESH_AGENT_DESKTOP;
}
