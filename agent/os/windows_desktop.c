/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Words to who sits at the screen.  There is no capture of this system's
 * screen: sessions are told so.
 */

#include "mesh_agent_windows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wtsapi32.h>

#include "mesh_agent_desktop.h"
#include "mesh_agent_host.h"


#define MESH_AGENT_OS_WORDS    (16 * 1024) /* bytes of title and text */

/* how the program of a box ends */
#define MESH_AGENT_OS_YES      0
#define MESH_AGENT_OS_NO       1
#define MESH_AGENT_OS_NOBODY   3          /* there is no screen for it */
#define MESH_AGENT_OS_LATE     5


static int mesh_agent_os_box(int argc, char **argv);
static int mesh_agent_os_show(const wchar_t *title, const wchar_t *text,
    int ask, DWORD seconds, long session);


int
mesh_agent_os_has_desktop(void)
{
    return 0;
}


const char *
mesh_agent_os_self(void)
{
    static char  *path;

    if (path == NULL) {
        path = mesh_agent_os_exe();
    }

    return path ? path : "mesh-agent.exe";
}


int
mesh_agent_os_desktop(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "box") == 0) {
        return mesh_agent_os_box(argc - 1, argv + 1);
    }

    (void) fprintf(stderr, "mesh-agent: this agent cannot show a screen of "
                   "Windows\n");

    return 1;
}


/* box [--ask] [--seconds=N] [--session=N]; standard input: title, line, text */
static int
mesh_agent_os_box(int argc, char **argv)
{
    int       i, rc, ask;
    char      words[MESH_AGENT_OS_WORDS], *text;
    long      seconds, session;
    size_t    n;
    wchar_t  *wide_title, *wide_text;

    ask = 0;
    seconds = 120;
    session = -1;

    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--ask") == 0) {
            ask = 1;

        } else if (strncmp(argv[i], "--seconds=", 10) == 0) {
            seconds = strtol(argv[i] + 10, NULL, 10);

        } else if (strncmp(argv[i], "--session=", 10) == 0) {
            session = strtol(argv[i] + 10, NULL, 10);
        }
    }

    n = fread(words, 1, sizeof(words) - 1, stdin);
    words[n] = '\0';
    text = strchr(words, '\n');

    if (text == NULL || seconds < 1) {
        return MESH_AGENT_OS_NOBODY;
    }

    *text++ = '\0';
    wide_title = mesh_agent_os_wide(words);
    wide_text = mesh_agent_os_wide(text);

    rc = wide_title && wide_text
         ? mesh_agent_os_show(wide_title, wide_text, ask, (DWORD) seconds,
                              session)
         : MESH_AGENT_OS_NOBODY;

    free(wide_title);
    free(wide_text);

    return rc;
}


/* services have a session of their own, in which nobody sits */
static int
mesh_agent_os_show(const wchar_t *title, const wchar_t *text, int ask,
    DWORD seconds, long session)
{
    int    answer;
    DWORD  own, style, said;

    /* who presses a key in the wrong moment has not agreed */
    style = MB_SETFOREGROUND|MB_TOPMOST
            |(ask ? MB_YESNO|MB_ICONQUESTION|MB_DEFBUTTON2
                  : MB_OK|MB_ICONINFORMATION);

    if (!ProcessIdToSessionId(GetCurrentProcessId(), &own)) {
        own = 0;
    }

    if (session >= 0 && (DWORD) session != own) {
        if (!WTSSendMessageW(WTS_CURRENT_SERVER_HANDLE, (DWORD) session,
                             (wchar_t *) title,
                             (DWORD) (wcslen(title) * sizeof(wchar_t)),
                             (wchar_t *) text,
                             (DWORD) (wcslen(text) * sizeof(wchar_t)),
                             style, seconds, &said, TRUE))
        {
            return MESH_AGENT_OS_NOBODY;
        }

        answer = (int) said;

    } else if (own == 0) {
        return MESH_AGENT_OS_NOBODY;

    } else {
        /* the agent ends this program when its time is over */
        answer = MessageBoxW(NULL, text, title, style);
    }

    switch (answer) {

    case IDOK:
    case IDYES:
        return MESH_AGENT_OS_YES;

    case 0:
    case -1:
        return MESH_AGENT_OS_NOBODY;

    case IDTIMEOUT:
        return MESH_AGENT_OS_LATE;

    default:
        return MESH_AGENT_OS_NO;
    }
}
