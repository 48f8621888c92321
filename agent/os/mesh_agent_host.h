/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* What the agent itself asks its platform: files, and facts it reports. */

#ifndef MESH_AGENT_HOST_H_INCLUDED
#define MESH_AGENT_HOST_H_INCLUDED


#include "../mesh_agent.h"


/* what the process needs before anything else */
void mesh_agent_os_start(void);

/*
 * Calls run, as the service of the system where that started us.  stop() is
 * called, from any thread, when the service is to end.
 */
int mesh_agent_os_run(int (*run)(int argc, char **argv), int argc,
    char **argv);
void mesh_agent_os_on_stop(void (*stop)(void *data), void *data);

/* absolute path of the program; the caller frees it; NULL: not known */
char *mesh_agent_os_exe(void);

/* what the policy beside a program is named after; the caller frees it */
char *mesh_agent_os_stem(const char *exe);

/* 1: a file that we may read */
int mesh_agent_os_readable(const char *path);

/*
 * The data folder, absolute, mode 0700, made if it is not there: given, or
 * that of the program where we may write there, or the platform's place.  The
 * caller frees it; NULL: not possible.
 */
char *mesh_agent_os_folder(const char *given, const char *exe);

/* takes the file for this process alone; MESH_ERROR: another has it */
int mesh_agent_os_lock(uv_file fd);

/* makes an open file the user's alone; its size, or -1: not a plain file */
int64_t mesh_agent_os_private(uv_file fd);

/* from takes the place of to, which may be open; 0, or an error of libuv */
int mesh_agent_os_replace(const char *from, const char *to);

/*
 * from takes the place of the program that runs, exe, which is kept as old.
 * Returns 0, or an error of libuv: all is as it was.
 */
int mesh_agent_os_swap(const char *from, const char *exe, const char *old);

/* the names in the folder of path survive a power cut */
void mesh_agent_os_sync_folder(const char *path);

/*
 * Runs the program at exe in our place, as "run"; returns when it cannot, or
 * where another process does it.
 */
void mesh_agent_os_again(const char *exe, int argc, char **argv);

/* gives free memory back to the system */
void mesh_agent_os_trim(void);

/* "Debian GNU/Linux 12 (bookworm) - x64" */
void mesh_agent_os_name(char *buf, size_t size);

uint32_t mesh_agent_os_kind(void);    /* MESH_AGENT_DESKTOP and so on */


#endif /* MESH_AGENT_HOST_H_INCLUDED */
