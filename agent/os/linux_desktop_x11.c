/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The X libraries, which are loaded here and nowhere else, and what the
 * server tells about itself.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "linux_desktop.h"


typedef struct {
    const char  *name;
    const char  *file;
    void        *handle;
} mesh_agent_x11_library_t;

typedef struct {
    const char  *library;
    const char  *name;
    size_t       offset;
    int          needed;
} mesh_agent_x11_symbol_t;

typedef struct {
    const char  *name;
    uint8_t      shape;
} mesh_agent_desk_shape_t;


static int mesh_agent_desk_error(Display *dpy, XErrorEvent *event);
static int mesh_agent_desk_io_error(Display *dpy);
static void mesh_agent_desk_query(mesh_agent_desk_t *d);
static void mesh_agent_desk_monitors(mesh_agent_desk_t *d);
static uint8_t mesh_agent_desk_shape(const char *name);
static int mesh_agent_desk_invisible(const XFixesCursorImage *image);


static mesh_agent_x11_library_t  mesh_agent_x11_libraries[] = {
    { "X11",     "libX11.so.6",     NULL },
    { "Xext",    "libXext.so.6",    NULL },
    { "Xtst",    "libXtst.so.6",    NULL },
    { "Xfixes",  "libXfixes.so.3",  NULL },
    { "Xdamage", "libXdamage.so.1", NULL },
    { "Xrandr",  "libXrandr.so.2",  NULL },
    { NULL, NULL, NULL }
};

#define MESH_AGENT_X11_SYMBOL(lib, name, needed)                              \
    { #lib, #name, offsetof(mesh_agent_x11_t, name), needed },

static const mesh_agent_x11_symbol_t  mesh_agent_x11_symbols[] = {
    MESH_AGENT_X11_FUNCTIONS(MESH_AGENT_X11_SYMBOL)
    { NULL, NULL, 0, 0 }
};

/* names of the core font, of freedesktop's specification, and of toolkits */
static const mesh_agent_desk_shape_t  mesh_agent_desk_shapes[] = {
    { "left_ptr", 0 },            { "default", 0 },
    { "arrow", 0 },               { "top_left_arrow", 0 },
    { "left_ptr_watch", 1 },      { "progress", 1 },
    { "half-busy", 1 },
    { "cross", 2 },               { "crosshair", 2 },
    { "tcross", 2 },              { "cell", 2 },
    { "hand", 3 },                { "hand1", 3 },
    { "hand2", 3 },               { "pointer", 3 },
    { "pointing_hand", 3 },       { "grab", 3 },
    { "openhand", 3 },
    { "question_arrow", 4 },      { "help", 4 },
    { "whats_this", 4 },
    { "xterm", 5 },               { "text", 5 },
    { "ibeam", 5 },               { "vertical-text", 5 },
    { "no-drop", 6 },             { "dnd-no-drop", 6 },
    { "dnd-none", 6 },
    { "fleur", 7 },               { "move", 7 },
    { "all-scroll", 7 },          { "size_all", 7 },
    { "grabbing", 7 },            { "closedhand", 7 },
    { "top_right_corner", 8 },    { "bottom_left_corner", 8 },
    { "ne-resize", 8 },           { "sw-resize", 8 },
    { "nesw-resize", 8 },         { "size_bdiag", 8 },
    { "sb_v_double_arrow", 9 },   { "v_double_arrow", 9 },
    { "top_side", 9 },            { "bottom_side", 9 },
    { "n-resize", 9 },            { "s-resize", 9 },
    { "ns-resize", 9 },           { "size_ver", 9 },
    { "top_left_corner", 10 },    { "bottom_right_corner", 10 },
    { "nw-resize", 10 },          { "se-resize", 10 },
    { "nwse-resize", 10 },        { "size_fdiag", 10 },
    { "sb_h_double_arrow", 11 },  { "h_double_arrow", 11 },
    { "left_side", 11 },          { "right_side", 11 },
    { "w-resize", 11 },           { "e-resize", 11 },
    { "ew-resize", 11 },          { "size_hor", 11 },
    { "sb_up_arrow", 12 },        { "up_arrow", 12 },
    { "alias", 12 },              { "link", 12 },
    { "watch", 13 },              { "wait", 13 },
    { "none", 14 },
    { "not-allowed", 15 },        { "forbidden", 15 },
    { "crossed_circle", 15 },     { "circle", 15 },
    { "col-resize", 16 },         { "split_h", 16 },
    { "row-resize", 17 },         { "split_v", 17 },
    { "copy", 18 },               { "dnd-copy", 18 },
    { "zoom-in", 19 },            { "zoom_in", 19 },
    { "zoom-out", 20 },           { "zoom_out", 20 },
    { NULL, 0 }
};


int
mesh_agent_desk_load(mesh_agent_desk_t *d)
{
    void                           *address;
    mesh_agent_x11_library_t       *lib;
    const mesh_agent_x11_symbol_t  *sym;

    for (lib = mesh_agent_x11_libraries; lib->name != NULL; lib++) {
        lib->handle = dlopen(lib->file, RTLD_NOW|RTLD_LOCAL);
    }

    for (sym = mesh_agent_x11_symbols; sym->name != NULL; sym++) {

        for (lib = mesh_agent_x11_libraries;
             lib->name != NULL && strcmp(lib->name, sym->library) != 0;
             lib++)
        {
            /* void */
        }

        address = lib->handle != NULL ? dlsym(lib->handle, sym->name) : NULL;

        if (address == NULL && sym->needed) {
            (void) snprintf(d->why, sizeof(d->why),
                            "The library %s is missing on this device, so its "
                            "screen cannot be shown.", lib->file);
            return MESH_ERROR;
        }

        memcpy((char *) &d->x + sym->offset, &address, sizeof(address));
    }

    return MESH_OK;
}


int
mesh_agent_desk_open(mesh_agent_desk_t *d, const mesh_agent_desk_session_t *s)
{
    d->dpy = d->x.XOpenDisplay(s->display);

    if (d->dpy == NULL) {
        (void) snprintf(d->why, sizeof(d->why),
                        "The X server at display %s does not let the agent "
                        "in.", s->display);
        return MESH_ERROR;
    }

    /* a window that has just gone is no reason to end */
    (void) d->x.XSetErrorHandler(mesh_agent_desk_error);
    (void) d->x.XSetIOErrorHandler(mesh_agent_desk_io_error);

    d->root = DefaultRootWindow(d->dpy);
    d->selected = MESH_KVM_ALL;
    d->keys.nspares = -1;

    return MESH_OK;
}


static int
mesh_agent_desk_error(Display *dpy, XErrorEvent *event)
{
    (void) dpy;
    (void) event;

    return 0;
}


/* the connection is lost: nothing of libX11 may be called any more */
static int
mesh_agent_desk_io_error(Display *dpy)
{
    size_t             n;
    uint8_t            buf[MESH_KVM_HEAD + MESH_KVM_MAX_TEXT];
    static const char  text[] = "The X server of the screen has ended.";

    (void) dpy;

    n = mesh_kvm_write_text(buf, MESH_KVM_ALERT, text, sizeof(text) - 1);
    (void) !write(STDOUT_FILENO, buf, n);
    _exit(1);
}


int
mesh_agent_desk_watch(mesh_agent_desk_t *d)
{
    int       opcode, event, error;
    unsigned  mask;

    if (d->x.XQueryExtension(d->dpy, "XWAYLAND", &opcode, &event, &error)) {
        (void) snprintf(d->why, sizeof(d->why),
                        "The session at the screen runs on Wayland, which "
                        "this agent cannot capture yet. Log in with an X11 "
                        "(Xorg) session instead.");
        return MESH_ERROR;
    }

    mesh_agent_desk_query(d);

    if (d->has_damage && d->has_fixes) {
        d->damage = d->x.XDamageCreate(d->dpy, d->root,
                                       XDamageReportNonEmpty);
        d->region = d->x.XFixesCreateRegion(d->dpy, NULL, 0);

    } else {
        d->has_damage = 0;
    }

    if (d->has_fixes) {
        d->x.XFixesSelectCursorInput(d->dpy, d->root,
                                     XFixesDisplayCursorNotifyMask);
    }

    if (d->has_randr) {
        d->x.XRRSelectInput(d->dpy, d->root,
                            RRScreenChangeNotifyMask|RRCrtcChangeNotifyMask
                            |RROutputChangeNotifyMask);
    }

    if (d->has_xkb) {
        mask = XkbIndicatorStateNotifyMask;
        (void) d->x.XkbSelectEvents(d->dpy, XkbUseCoreKbd, mask, mask);
    }

    if (d->has_test) {
        /* a program that grabs the server does not lock the viewer out */
        (void) d->x.XTestGrabControl(d->dpy, True);
    }

    mesh_agent_desk_update_displays(d);

    return MESH_OK;
}


static void
mesh_agent_desk_query(mesh_agent_desk_t *d)
{
    int                opcode, error, major, minor, event;
    mesh_agent_x11_t  *x = &d->x;

    d->has_shm = x->XShmQueryExtension(d->dpy) != 0;
    d->has_test = x->XTestQueryExtension(d->dpy, &event, &error, &major,
                                         &minor) != 0;

    major = 4;
    minor = 0;

    if (x->XFixesQueryExtension != NULL && x->XFixesQueryVersion != NULL
        && x->XFixesSelectCursorInput != NULL
        && x->XFixesGetCursorImage != NULL && x->XFixesCreateRegion != NULL
        && x->XFixesFetchRegion != NULL
        && x->XFixesQueryExtension(d->dpy, &d->fixes_event, &error))
    {
        d->has_fixes = x->XFixesQueryVersion(d->dpy, &major, &minor) != 0
                       && major >= 2;
    }

    d->has_damage = x->XDamageQueryExtension != NULL
                    && x->XDamageCreate != NULL && x->XDamageSubtract != NULL
                    && x->XDamageQueryExtension(d->dpy, &d->damage_event,
                                                &error);

    if (x->XRRQueryExtension != NULL && x->XRRSelectInput != NULL
        && x->XRRUpdateConfiguration != NULL && x->XRRQueryVersion != NULL
        && x->XRRQueryExtension(d->dpy, &d->randr_event, &error))
    {
        d->has_randr = 1;
        d->has_monitors = x->XRRGetMonitors != NULL
                          && x->XRRFreeMonitors != NULL
                          && x->XRRQueryVersion(d->dpy, &major, &minor)
                          && (major > 1 || minor >= 5);
    }

    major = XkbMajorVersion;
    minor = XkbMinorVersion;
    d->has_xkb = x->XkbQueryExtension(d->dpy, &opcode, &d->xkb_event, &error,
                                      &major, &minor) != 0;
}


void
mesh_agent_desk_update_displays(mesh_agent_desk_t *d)
{
    int       x, y;
    size_t    i;
    Window    root;
    unsigned  w, h, border, depth;

    if (!d->x.XGetGeometry(d->dpy, d->root, &root, &x, &y, &w, &h, &border,
                           &depth))
    {
        w = h = 1;
    }

    d->root_w = (int) w;
    d->root_h = (int) h;
    d->ndisplays = 0;

    if (d->has_monitors) {
        mesh_agent_desk_monitors(d);
    }

    if (d->ndisplays == 0) {
        d->displays[0] = (mesh_kvm_display_t) { 1, 0, 0, (uint16_t) w,
                                                (uint16_t) h };
        d->ndisplays = 1;
    }

    for (i = 0; i < d->ndisplays; i++) {
        if (d->displays[i].id == d->selected) {
            return;
        }
    }

    d->selected = MESH_KVM_ALL;
}


static void
mesh_agent_desk_monitors(mesh_agent_desk_t *d)
{
    int              i, n;
    XRRMonitorInfo  *list, *m;

    n = 0;
    list = d->x.XRRGetMonitors(d->dpy, d->root, True, &n);

    for (i = 0; list != NULL && i < n && i < MESH_KVM_MAX_DISPLAYS; i++) {
        m = &list[i];

        if (m->width <= 0 || m->height <= 0 || m->x < 0 || m->y < 0
            || m->x > d->root_w - m->width || m->y > d->root_h - m->height)
        {
            continue;
        }

        d->displays[d->ndisplays].id = (uint16_t) (i + 1);
        d->displays[d->ndisplays].x = (int16_t) m->x;
        d->displays[d->ndisplays].y = (int16_t) m->y;
        d->displays[d->ndisplays].w = (uint16_t) m->width;
        d->displays[d->ndisplays].h = (uint16_t) m->height;
        d->ndisplays++;
    }

    if (list != NULL) {
        d->x.XRRFreeMonitors(list);
    }
}


mesh_agent_desk_rect_t
mesh_agent_desk_area(const mesh_agent_desk_t *d)
{
    size_t                     i;
    mesh_agent_desk_rect_t     area = { 0, 0, d->root_w, d->root_h };
    const mesh_kvm_display_t  *display;

    for (i = 0; i < d->ndisplays; i++) {
        display = &d->displays[i];

        if (display->id == d->selected) {
            area.x = display->x;
            area.y = display->y;
            area.w = display->w;
            area.h = display->h;
        }
    }

    return area;
}


uint8_t
mesh_agent_desk_cursor(mesh_agent_desk_t *d)
{
    uint8_t             shape;
    XFixesCursorImage  *image;

    if (!d->has_fixes) {
        return 0;
    }

    image = d->x.XFixesGetCursorImage(d->dpy);

    if (image == NULL) {
        return 0;
    }

    shape = image->name != NULL ? mesh_agent_desk_shape(image->name) : 0;

    if (mesh_agent_desk_invisible(image)) {
        shape = 14;
    }

    (void) d->x.XFree(image);

    return shape;
}


static uint8_t
mesh_agent_desk_shape(const char *name)
{
    const mesh_agent_desk_shape_t  *s;

    for (s = mesh_agent_desk_shapes; s->name != NULL; s++) {
        if (strcasecmp(s->name, name) == 0) {
            return s->shape;
        }
    }

    return 0;
}


static int
mesh_agent_desk_invisible(const XFixesCursorImage *image)
{
    size_t  i, n;

    n = (size_t) image->width * image->height;

    for (i = 0; i < n; i++) {
        if (image->pixels[i] >> 24 & 0xff) {
            return 0;
        }
    }

    return 1;
}


uint8_t
mesh_agent_desk_leds(mesh_agent_desk_t *d)
{
    Bool                 on;
    size_t               i;
    uint8_t              bits;
    static const char   *names[] = { "Num Lock", "Scroll Lock", "Caps Lock" };

    bits = 0;

    for (i = 0; d->has_xkb && i < 3; i++) {
        on = False;

        /* a name that the server does not know stays unknown */
        if (d->x.XkbGetNamedIndicator(d->dpy,
                                      d->x.XInternAtom(d->dpy, names[i], True),
                                      NULL, &on, NULL, NULL)
            && on)
        {
            bits |= (uint8_t) (1 << i);
        }
    }

    return bits;
}
