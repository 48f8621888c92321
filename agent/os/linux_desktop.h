/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The program that shows an X11 screen, in parts:
 *
 *   linux_desktop.c          modes, packets in and out, the loop
 *   linux_desktop_find.c     whose screen, and to become that user
 *   linux_desktop_x11.c      the libraries, displays, cursor, lamps
 *   linux_desktop_screen.c   pixels, and which cells of them changed
 *   linux_desktop_jpeg.c     a rectangle as a picture
 *   linux_desktop_input.c    keys and mouse
 *   linux_desktop_clip.c     the clipboard
 */

#ifndef LINUX_DESKTOP_H_INCLUDED
#define LINUX_DESKTOP_H_INCLUDED


#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/XKBlib.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/XTest.h>
#include <X11/extensions/Xdamage.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/Xrandr.h>

#include "../../proto/mesh_kvm_packet.h"


#define MESH_AGENT_DESK_CELL     32       /* pixels */
#define MESH_AGENT_DESK_AREA     (512 * 1024)    /* pixels of one picture */
#define MESH_AGENT_DESK_PIXELS   (64 * 1024 * 1024)   /* of a screen */
#define MESH_AGENT_DESK_KEYS     256      /* keycodes of X11 */
#define MESH_AGENT_DESK_SPARES   8        /* keycodes for other characters */
#define MESH_AGENT_DESK_CLIP     (1024 * 1024)   /* bytes of a clipboard */
#define MESH_AGENT_DESK_SENTENCE 256


/* every function of the X libraries that is used: library, name, needed */
#define MESH_AGENT_X11_FUNCTIONS(F)                                           \
    F(X11, XOpenDisplay, 1)            F(X11, XCloseDisplay, 1)               \
    F(X11, XSetErrorHandler, 1)        F(X11, XSetIOErrorHandler, 1)          \
    F(X11, XPending, 1)                F(X11, XNextEvent, 1)                  \
    F(X11, XSync, 1)                   F(X11, XFlush, 1)                      \
    F(X11, XFree, 1)                   F(X11, XGetImage, 1)                   \
    F(X11, XGetGeometry, 1)            F(X11, XInternAtom, 1)                 \
    F(X11, XGetAtomName, 1)            F(X11, XDisplayKeycodes, 1)            \
    F(X11, XGetKeyboardMapping, 1)     F(X11, XChangeKeyboardMapping, 1)      \
    F(X11, XRefreshKeyboardMapping, 1) F(X11, XKeysymToKeycode, 1)            \
    F(X11, XConvertCase, 1)            F(X11, XQueryKeymap, 1)                \
    F(X11, XkbQueryExtension, 1)       F(X11, XkbGetState, 1)                 \
    F(X11, XkbSelectEvents, 1)         F(X11, XkbGetNamedIndicator, 1)        \
    F(X11, XkbKeycodeToKeysym, 1)      F(X11, XCreateSimpleWindow, 1)         \
    F(X11, XSelectInput, 1)            F(X11, XConvertSelection, 1)           \
    F(X11, XGetWindowProperty, 1)      F(X11, XDeleteProperty, 1)             \
    F(X11, XChangeProperty, 1)         F(X11, XSetSelectionOwner, 1)          \
    F(X11, XGetSelectionOwner, 1)      F(X11, XSendEvent, 1)                  \
    F(X11, XMaxRequestSize, 1)         F(X11, XQueryExtension, 1)             \
    F(Xext, XShmQueryExtension, 1)     F(Xext, XShmAttach, 1)                 \
    F(Xext, XShmDetach, 1)             F(Xext, XShmCreateImage, 1)            \
    F(Xext, XShmGetImage, 1)                                                  \
    F(Xtst, XTestQueryExtension, 1)    F(Xtst, XTestFakeKeyEvent, 1)          \
    F(Xtst, XTestFakeButtonEvent, 1)   F(Xtst, XTestFakeMotionEvent, 1)       \
    F(Xtst, XTestGrabControl, 1)                                              \
    F(Xfixes, XFixesQueryExtension, 0) F(Xfixes, XFixesSelectCursorInput, 0)  \
    F(Xfixes, XFixesGetCursorImage, 0) F(Xfixes, XFixesCreateRegion, 0)       \
    F(Xfixes, XFixesFetchRegion, 0)    F(Xfixes, XFixesQueryVersion, 0)       \
    F(Xdamage, XDamageQueryExtension, 0) F(Xdamage, XDamageCreate, 0)         \
    F(Xdamage, XDamageSubtract, 0)                                            \
    F(Xrandr, XRRQueryExtension, 0)    F(Xrandr, XRRSelectInput, 0)           \
    F(Xrandr, XRRUpdateConfiguration, 0) F(Xrandr, XRRGetMonitors, 0)         \
    F(Xrandr, XRRFreeMonitors, 0)      F(Xrandr, XRRQueryVersion, 0)

#define MESH_AGENT_X11_FIELD(lib, name, needed)  __typeof__(name)  *name;

typedef struct {
    MESH_AGENT_X11_FUNCTIONS(MESH_AGENT_X11_FIELD)
} mesh_agent_x11_t;


/* whose screen */
typedef struct {
    uid_t                 uid;
    char                  display[64];
    char                  xauthority[PATH_MAX];     /* "": the user's own */
    unsigned              nobody:1;       /* a screen without a session */
} mesh_agent_desk_session_t;

typedef struct {
    int                   x;
    int                   y;
    int                   w;
    int                   h;
} mesh_agent_desk_rect_t;

/* the pixels of one area of the root window, and what the viewers have */
typedef struct {
    mesh_agent_desk_rect_t  area;
    unsigned              scaling;        /* 1024: not */
    XShmSegmentInfo       shm;
    XImage               *image;          /* NULL: none yet */
    uint8_t              *memory;         /* of image */
    unsigned              shared:1;       /* memory is the server's, too */
    unsigned              plain:1;        /* it is B, G, R, unused */
    unsigned              direct:1;       /* pixels is memory */

    uint8_t              *pixels;         /* B, G, R, unused */
    uint8_t              *line;           /* one of memory, unpacked */
    uint32_t             *sums;           /* of one line, while scaling */
    int                  *edges;          /* first pixel for each scaled one */
    size_t                stride;
    int                   w;              /* scaled */
    int                   h;
    int                   cols;           /* cells */
    int                   rows;
    uint64_t             *now;            /* hash of each cell */
    uint64_t             *sent;
    uint8_t              *dirty;          /* must be sent */
    uint8_t              *look;           /* may have changed */
    int                   ndirty;
    int                   at;             /* where the search goes on */
} mesh_agent_desk_screen_t;

typedef struct {
    KeyCode               code;
    uint32_t              ucs;            /* 0: free */
    uint64_t              used;           /* ms */
} mesh_agent_desk_spare_t;

/* what viewers have pressed, and the keys lent to other characters */
typedef struct {
    uint8_t               down[MESH_AGENT_DESK_KEYS];
    uint8_t               buttons[4];
    uint16_t              high;           /* first half of a surrogate pair */
    mesh_agent_desk_spare_t  spare[MESH_AGENT_DESK_SPARES];
    int                   nspares;        /* -1: not looked for */
} mesh_agent_desk_keys_t;

typedef struct {
    mesh_agent_x11_t      x;
    Display              *dpy;
    Window                root;
    char                  why[MESH_AGENT_DESK_SENTENCE];

    unsigned              has_shm:1;
    unsigned              has_damage:1;
    unsigned              has_fixes:1;
    unsigned              has_randr:1;
    unsigned              has_monitors:1;
    unsigned              has_xkb:1;
    unsigned              has_test:1;
    int                   damage_event;
    int                   fixes_event;
    int                   randr_event;
    int                   xkb_event;
    Damage                damage;
    XserverRegion         region;

    int                   root_w;
    int                   root_h;
    mesh_kvm_display_t    displays[MESH_KVM_MAX_DISPLAYS];
    size_t                ndisplays;
    uint16_t              selected;       /* MESH_KVM_ALL, or an id */

    mesh_agent_desk_screen_t  screen;
    mesh_agent_desk_keys_t    keys;
} mesh_agent_desk_t;


uint64_t mesh_agent_desk_now(void);       /* ms, of a clock that never jumps */

/*
 * linux_desktop_find.c.  display and uid are what was asked for: NULL and -1,
 * any.  MESH_ERROR: there is none, why holds a sentence.
 */
int mesh_agent_desk_find(mesh_agent_desk_session_t *s, const char *display,
    long uid, char *why);
/* becomes the user, for good, with his environment; MESH_ERROR as above */
int mesh_agent_desk_become(const mesh_agent_desk_session_t *s, char *why);

/* linux_desktop_x11.c; MESH_ERROR: d->why says it */
int mesh_agent_desk_load(mesh_agent_desk_t *d);
int mesh_agent_desk_open(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s);
/* extensions and the events of them, for capturing */
int mesh_agent_desk_watch(mesh_agent_desk_t *d);
/* size of the root window and its displays, as they are now */
void mesh_agent_desk_update_displays(mesh_agent_desk_t *d);
/* the area of the selected display, or of all */
mesh_agent_desk_rect_t mesh_agent_desk_area(const mesh_agent_desk_t *d);
uint8_t mesh_agent_desk_cursor(mesh_agent_desk_t *d);  /* shape of packet 88 */
uint8_t mesh_agent_desk_leds(mesh_agent_desk_t *d);    /* bits of packet 18 */

/* linux_desktop_screen.c */
int mesh_agent_desk_screen_init(mesh_agent_desk_t *d,
    mesh_agent_desk_rect_t area, unsigned scaling);
void mesh_agent_desk_screen_free(mesh_agent_desk_t *d);
/* everything is to be sent */
void mesh_agent_desk_screen_refresh(mesh_agent_desk_screen_t *s);
/* looks what has changed; MESH_ERROR: the server does not give it */
int mesh_agent_desk_screen_capture(mesh_agent_desk_t *d);
/* takes the next rectangle to be sent; 0: there is none */
int mesh_agent_desk_screen_next(mesh_agent_desk_screen_t *s,
    mesh_agent_desk_rect_t *rect);

/*
 * linux_desktop_jpeg.c: a rectangle of cells, padded at the right and at the
 * bottom, into *buf of *size bytes, which may grow; room bytes are left free
 * in front of it.  Returns its length, 0: it could not be made.
 */
size_t mesh_agent_desk_jpeg(const mesh_agent_desk_screen_t *s,
    const mesh_agent_desk_rect_t *rect, int quality, size_t room,
    uint8_t **buf, size_t *size);

/* linux_desktop_input.c */
void mesh_agent_desk_key(mesh_agent_desk_t *d, int down, uint8_t vk);
void mesh_agent_desk_char(mesh_agent_desk_t *d, uint16_t code);
void mesh_agent_desk_mouse(mesh_agent_desk_t *d, const mesh_kvm_event_t *in);
void mesh_agent_desk_ctrl_alt_del(mesh_agent_desk_t *d);
/* nothing stays pressed */
void mesh_agent_desk_release(mesh_agent_desk_t *d);
/* gives lent keys back, those not used for ms; all: 0 */
void mesh_agent_desk_return_keys(mesh_agent_desk_t *d, uint64_t ms);

/* linux_desktop_clip.c; 0, or 1 with d->why */
int mesh_agent_desk_clip_read(mesh_agent_desk_t *d);
int mesh_agent_desk_clip_write(mesh_agent_desk_t *d,
    const mesh_agent_desk_session_t *s);


#endif /* LINUX_DESKTOP_H_INCLUDED */
