/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* Of the files of Windows alone; libuv's header wants to come first. */

#ifndef MESH_AGENT_WINDOWS_H_INCLUDED
#define MESH_AGENT_WINDOWS_H_INCLUDED


#include "../mesh_agent.h"
#include <windows.h>


#define MESH_AGENT_OS_SERVICE  L"mesh-agent"


/* UTF-8 to UTF-16 and back; the caller frees it; NULL: it is none */
wchar_t *mesh_agent_os_wide(const char *s);
char *mesh_agent_os_utf8(const wchar_t *s);

/* GetLastError() as libuv says it */
int mesh_agent_os_error(void);

/* a text of the registry's local machine; NULL: there is none */
char *mesh_agent_os_registry(const wchar_t *key, const wchar_t *name);

/* for administrators and the system, or who runs this where he is neither */
int mesh_agent_os_protect(const wchar_t *path);

/* 1: an administrator, or the system */
int mesh_agent_os_admin(void);


#endif /* MESH_AGENT_WINDOWS_H_INCLUDED */
