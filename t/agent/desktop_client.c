/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A program on an X server for t/agent/desktop.t: a window as large as the
 * screen, which draws what it is told on standard input, and says on standard
 * output what happens to it.
 *
 *   fill X Y W H RRGGBB    one colour
 *   pattern                each pixel another
 *   noise SEED             what no encoder makes small
 *   video SECONDS FPS      all of it anew, FPS times a second
 *   cursor NAME            the pointer's shape; "none" is invisible
 *   size W H               of the screen
 *   monitor X Y W H        one more of those that the screen has
 *   compare FILE X Y       a JPEG against the screen at X, Y
 *
 * Each is answered by "done", or "done MAX W H" with the largest difference of
 * a channel.  Events: "key down 0x61", "button down 1 X Y", "motion X Y".
 */

#include <poll.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/Xrandr.h>
#include <jpeglib.h>


static Display   *dpy;
static Window     root, win;
static GC         gc;
static int        w, h;
static uint32_t  *pixels;
static XImage    *image;


static void
canvas(void)
{
    int  n;

    w = DisplayWidth(dpy, DefaultScreen(dpy));
    h = DisplayHeight(dpy, DefaultScreen(dpy));
    n = w * h > 4096 * 4096 ? w * h : 4096 * 4096;

    if (pixels == NULL) {
        pixels = calloc((size_t) n, 4);
    }

    if (image != NULL) {
        image->data = NULL;
        XDestroyImage(image);
    }

    image = XCreateImage(dpy, DefaultVisual(dpy, DefaultScreen(dpy)), 24,
                         ZPixmap, 0, (char *) pixels, (unsigned) w,
                         (unsigned) h, 32, 0);
}


static void
put(void)
{
    XPutImage(dpy, win, gc, image, 0, 0, 0, 0, (unsigned) w, (unsigned) h);
    XSync(dpy, False);
}


static void
pattern(uint32_t seed, int noise)
{
    int       x, y;
    uint32_t  r;

    r = seed * 2654435761u + 1;

    for (y = 0; y < h; y++) {
        for (x = 0; x < w; x++) {
            if (noise) {
                r ^= r << 13;
                r ^= r >> 17;
                r ^= r << 5;
                pixels[y * w + x] = r & 0xffffff;

            } else {
                pixels[y * w + x] = (uint32_t) ((x * 7 + y) & 255) << 16
                                    | (uint32_t) ((x + y * 5) & 255) << 8
                                    | (uint32_t) ((x ^ y) & 255);
            }
        }
    }

    put();
}


/* moving bars and blocks: neither flat nor noise */
static void
video(double seconds, int fps)
{
    int              i, x, y, n;
    struct timespec  next;

    n = (int) (seconds * fps);
    clock_gettime(CLOCK_MONOTONIC, &next);

    for (i = 0; i < n; i++) {
        for (y = 0; y < h; y++) {
            for (x = 0; x < w; x++) {
                pixels[y * w + x] = (uint32_t) ((x + i * 5) & 255) << 16
                                    | (uint32_t) ((y + i * 3) & 255) << 8
                                    | (uint32_t) (((x >> 4) * 37
                                                   + (y >> 4) * 59 + i)
                                                  & 255);
            }
        }

        put();
        next.tv_nsec += 1000000000 / fps;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}


static void
cursor(const char *name)
{
    Cursor             c;
    Pixmap             p;
    XColor             black;
    static const char  bits[32] = { 0x7f };

    memset(&black, 0, sizeof(black));

    if (strcmp(name, "none") == 0) {
        p = XCreateBitmapFromData(dpy, root, "\0\0\0\0\0\0\0\0", 8, 8);
        c = XCreatePixmapCursor(dpy, p, p, &black, &black, 0, 0);

    } else {
        p = XCreateBitmapFromData(dpy, root, bits, 8, 8);
        c = XCreatePixmapCursor(dpy, p, p, &black, &black, 0, 0);
        XFixesSetCursorName(dpy, c, name);
    }

    XDefineCursor(dpy, win, c);
    XSync(dpy, False);
}


static int
size(int nw, int nh)
{
    char                 name[32];
    RRMode               mode;
    XRRModeInfo          info;
    XRRScreenResources  *res;

    res = XRRGetScreenResources(dpy, root);
    if (res == NULL || res->ncrtc == 0 || res->noutput == 0) {
        return 0;
    }

    /* such a mode may be there already: then an error, and another name */
    snprintf(name, sizeof(name), "%dx%d_%d", nw, nh, (int) getpid());
    memset(&info, 0, sizeof(info));
    info.width = info.hTotal = info.hSyncStart = info.hSyncEnd = (unsigned) nw;
    info.height = info.vTotal = info.vSyncStart = info.vSyncEnd = (unsigned) nh;
    info.dotClock = (unsigned long) (nw * nh * 60);
    info.name = name;
    info.nameLength = (unsigned) strlen(name);

    mode = XRRCreateMode(dpy, root, &info);
    XRRAddOutputMode(dpy, res->outputs[0], mode);
    XRRSetCrtcConfig(dpy, res, res->crtcs[0], CurrentTime, 0, 0, None,
                     RR_Rotate_0, NULL, 0);
    XRRSetScreenSize(dpy, root, nw, nh, nw / 4 + 1, nh / 4 + 1);
    XRRSetCrtcConfig(dpy, res, res->crtcs[0], CurrentTime, 0, 0, mode,
                     RR_Rotate_0, &res->outputs[0], 1);
    XRRFreeScreenResources(res);
    XSync(dpy, False);

    return 1;
}


static void
monitor(int x, int y, int mw, int mh)
{
    char             name[32];
    XRRMonitorInfo  *m;

    snprintf(name, sizeof(name), "monitor-%d-%d", x, y);
    m = XRRAllocateMonitor(dpy, 0);
    m->name = XInternAtom(dpy, name, False);
    m->x = x;
    m->y = y;
    m->width = mw;
    m->height = mh;
    m->mwidth = m->mheight = 100;
    XRRSetMonitor(dpy, root, m);
    XRRFreeMonitors(m);
    XSync(dpy, False);
}


static void
compare(const char *file, int x0, int y0)
{
    int                            x, y, i, max, diff, have[3];
    FILE                          *f;
    XImage                        *screen;
    JSAMPROW                       row;
    unsigned long                  p;
    struct jpeg_error_mgr          err;
    struct jpeg_decompress_struct  c;

    f = fopen(file, "rb");
    if (f == NULL) {
        printf("done no file\n");
        return;
    }

    screen = XGetImage(dpy, root, 0, 0, (unsigned) w, (unsigned) h, AllPlanes,
                       ZPixmap);
    memset(&c, 0, sizeof(c));
    c.err = jpeg_std_error(&err);
    jpeg_create_decompress(&c);
    jpeg_stdio_src(&c, f);
    jpeg_read_header(&c, TRUE);
    jpeg_start_decompress(&c);
    row = malloc(c.output_width * 3);
    max = 0;

    for (y = 0; c.output_scanline < c.output_height; y++) {
        jpeg_read_scanlines(&c, &row, 1);

        for (x = 0; y0 + y < h && x < (int) c.output_width && x0 + x < w; x++)
        {
            p = XGetPixel(screen, x0 + x, y0 + y);
            have[0] = (int) (p >> 16 & 255);
            have[1] = (int) (p >> 8 & 255);
            have[2] = (int) (p & 255);

            for (i = 0; i < 3; i++) {
                diff = abs(have[i] - row[3 * x + i]);
                max = diff > max ? diff : max;
            }
        }
    }

    printf("done %d %d %d\n", max, (int) c.output_width,
           (int) c.output_height);
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
    XDestroyImage(screen);
    free(row);
    fclose(f);
}


static void
command(char *line)
{
    int       a, b, c, d;
    char      name[256];
    double    s;
    unsigned  color;

    if (sscanf(line, "fill %d %d %d %d %x", &a, &b, &c, &d, &color) == 5) {
        XSetForeground(dpy, gc, color);
        XFillRectangle(dpy, win, gc, a, b, (unsigned) c, (unsigned) d);
        XSync(dpy, False);

    } else if (strcmp(line, "pattern") == 0) {
        pattern(0, 0);

    } else if (sscanf(line, "noise %d", &a) == 1) {
        pattern((uint32_t) a, 1);

    } else if (sscanf(line, "video %lf %d", &s, &a) == 2) {
        video(s, a);

    } else if (sscanf(line, "cursor %255s", name) == 1) {
        cursor(name);

    } else if (sscanf(line, "size %d %d", &a, &b) == 2) {
        if (!size(a, b)) {
            printf("no such size\n");
        }

    } else if (sscanf(line, "monitor %d %d %d %d", &a, &b, &c, &d) == 4) {
        monitor(a, b, c, d);

    } else if (sscanf(line, "compare %255s %d %d", name, &a, &b) == 3) {
        compare(name, a, b);
        return;
    }

    printf("done\n");
}


static void
event(XEvent *e)
{
    char    text[32];
    KeySym  sym;

    switch (e->type) {

    case KeyPress:
    case KeyRelease:
        XLookupString(&e->xkey, text, sizeof(text), &sym, NULL);
        printf("key %s 0x%lx\n", e->type == KeyPress ? "down" : "up", sym);
        break;

    case ButtonPress:
    case ButtonRelease:
        printf("button %s %u %d %d\n", e->type == ButtonPress ? "down" : "up",
               e->xbutton.button, e->xbutton.x_root, e->xbutton.y_root);
        break;

    case MotionNotify:
        printf("motion %d %d\n", e->xmotion.x_root, e->xmotion.y_root);
        break;

    case MappingNotify:
        XRefreshKeyboardMapping(&e->xmapping);
        break;

    default:
        if (XRRUpdateConfiguration(e)) {
            XResizeWindow(dpy, win,
                          (unsigned) DisplayWidth(dpy, DefaultScreen(dpy)),
                          (unsigned) DisplayHeight(dpy, DefaultScreen(dpy)));
            canvas();
        }
        break;
    }
}


int
main(int argc, char **argv)
{
    int                    event_base, error;
    char                   in[4096], *p;
    size_t                 n;
    ssize_t                got;
    XEvent                 e;
    struct pollfd          fds[2];
    XSetWindowAttributes   attr;

    dpy = XOpenDisplay(argc > 1 ? argv[1] : NULL);
    if (dpy == NULL) {
        fprintf(stderr, "no display\n");
        return 1;
    }

    root = DefaultRootWindow(dpy);
    canvas();

    attr.override_redirect = True;
    attr.event_mask = KeyPressMask|KeyReleaseMask|ButtonPressMask
                      |ButtonReleaseMask|PointerMotionMask|ExposureMask;
    win = XCreateWindow(dpy, root, 0, 0, (unsigned) w, (unsigned) h, 0,
                        CopyFromParent, InputOutput, CopyFromParent,
                        CWOverrideRedirect|CWEventMask, &attr);
    gc = XCreateGC(dpy, win, 0, NULL);
    XMapRaised(dpy, win);
    XRRQueryExtension(dpy, &event_base, &error);
    XRRSelectInput(dpy, root, RRScreenChangeNotifyMask);

    do {
        XNextEvent(dpy, &e);
    } while (e.type != Expose);

    XSetInputFocus(dpy, win, RevertToParent, CurrentTime);
    XSync(dpy, False);

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("done\n");
    n = 0;

    for ( ;; ) {
        while (XPending(dpy)) {
            XNextEvent(dpy, &e);
            event(&e);
        }

        fds[0].fd = 0;
        fds[0].events = POLLIN;
        fds[1].fd = ConnectionNumber(dpy);
        fds[1].events = POLLIN;
        poll(fds, 2, -1);

        if (fds[0].revents == 0) {
            continue;
        }

        got = read(0, in + n, sizeof(in) - 1 - n);
        if (got <= 0) {
            return 0;
        }

        n += (size_t) got;
        in[n] = '\0';

        while ((p = strchr(in, '\n')) != NULL) {
            *p = '\0';
            command(in);
            n -= (size_t) (p + 1 - in);
            memmove(in, p + 1, n + 1);
        }
    }
}
