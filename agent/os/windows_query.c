/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Windows: facts for the scripts in agent/js/host/windows, as JSON.  Text that
 * other programs chose is data: it is escaped, and what is no UTF-16 becomes
 * U+FFFD.
 */

#include "mesh_agent_windows.h"

#include <iphlpapi.h>
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>
#include <winioctl.h>
#include <winternl.h>
#include <wtsapi32.h>

#include "../../proto/mesh_agent_msg.h"
#include "mesh_agent_host.h"
#include "mesh_agent_os.h"


#define MESH_AGENT_OS_JSON     (8 * 1024 * 1024)   /* bytes of an answer */
#define MESH_AGENT_OS_LIST     4096                /* of processes and so on */
#define MESH_AGENT_OS_CPUS     1024
#define MESH_AGENT_OS_DISKS    32
#define MESH_AGENT_OS_RSMB     0x52534d42          /* "RSMB" */
#define MESH_AGENT_OS_COMMAND  4096                /* characters */

#define MESH_AGENT_OS_DISPLAYS                                               \
    L"SYSTEM\\CurrentControlSet\\Control\\Class"                               \
    L"\\{4d36e968-e325-11ce-bfc1-08002be10318}"
#define MESH_AGENT_OS_CONTROL  L"SYSTEM\\CurrentControlSet\\Control"


typedef struct {
    char    *text;
    size_t   len;
    size_t   size;
    int      full;
} mesh_agent_os_json_t;

typedef struct {
    const char  *name;
    void       (*write)(mesh_agent_os_json_t *j, const char *argument);
} mesh_agent_os_query_t;

typedef struct {
    LARGE_INTEGER  idle;
    LARGE_INTEGER  kernel;                /* with idle */
    LARGE_INTEGER  user;
    LARGE_INTEGER  reserved[2];
    ULONG          more;
} mesh_agent_os_ticks_t;

typedef NTSTATUS (WINAPI *mesh_agent_os_system_pt)(int what, void *buf,
    ULONG len, ULONG *used);
typedef NTSTATUS (WINAPI *mesh_agent_os_process_pt)(HANDLE process, int what,
    void *buf, ULONG len, ULONG *used);


static void mesh_agent_os_drives(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_adapters(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_adapter(mesh_agent_os_json_t *j,
    const IP_ADAPTER_ADDRESSES *a);
static void mesh_agent_os_address(mesh_agent_os_json_t *j, const char *name,
    const SOCKET_ADDRESS *address);
static void mesh_agent_os_neighbours(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_system(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_load(mesh_agent_os_json_t *j, const char *argument);
static void mesh_agent_os_processes_json(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_process_json(mesh_agent_os_json_t *j,
    const PROCESSENTRY32W *entry);
static void mesh_agent_os_process_user(mesh_agent_os_json_t *j,
    HANDLE process);
static void mesh_agent_os_process_command(mesh_agent_os_json_t *j,
    HANDLE process);
static void mesh_agent_os_sessions(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_session_text(mesh_agent_os_json_t *j,
    const char *name, DWORD id, WTS_INFO_CLASS what);
static void mesh_agent_os_services(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_service_json(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_service_start(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_service_stop(mesh_agent_os_json_t *j,
    const char *argument);
static const char *mesh_agent_os_service_state_name(DWORD state);
static SC_HANDLE mesh_agent_os_service_open(const char *name, DWORD access);
static void mesh_agent_os_smbios(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_disks(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_screens(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_battery(mesh_agent_os_json_t *j,
    const char *argument);
static void mesh_agent_os_raw(mesh_agent_os_json_t *j, const char *text,
    size_t len);
static void mesh_agent_os_put(mesh_agent_os_json_t *j, const char *text);
static void mesh_agent_os_open(mesh_agent_os_json_t *j, char bracket);
static void mesh_agent_os_close(mesh_agent_os_json_t *j, char bracket);
static void mesh_agent_os_name_json(mesh_agent_os_json_t *j,
    const char *name);
static void mesh_agent_os_text(mesh_agent_os_json_t *j, const char *name,
    const char *text);
static void mesh_agent_os_wide_text(mesh_agent_os_json_t *j,
    const char *name, const wchar_t *text);
static void mesh_agent_os_registry_text(mesh_agent_os_json_t *j,
    const char *name, const wchar_t *key, const wchar_t *value);
static void mesh_agent_os_number(mesh_agent_os_json_t *j, const char *name,
    double number);
static FARPROC mesh_agent_os_native(const char *name);
static double mesh_agent_os_time(FILETIME t);


static const mesh_agent_os_query_t  mesh_agent_os_queries[] = {
    { "drives",        mesh_agent_os_drives },
    { "adapters",      mesh_agent_os_adapters },
    { "neighbours",    mesh_agent_os_neighbours },
    { "system",        mesh_agent_os_system },
    { "load",          mesh_agent_os_load },
    { "processes",     mesh_agent_os_processes_json },
    { "sessions",      mesh_agent_os_sessions },
    { "services",      mesh_agent_os_services },
    { "service",       mesh_agent_os_service_json },
    { "service-start", mesh_agent_os_service_start },
    { "service-stop",  mesh_agent_os_service_stop },
    { "smbios",        mesh_agent_os_smbios },
    { "disks",         mesh_agent_os_disks },
    { "screens",       mesh_agent_os_screens },
    { "battery",       mesh_agent_os_battery },
    { NULL, NULL }
};


char *
mesh_agent_os_query(const char *name, const char *argument)
{
    mesh_agent_os_json_t          j;
    const mesh_agent_os_query_t  *q;

    for (q = mesh_agent_os_queries; q->name; q++) {
        if (strcmp(q->name, name) == 0) {
            memset(&j, 0, sizeof(mesh_agent_os_json_t));
            q->write(&j, argument);

            if (j.full || j.len == 0) {
                free(j.text);
                return NULL;
            }

            j.text[j.len] = '\0';
            return j.text;
        }
    }

    return NULL;
}


/* [{name, type, size, free, system, label}]; sizes where there is a disk */
static void
mesh_agent_os_drives(mesh_agent_os_json_t *j, const char *argument)
{
    int              i;
    UINT             type;
    DWORD            mask;
    wchar_t          root[4] = L"A:\\", label[MAX_PATH + 1], fs[MAX_PATH + 1];
    ULARGE_INTEGER   size, left;

    static const char *const  types[] = {
        "UNKNOWN", "UNKNOWN", "REMOVABLE", "FIXED", "REMOTE", "CDROM",
        "RAMDISK"
    };

    mask = GetLogicalDrives();
    mesh_agent_os_open(j, '[');

    for (i = 0; i < 26; i++) {
        if ((mask & (1u << i)) == 0) {
            continue;
        }

        root[0] = (wchar_t) (L'A' + i);
        type = GetDriveTypeW(root);

        if (type == DRIVE_NO_ROOT_DIR) {
            continue;
        }

        mesh_agent_os_open(j, '{');
        mesh_agent_os_wide_text(j, "name", root);
        mesh_agent_os_text(j, "type", types[type <= DRIVE_RAMDISK ? type : 0]);

        /* a network may be away for long, and an empty drive has none */
        if (type == DRIVE_FIXED || type == DRIVE_RAMDISK
            || (type == DRIVE_REMOVABLE && i > 1))
        {
            if (GetDiskFreeSpaceExW(root, NULL, &size, &left)) {
                mesh_agent_os_number(j, "size", (double) size.QuadPart);
                mesh_agent_os_number(j, "free", (double) left.QuadPart);
            }

            label[0] = fs[0] = L'\0';

            if (GetVolumeInformationW(root, label, MAX_PATH, NULL, NULL, NULL,
                                      fs, MAX_PATH))
            {
                mesh_agent_os_wide_text(j, "label", label);
                mesh_agent_os_wide_text(j, "system", fs);
            }
        }

        mesh_agent_os_close(j, '}');
    }

    mesh_agent_os_close(j, ']');
}


/*
 * [{name, desc, index, type, mac, status, speed, suffix, addresses: [{address,
 * prefix}], gateways: [], dns: []}]
 */
static void
mesh_agent_os_adapters(mesh_agent_os_json_t *j, const char *argument)
{
    int                          i;
    ULONG                        size, rc;
    IP_ADAPTER_ADDRESSES        *list;
    const IP_ADAPTER_ADDRESSES  *a;

    size = 32768;
    list = NULL;
    rc = ERROR_BUFFER_OVERFLOW;

    for (i = 0; i < 4 && rc == ERROR_BUFFER_OVERFLOW; i++) {
        list = mesh_agent_realloc(list, size);
        rc = GetAdaptersAddresses(AF_UNSPEC, GAA_FLAG_INCLUDE_GATEWAYS
                                  |GAA_FLAG_SKIP_ANYCAST
                                  |GAA_FLAG_SKIP_MULTICAST, NULL, list,
                                  &size);
    }

    mesh_agent_os_open(j, '[');

    for (a = list; rc == ERROR_SUCCESS && a; a = a->Next) {
        mesh_agent_os_adapter(j, a);
    }

    mesh_agent_os_close(j, ']');
    free(list);
}


static void
mesh_agent_os_adapter(mesh_agent_os_json_t *j, const IP_ADAPTER_ADDRESSES *a)
{
    char                                mac[18];
    const BYTE                         *p;
    const char                         *type;
    const IP_ADAPTER_UNICAST_ADDRESS   *u;
    const IP_ADAPTER_GATEWAY_ADDRESS   *g;
    const IP_ADAPTER_DNS_SERVER_ADDRESS  *d;

    switch (a->IfType) {

    case IF_TYPE_SOFTWARE_LOOPBACK:
        type = "loopback";
        break;

    case IF_TYPE_IEEE80211:
        type = "wireless";
        break;

    case IF_TYPE_PPP:
        type = "ppp";
        break;

    case IF_TYPE_TUNNEL:
        type = "tunnel";
        break;

    default:
        type = "ethernet";
        break;
    }

    mesh_agent_os_open(j, '{');
    mesh_agent_os_wide_text(j, "name", a->FriendlyName);
    mesh_agent_os_wide_text(j, "desc", a->Description);
    mesh_agent_os_wide_text(j, "suffix", a->DnsSuffix);
    mesh_agent_os_text(j, "type", type);
    mesh_agent_os_text(j, "status", a->OperStatus == IfOperStatusUp ? "up"
                                                                   : "down");
    mesh_agent_os_number(j, "index", a->IfIndex ? a->IfIndex
                                                : a->Ipv6IfIndex);

    if (a->TransmitLinkSpeed != ~0ULL && a->TransmitLinkSpeed) {
        mesh_agent_os_number(j, "speed", (double) a->TransmitLinkSpeed);
    }

    p = a->PhysicalAddress;

    if (a->PhysicalAddressLength == 6) {
        (void) snprintf(mac, sizeof(mac), "%02X:%02X:%02X:%02X:%02X:%02X",
                        p[0], p[1], p[2], p[3], p[4], p[5]);
        mesh_agent_os_text(j, "mac", mac);
    }

    mesh_agent_os_name_json(j, "addresses");
    mesh_agent_os_open(j, '[');

    for (u = a->FirstUnicastAddress; u; u = u->Next) {
        mesh_agent_os_open(j, '{');
        mesh_agent_os_address(j, "address", &u->Address);
        mesh_agent_os_number(j, "prefix", u->OnLinkPrefixLength);
        mesh_agent_os_close(j, '}');
    }

    mesh_agent_os_close(j, ']');
    mesh_agent_os_name_json(j, "gateways");
    mesh_agent_os_open(j, '[');

    for (g = a->FirstGatewayAddress; g; g = g->Next) {
        mesh_agent_os_address(j, NULL, &g->Address);
    }

    mesh_agent_os_close(j, ']');
    mesh_agent_os_name_json(j, "dns");
    mesh_agent_os_open(j, '[');

    for (d = a->FirstDnsServerAddress; d; d = d->Next) {
        mesh_agent_os_address(j, NULL, &d->Address);
    }

    mesh_agent_os_close(j, ']');
    mesh_agent_os_close(j, '}');
}


static void
mesh_agent_os_address(mesh_agent_os_json_t *j, const char *name,
    const SOCKET_ADDRESS *address)
{
    int   rc;
    char  text[64];

    rc = address->lpSockaddr->sa_family == AF_INET6
         ? uv_ip6_name((struct sockaddr_in6 *) address->lpSockaddr, text,
                       sizeof(text))
         : uv_ip4_name((struct sockaddr_in *) address->lpSockaddr, text,
                       sizeof(text));

    mesh_agent_os_text(j, name, rc == 0 ? text : "");
}


/* [{address, mac}] of IPv4 */
static void
mesh_agent_os_neighbours(mesh_agent_os_json_t *j, const char *argument)
{
    int             i;
    char            text[18];
    ULONG           size, rc;
    DWORD           n;
    const BYTE     *p;
    MIB_IPNETTABLE *table;

    size = 16384;
    table = NULL;
    rc = ERROR_INSUFFICIENT_BUFFER;

    for (i = 0; i < 4 && rc == ERROR_INSUFFICIENT_BUFFER; i++) {
        table = mesh_agent_realloc(table, size);
        rc = GetIpNetTable(table, &size, FALSE);
    }

    mesh_agent_os_open(j, '[');

    for (n = 0; rc == NO_ERROR && n < table->dwNumEntries; n++) {
        if (table->table[n].dwPhysAddrLen != 6 || n >= MESH_AGENT_OS_LIST) {
            continue;
        }

        mesh_agent_os_open(j, '{');
        p = (const BYTE *) &table->table[n].dwAddr;
        (void) snprintf(text, sizeof(text), "%u.%u.%u.%u", p[0], p[1], p[2],
                        p[3]);
        mesh_agent_os_text(j, "address", text);
        p = table->table[n].bPhysAddr;
        (void) snprintf(text, sizeof(text), "%02X:%02X:%02X:%02X:%02X:%02X",
                        p[0], p[1], p[2], p[3], p[4], p[5]);
        mesh_agent_os_text(j, "mac", text);
        mesh_agent_os_close(j, '}');
    }

    mesh_agent_os_close(j, ']');
    free(table);
}


/* {name, version, admin, user, session, memory, cpu, cores, threads, uefi} */
static void
mesh_agent_os_system(mesh_agent_os_json_t *j, const char *argument)
{
    char                                   name[256], version[64];
    DWORD                                  size, session, cores, kind;
    wchar_t                                user[257];
    SYSTEM_INFO                            info;
    MEMORYSTATUSEX                         memory;
    OSVERSIONINFOW                         os;
    BYTE                                  *buf, *p;
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX  *entry;
    NTSTATUS                             (WINAPI *get)(OSVERSIONINFOW *os);

    mesh_agent_os_open(j, '{');

    mesh_agent_os_name(name, sizeof(name));
    mesh_agent_os_text(j, "name", name);

    memset(&os, 0, sizeof(os));
    os.dwOSVersionInfoSize = sizeof(os);
    get = (NTSTATUS (WINAPI *)(OSVERSIONINFOW *))
          (void *) mesh_agent_os_native("RtlGetVersion");

    if (get && get(&os) == 0) {
        (void) snprintf(version, sizeof(version), "%lu.%lu.%lu",
                        os.dwMajorVersion, os.dwMinorVersion,
                        os.dwBuildNumber);
        mesh_agent_os_text(j, "version", version);
    }

    mesh_agent_os_number(j, "admin", mesh_agent_os_admin());

    size = 257;

    if (GetUserNameW(user, &size)) {
        mesh_agent_os_wide_text(j, "user", user);
    }

    if (ProcessIdToSessionId(GetCurrentProcessId(), &session)) {
        mesh_agent_os_number(j, "session", session);
    }

    memset(&memory, 0, sizeof(MEMORYSTATUSEX));
    memory.dwLength = sizeof(MEMORYSTATUSEX);

    if (GlobalMemoryStatusEx(&memory)) {
        mesh_agent_os_number(j, "memory", (double) memory.ullTotalPhys);
    }

    mesh_agent_os_registry_text(j, "cpu",
        L"HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
        L"ProcessorNameString");

    GetNativeSystemInfo(&info);
    mesh_agent_os_number(j, "threads", info.dwNumberOfProcessors);

    size = 0;
    cores = 0;
    (void) GetLogicalProcessorInformationEx(RelationProcessorCore, NULL,
                                            &size);
    buf = size > 0 && size < 1024 * 1024 ? mesh_agent_alloc(size) : NULL;

    if (buf && GetLogicalProcessorInformationEx(RelationProcessorCore,
            (SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *) buf, &size))
    {
        for (p = buf; p < buf + size; p += entry->Size) {
            entry = (SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *) p;
            cores++;

            if (entry->Size == 0) {
                break;
            }
        }
    }

    free(buf);

    if (cores) {
        mesh_agent_os_number(j, "cores", cores);
    }

    size = sizeof(kind);

    if (RegGetValueW(HKEY_LOCAL_MACHINE, MESH_AGENT_OS_CONTROL,
                     L"PEFirmwareType", RRF_RT_REG_DWORD, NULL, &kind, &size)
        == ERROR_SUCCESS)
    {
        mesh_agent_os_text(j, "firmware", kind == 2 ? "UEFI" : "Legacy");
    }

    mesh_agent_os_number(j, "restart",
        RegGetValueW(HKEY_LOCAL_MACHINE, L"SOFTWARE\\Microsoft\\Windows"
                     L"\\CurrentVersion\\WindowsUpdate\\Auto Update"
                     L"\\RebootRequired", NULL, RRF_RT_ANY, NULL, NULL, NULL)
        == ERROR_SUCCESS);

    mesh_agent_os_close(j, '}');
}


/* {total, free, cpus: [{busy, total}]}: bytes, and ticks since the start */
static void
mesh_agent_os_load(mesh_agent_os_json_t *j, const char *argument)
{
    double                    idle, all, sum_idle, sum_all;
    ULONG                     used, i, n;
    FILETIME                  fi, fk, fu;
    MEMORYSTATUSEX            memory;
    mesh_agent_os_ticks_t    *ticks;
    mesh_agent_os_system_pt   get;

    mesh_agent_os_open(j, '{');

    memset(&memory, 0, sizeof(MEMORYSTATUSEX));
    memory.dwLength = sizeof(MEMORYSTATUSEX);

    if (GlobalMemoryStatusEx(&memory)) {
        mesh_agent_os_number(j, "total", (double) memory.ullTotalPhys);
        mesh_agent_os_number(j, "free", (double) memory.ullAvailPhys);
    }

    mesh_agent_os_name_json(j, "cpus");
    mesh_agent_os_open(j, '[');

    sum_idle = sum_all = 0;

    if (GetSystemTimes(&fi, &fk, &fu)) {
        sum_idle = mesh_agent_os_time(fi);
        sum_all = mesh_agent_os_time(fk) + mesh_agent_os_time(fu);
    }

    mesh_agent_os_open(j, '{');
    mesh_agent_os_number(j, "busy", sum_all - sum_idle);
    mesh_agent_os_number(j, "total", sum_all);
    mesh_agent_os_close(j, '}');

    get = (mesh_agent_os_system_pt) (void *)
          mesh_agent_os_native("NtQuerySystemInformation");
    ticks = mesh_agent_alloc(MESH_AGENT_OS_CPUS
                             * sizeof(mesh_agent_os_ticks_t));
    used = 0;

    /* 8: SystemProcessorPerformanceInformation */
    if (get && get(8, ticks, MESH_AGENT_OS_CPUS
                   * sizeof(mesh_agent_os_ticks_t), &used) == 0)
    {
        n = used / sizeof(mesh_agent_os_ticks_t);

        for (i = 0; i < n && i < MESH_AGENT_OS_CPUS; i++) {
            idle = (double) ticks[i].idle.QuadPart;
            all = (double) ticks[i].kernel.QuadPart
                  + (double) ticks[i].user.QuadPart;
            mesh_agent_os_open(j, '{');
            mesh_agent_os_number(j, "busy", all - idle);
            mesh_agent_os_number(j, "total", all);
            mesh_agent_os_close(j, '}');
        }
    }

    free(ticks);
    mesh_agent_os_close(j, ']');
    mesh_agent_os_close(j, '}');
}


/* [{pid, ppid, name, threads, user, path, cmd, memory}], or of one number */
static void
mesh_agent_os_processes_json(mesh_agent_os_json_t *j, const char *argument)
{
    int               n;
    BOOL              more;
    DWORD             only;
    HANDLE            list;
    PROCESSENTRY32W   entry;

    only = (DWORD) strtoul(argument, NULL, 10);
    list = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);

    if (list == INVALID_HANDLE_VALUE) {
        return;
    }

    memset(&entry, 0, sizeof(PROCESSENTRY32W));
    entry.dwSize = sizeof(PROCESSENTRY32W);
    mesh_agent_os_open(j, '[');

    more = Process32FirstW(list, &entry);

    for (n = 0; more && n < MESH_AGENT_OS_LIST; n++) {
        if (*argument == '\0' || entry.th32ProcessID == only) {
            mesh_agent_os_process_json(j, &entry);
        }

        more = Process32NextW(list, &entry);
    }

    mesh_agent_os_close(j, ']');
    (void) CloseHandle(list);
}


static void
mesh_agent_os_process_json(mesh_agent_os_json_t *j,
    const PROCESSENTRY32W *entry)
{
    DWORD                      size;
    HANDLE                     process;
    wchar_t                    path[MESH_AGENT_OS_COMMAND];
    PROCESS_MEMORY_COUNTERS    memory;

    mesh_agent_os_open(j, '{');
    mesh_agent_os_number(j, "pid", entry->th32ProcessID);
    mesh_agent_os_number(j, "ppid", entry->th32ParentProcessID);
    mesh_agent_os_number(j, "threads", entry->cntThreads);
    mesh_agent_os_wide_text(j, "name", entry->szExeFile);

    process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE,
                          entry->th32ProcessID);

    if (process) {
        size = MESH_AGENT_OS_COMMAND;

        if (QueryFullProcessImageNameW(process, 0, path, &size)) {
            mesh_agent_os_wide_text(j, "path", path);
        }

        if (GetProcessMemoryInfo(process, &memory, sizeof(memory))) {
            mesh_agent_os_number(j, "memory", (double) memory.WorkingSetSize);
        }

        mesh_agent_os_process_user(j, process);
        mesh_agent_os_process_command(j, process);
        (void) CloseHandle(process);
    }

    mesh_agent_os_close(j, '}');
}


static void
mesh_agent_os_process_user(mesh_agent_os_json_t *j, HANDLE process)
{
    BYTE          buf[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE]
                      __attribute__((aligned(8)));
    DWORD         size, n, m;
    HANDLE        token;
    wchar_t       name[257], domain[257];
    SID_NAME_USE  use;

    if (!OpenProcessToken(process, TOKEN_QUERY, &token)) {
        return;
    }

    n = m = 257;

    if (GetTokenInformation(token, TokenUser, buf, sizeof(buf), &size)
        && LookupAccountSidW(NULL, ((TOKEN_USER *) buf)->User.Sid, name, &n,
                             domain, &m, &use))
    {
        mesh_agent_os_wide_text(j, "user", name);
    }

    (void) CloseHandle(token);
}


static void
mesh_agent_os_process_command(mesh_agent_os_json_t *j, HANDLE process)
{
    BYTE                       *buf;
    ULONG                       used;
    wchar_t                     text[MESH_AGENT_OS_COMMAND + 1];
    size_t                      n;
    UNICODE_STRING             *line;
    mesh_agent_os_process_pt    get;

    get = (mesh_agent_os_process_pt) (void *)
          mesh_agent_os_native("NtQueryInformationProcess");

    if (get == NULL) {
        return;
    }

    buf = mesh_agent_alloc(65536 + sizeof(UNICODE_STRING));
    line = (UNICODE_STRING *) buf;

    /* 60: ProcessCommandLineInformation, from 8.1 on */
    if (get(process, 60, buf, 65536 + sizeof(UNICODE_STRING), &used) == 0
        && line->Buffer)
    {
        n = line->Length / sizeof(wchar_t);
        n = n < MESH_AGENT_OS_COMMAND ? n : MESH_AGENT_OS_COMMAND;
        memcpy(text, line->Buffer, n * sizeof(wchar_t));
        text[n] = L'\0';
        mesh_agent_os_wide_text(j, "cmd", text);
    }

    free(buf);
}


/* [{id, station, state, user, domain}] of who is logged in */
static void
mesh_agent_os_sessions(mesh_agent_os_json_t *j, const char *argument)
{
    DWORD              i, n;
    WTS_SESSION_INFOW *list;

    static const char *const  states[] = {
        "Active", "Connected", "ConnectQuery", "Shadow", "Disconnected",
        "Idle", "Listening", "Reset", "Down", "Init"
    };

    mesh_agent_os_open(j, '[');

    if (WTSEnumerateSessionsW(WTS_CURRENT_SERVER_HANDLE, 0, 1, &list, &n)) {
        for (i = 0; i < n && i < MESH_AGENT_OS_LIST; i++) {
            mesh_agent_os_open(j, '{');
            mesh_agent_os_number(j, "id", list[i].SessionId);
            mesh_agent_os_wide_text(j, "station", list[i].pWinStationName);
            mesh_agent_os_text(j, "state", (unsigned) list[i].State < 10
                                           ? states[list[i].State] : "");
            mesh_agent_os_session_text(j, "user", list[i].SessionId,
                                       WTSUserName);
            mesh_agent_os_session_text(j, "domain", list[i].SessionId,
                                       WTSDomainName);
            mesh_agent_os_close(j, '}');
        }

        WTSFreeMemory(list);
    }

    mesh_agent_os_close(j, ']');
}


static void
mesh_agent_os_session_text(mesh_agent_os_json_t *j, const char *name,
    DWORD id, WTS_INFO_CLASS what)
{
    DWORD    size;
    wchar_t *text;

    text = NULL;

    if (WTSQuerySessionInformationW(WTS_CURRENT_SERVER_HANDLE, id, what, &text,
                                    &size) && text)
    {
        mesh_agent_os_wide_text(j, name, text);
        WTSFreeMemory(text);
    }
}


/* [{name, displayName, status, pid}] */
static void
mesh_agent_os_services(mesh_agent_os_json_t *j, const char *argument)
{
    BYTE                          *buf;
    DWORD                          i, n, size, at;
    SC_HANDLE                      scm;
    ENUM_SERVICE_STATUS_PROCESSW  *list;

    scm = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT
                                     |SC_MANAGER_ENUMERATE_SERVICE);

    if (scm == NULL) {
        return;
    }

    size = 0;
    n = 0;
    at = 0;
    (void) EnumServicesStatusExW(scm, SC_ENUM_PROCESS_INFO, SERVICE_WIN32,
                                 SERVICE_STATE_ALL, NULL, 0, &size, &n, &at,
                                 NULL);

    /* a service may come meanwhile */
    size = (size < 4 * 1024 * 1024 ? size : 4 * 1024 * 1024) + 4096;
    buf = mesh_agent_alloc(size);
    list = (ENUM_SERVICE_STATUS_PROCESSW *) buf;
    at = 0;
    n = 0;

    mesh_agent_os_open(j, '[');

    if (EnumServicesStatusExW(scm, SC_ENUM_PROCESS_INFO, SERVICE_WIN32,
                              SERVICE_STATE_ALL, buf, size, &size, &n, &at,
                              NULL))
    {
        for (i = 0; i < n && i < MESH_AGENT_OS_LIST; i++) {
            mesh_agent_os_open(j, '{');
            mesh_agent_os_wide_text(j, "name", list[i].lpServiceName);
            mesh_agent_os_wide_text(j, "displayName", list[i].lpDisplayName);
            mesh_agent_os_text(j, "status", mesh_agent_os_service_state_name(
                list[i].ServiceStatusProcess.dwCurrentState));
            mesh_agent_os_number(j, "pid",
                list[i].ServiceStatusProcess.dwProcessId);
            mesh_agent_os_close(j, '}');
        }
    }

    mesh_agent_os_close(j, ']');
    free(buf);
    (void) CloseServiceHandle(scm);
}


static const char *
mesh_agent_os_service_state_name(DWORD state)
{
    static const char *const  names[] = {
        "UNKNOWN", "STOPPED", "START_PENDING", "STOP_PENDING", "RUNNING",
        "CONTINUE_PENDING", "PAUSE_PENDING", "PAUSED"
    };

    return names[state < 8 ? state : 0];
}


static SC_HANDLE
mesh_agent_os_service_open(const char *name, DWORD access)
{
    wchar_t    *wide;
    SC_HANDLE   scm, service;

    wide = mesh_agent_os_wide(name);
    scm = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    service = scm && wide ? OpenServiceW(scm, wide, access) : NULL;

    if (scm) {
        (void) CloseServiceHandle(scm);
    }

    free(wide);

    return service;
}


/* {name, displayName, status, startType, user, pid} */
static void
mesh_agent_os_service_json(mesh_agent_os_json_t *j, const char *argument)
{
    BYTE                    *buf;
    DWORD                    size;
    SC_HANDLE                service;
    QUERY_SERVICE_CONFIGW   *conf;
    SERVICE_STATUS_PROCESS   status;

    static const char *const  types[] = {
        "BOOT_START", "SYSTEM_START", "AUTO_START", "DEMAND_START", "DISABLED"
    };

    service = mesh_agent_os_service_open(argument, SERVICE_QUERY_CONFIG
                                                   |SERVICE_QUERY_STATUS);

    if (service == NULL) {
        return;
    }

    mesh_agent_os_open(j, '{');
    mesh_agent_os_text(j, "name", argument);

    size = 8192;                          /* what the call itself allows */
    buf = mesh_agent_alloc(size);
    conf = (QUERY_SERVICE_CONFIGW *) buf;

    if (QueryServiceConfigW(service, conf, size, &size)) {
        mesh_agent_os_wide_text(j, "displayName", conf->lpDisplayName);
        mesh_agent_os_wide_text(j, "user", conf->lpServiceStartName);
        mesh_agent_os_text(j, "startType", conf->dwStartType < 5
                                           ? types[conf->dwStartType] : "");
    }

    free(buf);

    if (QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO,
                             (BYTE *) &status, sizeof(status), &size))
    {
        mesh_agent_os_text(j, "status", mesh_agent_os_service_state_name(
                                            status.dwCurrentState));
        mesh_agent_os_number(j, "pid", status.dwProcessId);
    }

    mesh_agent_os_close(j, '}');
    (void) CloseServiceHandle(service);
}


/* true, or nothing */
static void
mesh_agent_os_service_start(mesh_agent_os_json_t *j, const char *argument)
{
    SC_HANDLE  service;

    service = mesh_agent_os_service_open(argument, SERVICE_START);

    if (service) {
        if (StartServiceW(service, 0, NULL)
            || GetLastError() == ERROR_SERVICE_ALREADY_RUNNING)
        {
            mesh_agent_os_put(j, "true");
        }

        (void) CloseServiceHandle(service);
    }
}


static void
mesh_agent_os_service_stop(mesh_agent_os_json_t *j, const char *argument)
{
    SC_HANDLE       service;
    SERVICE_STATUS  status;

    service = mesh_agent_os_service_open(argument, SERVICE_STOP);

    if (service) {
        if (ControlService(service, SERVICE_CONTROL_STOP, &status)
            || GetLastError() == ERROR_SERVICE_NOT_ACTIVE)
        {
            mesh_agent_os_put(j, "true");
        }

        (void) CloseServiceHandle(service);
    }
}


/* the table, in hexadecimal digits */
static void
mesh_agent_os_smbios(mesh_agent_os_json_t *j, const char *argument)
{
    BYTE   *buf;
    char   *text;
    DWORD   size, n, len;

    size = GetSystemFirmwareTable(MESH_AGENT_OS_RSMB, 0, NULL, 0);

    /* before it: two bytes of versions, revision, and its length */
    if (size <= 8 || size > 1024 * 1024) {
        return;
    }

    buf = mesh_agent_alloc(size);
    n = GetSystemFirmwareTable(MESH_AGENT_OS_RSMB, 0, buf, size);

    if (n > 8 && n <= size) {
        memcpy(&len, buf + 4, sizeof(len));
        len = len < n - 8 ? len : n - 8;
        text = mesh_agent_alloc(2 * (size_t) len + 1);
        mesh_hex_encode(text, buf + 8, len, 0);
        text[2 * (size_t) len] = '\0';
        mesh_agent_os_text(j, NULL, text);
        free(text);
    }

    free(buf);
}


/* [{name, model, size}] */
static void
mesh_agent_os_disks(mesh_agent_os_json_t *j, const char *argument)
{
    int                         i;
    char                        name[32], model[256];
    BYTE                        buf[1024] __attribute__((aligned(8)));
    DWORD                       size;
    HANDLE                      disk;
    wchar_t                     path[32];
    DISK_GEOMETRY_EX            geometry;
    STORAGE_PROPERTY_QUERY      query;
    STORAGE_DEVICE_DESCRIPTOR  *about;

    mesh_agent_os_open(j, '[');

    for (i = 0; i < MESH_AGENT_OS_DISKS; i++) {
        (void) swprintf(path, 32, L"\\\\.\\PhysicalDrive%d", i);
        disk = CreateFileW(path, 0, FILE_SHARE_READ|FILE_SHARE_WRITE, NULL,
                           OPEN_EXISTING, 0, NULL);

        if (disk == INVALID_HANDLE_VALUE) {
            continue;
        }

        (void) snprintf(name, sizeof(name), "PhysicalDrive%d", i);
        mesh_agent_os_open(j, '{');
        mesh_agent_os_text(j, "name", name);

        memset(&query, 0, sizeof(query));
        memset(buf, 0, sizeof(buf));
        query.PropertyId = StorageDeviceProperty;
        query.QueryType = PropertyStandardQuery;
        about = (STORAGE_DEVICE_DESCRIPTOR *) buf;

        if (DeviceIoControl(disk, IOCTL_STORAGE_QUERY_PROPERTY, &query,
                            sizeof(query), buf, sizeof(buf) - 1, &size, NULL)
            && about->ProductIdOffset
            && about->ProductIdOffset < sizeof(buf) - 1)
        {
            (void) snprintf(model, sizeof(model), "%s",
                            (char *) buf + about->ProductIdOffset);
            mesh_agent_os_text(j, "model", model);
        }

        if (DeviceIoControl(disk, IOCTL_DISK_GET_DRIVE_GEOMETRY_EX, NULL, 0,
                            &geometry, sizeof(geometry), &size, NULL))
        {
            mesh_agent_os_number(j, "size",
                                 (double) geometry.DiskSize.QuadPart);
        }

        mesh_agent_os_close(j, '}');
        (void) CloseHandle(disk);
    }

    mesh_agent_os_close(j, ']');
}


/* [name] of display controllers, of the registry: a service has no screen */
static void
mesh_agent_os_screens(mesh_agent_os_json_t *j, const char *argument)
{
    int      i;
    DWORD    size;
    HKEY     class;
    wchar_t  key[8], name[256];

    mesh_agent_os_open(j, '[');

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, MESH_AGENT_OS_DISPLAYS, 0, KEY_READ,
                      &class)
        == ERROR_SUCCESS)
    {
        for (i = 0; i < MESH_AGENT_OS_DISKS; i++) {
            (void) swprintf(key, 8, L"%04d", i);
            size = sizeof(name);

            if (RegGetValueW(class, key, L"DriverDesc", RRF_RT_REG_SZ, NULL,
                             name, &size)
                == ERROR_SUCCESS)
            {
                mesh_agent_os_wide_text(j, NULL, name);
            }
        }

        (void) RegCloseKey(class);
    }

    mesh_agent_os_close(j, ']');
}


/* {level, mains}, or nothing without one */
static void
mesh_agent_os_battery(mesh_agent_os_json_t *j, const char *argument)
{
    SYSTEM_POWER_STATUS  power;

    if (GetSystemPowerStatus(&power) && power.BatteryFlag < 128
        && power.BatteryLifePercent <= 100)
    {
        mesh_agent_os_open(j, '{');
        mesh_agent_os_number(j, "level", power.BatteryLifePercent);
        mesh_agent_os_number(j, "mains", power.ACLineStatus == 1);
        mesh_agent_os_close(j, '}');
    }
}


static FARPROC
mesh_agent_os_native(const char *name)
{
    HMODULE  ntdll;

    ntdll = GetModuleHandleW(L"ntdll.dll");

    return ntdll ? GetProcAddress(ntdll, name) : NULL;
}


static double
mesh_agent_os_time(FILETIME t)
{
    return (double) (((uint64_t) t.dwHighDateTime << 32) | t.dwLowDateTime);
}


static void
mesh_agent_os_raw(mesh_agent_os_json_t *j, const char *text, size_t len)
{
    if (j->full || j->len + len + 1 > MESH_AGENT_OS_JSON) {
        j->full = 1;
        return;
    }

    if (j->len + len + 1 > j->size) {
        j->size = 2 * (j->len + len) + 1024;
        j->text = mesh_agent_realloc(j->text, j->size);
    }

    memcpy(j->text + j->len, text, len);
    j->len += len;
}


static void
mesh_agent_os_put(mesh_agent_os_json_t *j, const char *text)
{
    mesh_agent_os_raw(j, text, strlen(text));
}


/* a comma where something stands before it */
static void
mesh_agent_os_open(mesh_agent_os_json_t *j, char bracket)
{
    mesh_agent_os_name_json(j, NULL);
    mesh_agent_os_raw(j, &bracket, 1);
}


static void
mesh_agent_os_close(mesh_agent_os_json_t *j, char bracket)
{
    mesh_agent_os_raw(j, &bracket, 1);
}


/* name: of ours, without anything to escape; NULL: an element */
static void
mesh_agent_os_name_json(mesh_agent_os_json_t *j, const char *name)
{
    if (j->len && strchr("[{:", j->text[j->len - 1]) == NULL) {
        mesh_agent_os_put(j, ",");
    }

    if (name) {
        mesh_agent_os_put(j, "\"");
        mesh_agent_os_put(j, name);
        mesh_agent_os_put(j, "\":");
    }
}


static void
mesh_agent_os_text(mesh_agent_os_json_t *j, const char *name,
    const char *text)
{
    char         escape[8];
    const char  *p;

    mesh_agent_os_name_json(j, name);
    mesh_agent_os_put(j, "\"");

    for (p = text; *p; p++) {
        if ((unsigned char) *p < 0x20 || *p == '"' || *p == '\\') {
            (void) snprintf(escape, sizeof(escape), "\\u%04x",
                            (unsigned char) *p);
            mesh_agent_os_put(j, escape);
        } else {
            mesh_agent_os_raw(j, p, 1);
        }
    }

    mesh_agent_os_put(j, "\"");
}


static void
mesh_agent_os_wide_text(mesh_agent_os_json_t *j, const char *name,
    const wchar_t *text)
{
    char  *utf8;

    utf8 = text ? mesh_agent_os_utf8(text) : NULL;

    mesh_agent_os_text(j, name, utf8 ? utf8 : "");
    free(utf8);
}


static void
mesh_agent_os_registry_text(mesh_agent_os_json_t *j, const char *name,
    const wchar_t *key, const wchar_t *value)
{
    char  *text;

    text = mesh_agent_os_registry(key, value);

    if (text) {
        mesh_agent_os_text(j, name, text);
        free(text);
    }
}


static void
mesh_agent_os_number(mesh_agent_os_json_t *j, const char *name, double number)
{
    char  text[32];

    mesh_agent_os_name_json(j, name);
    (void) snprintf(text, sizeof(text), "%.0f", number);
    mesh_agent_os_put(j, text);
}
