/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A screen that a test can read and that tells what is done to it.  It covers
 * the display named by DISPLAY with cells of CELL pixels and obeys lines of
 * its standard input:
 *
 *   pattern N        cell (x, y) gets the colour of cell_colour(x, y, N)
 *   count MS         each MS milliseconds the next pattern, in the upper left
 *                    quarter only, as a film would be
 *   stop             ends that
 *
 * Each thing that happens is a line of its standard output: "painted N MS",
 * with the wall clock, "key down KEYSYM", "key up KEYSYM", "button down B X Y",
 * "button up B X Y".
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>


#define CELL  64


static Display        *display;
static Window          window;
static GC              gc;
static int             width, height;
static unsigned long   number;


static long long
now_ms(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (long long) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* the same sum stands in t/ui/desktop.mjs */
static unsigned long
cell_colour(unsigned long x, unsigned long y, unsigned long n)
{
    unsigned long  r, g, b;

    r = (x * 53 + n * 29) & 255;
    g = (y * 71 + n * 13) & 255;
    b = ((x + y) * 37 + n * 7) & 255;

    return r << 16 | g << 8 | b;
}


static void
paint(int right, int bottom)
{
    int  x, y;

    for (y = 0; y * CELL < bottom; y++) {
        for (x = 0; x * CELL < right; x++) {
            XSetForeground(display, gc,
                           cell_colour((unsigned long) x, (unsigned long) y,
                                       number));
            XFillRectangle(display, window, gc, x * CELL, y * CELL, CELL,
                           CELL);
        }
    }

    XSync(display, False);
    printf("painted %lu %lld\n", number, now_ms());
}


/* some agents draw it into what they send */
static void
hide_pointer(void)
{
    char    none[1] = { 0 };
    Pixmap  empty;
    XColor  black;

    memset(&black, 0, sizeof(XColor));
    empty = XCreateBitmapFromData(display, window, none, 1, 1);
    XDefineCursor(display, window,
                  XCreatePixmapCursor(display, empty, empty, &black, &black,
                                      0, 0));
    XFreePixmap(display, empty);
}


static void
key(XKeyEvent *event)
{
    char    text[32];
    KeySym  sym;

    (void) XLookupString(event, text, sizeof(text), &sym, NULL);
    printf("key %s %lx\n", event->type == KeyPress ? "down" : "up", sym);
}


static void
events(void)
{
    XEvent  event;

    while (XPending(display)) {
        XNextEvent(display, &event);

        switch (event.type) {

        case Expose:
            if (event.xexpose.count == 0) {
                paint(width, height);
            }
            break;

        /* a character that is on no key is put on one for a moment */
        case MappingNotify:
            XRefreshKeyboardMapping(&event.xmapping);
            break;

        case KeyPress:
        case KeyRelease:
            key(&event.xkey);
            break;

        case ButtonPress:
        case ButtonRelease:
            printf("button %s %u %d %d\n",
                   event.type == ButtonPress ? "down" : "up",
                   event.xbutton.button, event.xbutton.x, event.xbutton.y);
            break;

        default:
            break;
        }
    }
}


/* -1: the end of the input */
static int
command(int *every)
{
    char  line[128];

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return -1;
    }

    if (sscanf(line, "pattern %lu", &number) == 1) {
        paint(width, height);

    } else if (sscanf(line, "count %d", every) != 1
               && strcmp(line, "stop\n") == 0)
    {
        *every = 0;
    }

    return 0;
}


int
main(void)
{
    int                   n, every = 0;
    struct pollfd         fds[2];
    XSetWindowAttributes  attributes;

    display = XOpenDisplay(NULL);
    if (display == NULL) {
        fprintf(stderr, "mesh_screen: no display\n");
        return 1;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);

    width = DisplayWidth(display, DefaultScreen(display));
    height = DisplayHeight(display, DefaultScreen(display));

    attributes.override_redirect = True;
    attributes.event_mask = ExposureMask|KeyPressMask|KeyReleaseMask
                            |ButtonPressMask|ButtonReleaseMask;
    window = XCreateWindow(display, DefaultRootWindow(display), 0, 0,
                           (unsigned) width, (unsigned) height, 0,
                           CopyFromParent, InputOutput, CopyFromParent,
                           CWOverrideRedirect|CWEventMask, &attributes);
    gc = XCreateGC(display, window, 0, NULL);

    hide_pointer();
    XMapRaised(display, window);
    XSync(display, False);
    XSetInputFocus(display, window, RevertToParent, CurrentTime);

    fds[0].fd = ConnectionNumber(display);
    fds[0].events = POLLIN;
    fds[1].fd = 0;
    fds[1].events = POLLIN;

    for ( ;; ) {
        events();
        XFlush(display);

        n = poll(fds, 2, every > 0 ? every : -1);

        if (n == 0) {
            number++;
            paint(width / 2, height / 2);
        }

        if (n > 0 && fds[1].revents && command(&every) != 0) {
            return 0;
        }
    }
}
