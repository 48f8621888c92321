/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys and mouse, by XTEST.
 *
 * A character is typed with the key that has it in the layout of the moment.
 * One that no key has is lent a key without a meaning, for as long as others
 * are typed: programs look the meaning up later than the key arrives, so it
 * must not be taken back at once.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <X11/keysym.h>
#include <X11/XF86keysym.h>

#include "linux_desktop.h"


#define MESH_AGENT_DESK_UNICODE  0x01000000    /* + code point: a keysym */
#define MESH_AGENT_DESK_SETTLE   20            /* ms, of a lent key */
#define MESH_AGENT_DESK_HELD     16            /* modifier keys lifted */


typedef struct {
    uint8_t   vk;
    KeySym    sym;
} mesh_agent_desk_vk_t;

typedef struct {
    KeyCode   code;
    int       level;                      /* bit 0 Shift, bit 1 AltGr */
} mesh_agent_desk_place_t;


static KeySym mesh_agent_desk_keysym(uint8_t vk);
static void mesh_agent_desk_press(mesh_agent_desk_t *d, KeyCode code,
    int down);
static void mesh_agent_desk_type(mesh_agent_desk_t *d, uint32_t ucs);
static int mesh_agent_desk_place(mesh_agent_desk_t *d, KeySym sym, int group,
    mesh_agent_desk_place_t *place);
static int mesh_agent_desk_caps(mesh_agent_desk_t *d,
    const mesh_agent_desk_place_t *place, int group);
static void mesh_agent_desk_with_level(mesh_agent_desk_t *d,
    const mesh_agent_desk_place_t *place, int have, int want);
static int mesh_agent_desk_lift(mesh_agent_desk_t *d, const KeySym *syms,
    KeyCode *lifted, int n);
static KeySym mesh_agent_desk_ucs_keysym(uint32_t ucs);
static KeyCode mesh_agent_desk_lend(mesh_agent_desk_t *d, uint32_t ucs);
static void mesh_agent_desk_find_spares(mesh_agent_desk_t *d);
static void mesh_agent_desk_map(mesh_agent_desk_t *d, KeyCode code,
    KeySym sym);
static void mesh_agent_desk_button(mesh_agent_desk_t *d, unsigned button,
    int down);
static void mesh_agent_desk_sleep(unsigned ms);


/* Windows' numbers of keys; letters and digits are not in here */
static const mesh_agent_desk_vk_t  mesh_agent_desk_vks[] = {
    { 0x08, XK_BackSpace },       { 0x09, XK_Tab },
    { 0x0c, XK_Clear },           { 0x0d, XK_Return },
    { 0x10, XK_Shift_L },         { 0x11, XK_Control_L },
    { 0x12, XK_Alt_L },           { 0x13, XK_Pause },
    { 0x14, XK_Caps_Lock },       { 0x1b, XK_Escape },
    { 0x20, XK_space },           { 0x21, XK_Page_Up },
    { 0x22, XK_Page_Down },       { 0x23, XK_End },
    { 0x24, XK_Home },            { 0x25, XK_Left },
    { 0x26, XK_Up },              { 0x27, XK_Right },
    { 0x28, XK_Down },            { 0x29, XK_Select },
    { 0x2a, XK_Print },           { 0x2b, XK_Execute },
    { 0x2c, XK_Print },           { 0x2d, XK_Insert },
    { 0x2e, XK_Delete },          { 0x2f, XK_Help },
    { 0x5b, XK_Super_L },         { 0x5c, XK_Super_R },
    { 0x5d, XK_Menu },            { 0x5f, XF86XK_Sleep },
    { 0x6a, XK_KP_Multiply },     { 0x6b, XK_KP_Add },
    { 0x6c, XK_KP_Separator },    { 0x6d, XK_KP_Subtract },
    { 0x6e, XK_KP_Decimal },      { 0x6f, XK_KP_Divide },
    { 0x90, XK_Num_Lock },        { 0x91, XK_Scroll_Lock },
    { 0xa0, XK_Shift_L },         { 0xa1, XK_Shift_R },
    { 0xa2, XK_Control_L },       { 0xa3, XK_Control_R },
    { 0xa4, XK_Alt_L },           { 0xa5, XK_Alt_R },
    { 0xad, XF86XK_AudioMute },   { 0xae, XF86XK_AudioLowerVolume },
    { 0xaf, XF86XK_AudioRaiseVolume }, { 0xb0, XF86XK_AudioNext },
    { 0xb1, XF86XK_AudioPrev },   { 0xb2, XF86XK_AudioStop },
    { 0xb3, XF86XK_AudioPlay },
    { 0xba, XK_semicolon },       { 0xbb, XK_equal },
    { 0xbc, XK_comma },           { 0xbd, XK_minus },
    { 0xbe, XK_period },          { 0xbf, XK_slash },
    { 0xc0, XK_grave },           { 0xdb, XK_bracketleft },
    { 0xdc, XK_backslash },       { 0xdd, XK_bracketright },
    { 0xde, XK_apostrophe },      { 0xe1, XK_ISO_Level3_Shift },
    { 0xe2, XK_less },
    { 0, 0 }
};

/* characters whose keysym in layouts is not that of their number */
static const struct {
    uint16_t  ucs;
    uint16_t  sym;
} mesh_agent_desk_old[] = {
    { 0x0104, XK_Aogonek },   { 0x0105, XK_aogonek },
    { 0x0106, XK_Cacute },    { 0x0107, XK_cacute },
    { 0x010c, XK_Ccaron },    { 0x010d, XK_ccaron },
    { 0x010e, XK_Dcaron },    { 0x010f, XK_dcaron },
    { 0x0110, XK_Dstroke },   { 0x0111, XK_dstroke },
    { 0x0118, XK_Eogonek },   { 0x0119, XK_eogonek },
    { 0x011a, XK_Ecaron },    { 0x011b, XK_ecaron },
    { 0x011e, XK_Gbreve },    { 0x011f, XK_gbreve },
    { 0x0130, XK_Iabovedot }, { 0x0131, XK_idotless },
    { 0x0141, XK_Lstroke },   { 0x0142, XK_lstroke },
    { 0x0143, XK_Nacute },    { 0x0144, XK_nacute },
    { 0x0147, XK_Ncaron },    { 0x0148, XK_ncaron },
    { 0x0150, XK_Odoubleacute }, { 0x0151, XK_odoubleacute },
    { 0x0152, XK_OE },        { 0x0153, XK_oe },
    { 0x0158, XK_Rcaron },    { 0x0159, XK_rcaron },
    { 0x015a, XK_Sacute },    { 0x015b, XK_sacute },
    { 0x015e, XK_Scedilla },  { 0x015f, XK_scedilla },
    { 0x0160, XK_Scaron },    { 0x0161, XK_scaron },
    { 0x0164, XK_Tcaron },    { 0x0165, XK_tcaron },
    { 0x016e, XK_Uring },     { 0x016f, XK_uring },
    { 0x0170, XK_Udoubleacute }, { 0x0171, XK_udoubleacute },
    { 0x0179, XK_Zacute },    { 0x017a, XK_zacute },
    { 0x017b, XK_Zabovedot }, { 0x017c, XK_zabovedot },
    { 0x017d, XK_Zcaron },    { 0x017e, XK_zcaron },
    { 0x20ac, XK_EuroSign },
    { 0, 0 }
};

static const KeySym  mesh_agent_desk_shifts[] = {
    XK_Shift_L, XK_Shift_R, NoSymbol
};

static const KeySym  mesh_agent_desk_thirds[] = {
    XK_ISO_Level3_Shift, XK_Mode_switch, NoSymbol
};


void
mesh_agent_desk_key(mesh_agent_desk_t *d, int down, uint8_t vk)
{
    KeySym   sym;
    KeyCode  code;

    sym = mesh_agent_desk_keysym(vk);

    if (sym == NoSymbol || !d->has_test) {
        return;
    }

    code = d->x.XKeysymToKeycode(d->dpy, sym);

    if (code != 0) {
        mesh_agent_desk_press(d, code, down);
        return;
    }

    /* a layout of another script: the character at least */
    if (down && sym < 0x100) {
        mesh_agent_desk_type(d, (uint32_t) sym);
    }
}


static KeySym
mesh_agent_desk_keysym(uint8_t vk)
{
    const mesh_agent_desk_vk_t  *row;

    if (vk >= '0' && vk <= '9') {
        return XK_0 + (KeySym) (vk - '0');
    }

    if (vk >= 'A' && vk <= 'Z') {
        return XK_a + (KeySym) (vk - 'A');
    }

    if (vk >= 0x60 && vk <= 0x69) {
        return XK_KP_0 + (KeySym) (vk - 0x60);
    }

    if (vk >= 0x70 && vk <= 0x87) {
        return XK_F1 + (KeySym) (vk - 0x70);
    }

    for (row = mesh_agent_desk_vks; row->vk != 0; row++) {
        if (row->vk == vk) {
            return row->sym;
        }
    }

    return NoSymbol;
}


static void
mesh_agent_desk_press(mesh_agent_desk_t *d, KeyCode code, int down)
{
    /* a viewer lifts keys to be sure that they are up: the others' stay */
    if (!down && !d->keys.down[code]) {
        return;
    }

    (void) d->x.XTestFakeKeyEvent(d->dpy, code, down, CurrentTime);
    d->keys.down[code] = (uint8_t) down;
}


/* one unit of UTF-16 */
void
mesh_agent_desk_char(mesh_agent_desk_t *d, uint16_t code)
{
    uint32_t  ucs;

    ucs = code;

    if (code >= 0xd800 && code < 0xdc00) {
        d->keys.high = code;
        return;
    }

    if (code >= 0xdc00 && code < 0xe000) {

        if (d->keys.high == 0) {
            return;
        }

        ucs = 0x10000 + ((uint32_t) (d->keys.high - 0xd800) << 10)
              + (uint32_t) (code - 0xdc00);
    }

    d->keys.high = 0;

    if (d->has_test && ucs != 0) {
        mesh_agent_desk_type(d, ucs);
    }
}


static void
mesh_agent_desk_type(mesh_agent_desk_t *d, uint32_t ucs)
{
    int                       have, group, want;
    KeySym                    sym;
    XkbStateRec               state;
    mesh_agent_desk_place_t   place;

    switch (ucs) {
    case '\r':
    case '\n':
        sym = XK_Return;
        break;
    case '\t':
        sym = XK_Tab;
        break;
    case 8:
        sym = XK_BackSpace;
        break;
    case 27:
        sym = XK_Escape;
        break;
    default:
        if (ucs < ' ' || (ucs >= 0x7f && ucs < 0xa0)) {
            return;
        }
        sym = mesh_agent_desk_ucs_keysym(ucs);
        break;
    }

    memset(&state, 0, sizeof(XkbStateRec));

    if (d->has_xkb) {
        (void) d->x.XkbGetState(d->dpy, XkbUseCoreKbd, &state);
    }

    group = state.group;

    if (mesh_agent_desk_place(d, sym, group, &place) != MESH_OK) {
        place.code = mesh_agent_desk_lend(d, ucs);
        place.level = 0;

        if (place.code == 0) {
            return;
        }
    }

    have = (state.mods & ShiftMask ? 1 : 0) | (state.mods & Mod5Mask ? 2 : 0);
    want = place.level;

    if (state.mods & LockMask && mesh_agent_desk_caps(d, &place, group)) {
        want ^= 1;
    }

    mesh_agent_desk_with_level(d, &place, have, want);
    (void) d->x.XFlush(d->dpy);
}


/* which key has it, and with what held down */
static int
mesh_agent_desk_place(mesh_agent_desk_t *d, KeySym sym, int group,
    mesh_agent_desk_place_t *place)
{
    int  code, level, min, max, n;

    (void) d->x.XDisplayKeycodes(d->dpy, &min, &max);

    for (level = 0; level < 4; level++) {
        for (code = min; code <= max && code < MESH_AGENT_DESK_KEYS; code++) {

            /* lent keys are found by the table of them */
            for (n = 0; n < d->keys.nspares; n++) {
                if (d->keys.spare[n].code == (KeyCode) code) {
                    break;
                }
            }

            if (n < d->keys.nspares) {
                continue;
            }

            if (d->x.XkbKeycodeToKeysym(d->dpy, (KeyCode) code, group, level)
                == sym)
            {
                place->code = (KeyCode) code;
                place->level = level;
                return MESH_OK;
            }
        }
    }

    return MESH_DECLINED;
}


/* does Caps Lock change what this key gives? */
static int
mesh_agent_desk_caps(mesh_agent_desk_t *d,
    const mesh_agent_desk_place_t *place, int group)
{
    KeySym  sym, lower, upper;

    sym = d->x.XkbKeycodeToKeysym(d->dpy, place->code, group, place->level);
    d->x.XConvertCase(sym, &lower, &upper);

    return lower != upper;
}


/* a full press of the key, with Shift and AltGr as they must be for it */
static void
mesh_agent_desk_with_level(mesh_agent_desk_t *d,
    const mesh_agent_desk_place_t *place, int have, int want)
{
    int             i, bit, n, nadded;
    KeyCode         code, lifted[2 * MESH_AGENT_DESK_HELD], added[2];
    const KeySym   *syms;

    n = 0;
    nadded = 0;

    for (bit = 1; bit <= 2; bit <<= 1) {
        syms = bit == 1 ? mesh_agent_desk_shifts : mesh_agent_desk_thirds;

        if (have & bit & ~want) {
            n = mesh_agent_desk_lift(d, syms, lifted, n);

        } else if (want & bit & ~have) {
            code = d->x.XKeysymToKeycode(d->dpy, syms[0]);

            if (code != 0) {
                (void) d->x.XTestFakeKeyEvent(d->dpy, code, True, CurrentTime);
                added[nadded++] = code;
            }
        }
    }

    (void) d->x.XTestFakeKeyEvent(d->dpy, place->code, True, CurrentTime);
    (void) d->x.XTestFakeKeyEvent(d->dpy, place->code, False, CurrentTime);

    for (i = nadded - 1; i >= 0; i--) {
        (void) d->x.XTestFakeKeyEvent(d->dpy, added[i], False, CurrentTime);
    }

    for (i = n - 1; i >= 0; i--) {
        (void) d->x.XTestFakeKeyEvent(d->dpy, lifted[i], True, CurrentTime);
    }
}


/* lifts those keys of the modifier that are down; returns how many so far */
static int
mesh_agent_desk_lift(mesh_agent_desk_t *d, const KeySym *syms,
    KeyCode *lifted, int n)
{
    int            code, level;
    char           keys[32];
    KeySym         sym;
    const KeySym  *s;

    (void) d->x.XQueryKeymap(d->dpy, keys);

    for (code = 8; code < MESH_AGENT_DESK_KEYS; code++) {

        if (!(keys[code / 8] >> code % 8 & 1)) {
            continue;
        }

        for (level = 0; level < 2; level++) {
            sym = d->x.XkbKeycodeToKeysym(d->dpy, (KeyCode) code, 0, level);

            for (s = syms; *s != NoSymbol && *s != sym; s++) {
                /* void */
            }

            if (*s != NoSymbol) {
                break;
            }
        }

        if (level < 2 && n < 2 * MESH_AGENT_DESK_HELD) {
            (void) d->x.XTestFakeKeyEvent(d->dpy, (unsigned) code, False,
                                          CurrentTime);
            lifted[n++] = (KeyCode) code;
        }
    }

    return n;
}


static KeySym
mesh_agent_desk_ucs_keysym(uint32_t ucs)
{
    size_t  i;

    if (ucs < 0x100) {
        return ucs;
    }

    for (i = 0; mesh_agent_desk_old[i].ucs != 0; i++) {
        if (mesh_agent_desk_old[i].ucs == ucs) {
            return mesh_agent_desk_old[i].sym;
        }
    }

    return MESH_AGENT_DESK_UNICODE | ucs;
}


/* a key for a character that the layout does not have; 0: there is none */
static KeyCode
mesh_agent_desk_lend(mesh_agent_desk_t *d, uint32_t ucs)
{
    int                       i;
    uint64_t                  now;
    mesh_agent_desk_keys_t   *keys = &d->keys;
    mesh_agent_desk_spare_t  *spare;

    if (keys->nspares < 0) {
        mesh_agent_desk_find_spares(d);
    }

    if (keys->nspares == 0) {
        return 0;
    }

    now = mesh_agent_desk_now();
    spare = &keys->spare[0];

    for (i = 0; i < keys->nspares; i++) {

        if (keys->spare[i].ucs == ucs) {
            keys->spare[i].used = now;
            return keys->spare[i].code;
        }

        if (keys->spare[i].used < spare->used) {
            spare = &keys->spare[i];
        }
    }

    /* what was typed with it last should have been understood by now */
    if (spare->ucs != 0 && now - spare->used < MESH_AGENT_DESK_SETTLE) {
        (void) d->x.XFlush(d->dpy);
        mesh_agent_desk_sleep(MESH_AGENT_DESK_SETTLE);
    }

    mesh_agent_desk_map(d, spare->code, mesh_agent_desk_ucs_keysym(ucs));
    spare->ucs = ucs;
    spare->used = mesh_agent_desk_now();

    return spare->code;
}


/* keys that mean nothing; the highest ones, which no keyboard has */
static void
mesh_agent_desk_find_spares(mesh_agent_desk_t *d)
{
    int      code, i, min, max, n;
    KeySym  *syms;

    d->keys.nspares = 0;
    (void) d->x.XDisplayKeycodes(d->dpy, &min, &max);
    syms = d->x.XGetKeyboardMapping(d->dpy, (KeyCode) min, max - min + 1, &n);

    if (syms == NULL) {
        return;
    }

    for (code = max;
         code >= min && d->keys.nspares < MESH_AGENT_DESK_SPARES;
         code--)
    {
        for (i = 0; i < n && syms[(code - min) * n + i] == NoSymbol; i++) {
            /* void */
        }

        if (i == n) {
            d->keys.spare[d->keys.nspares++].code = (KeyCode) code;
        }
    }

    (void) d->x.XFree(syms);
}


static void
mesh_agent_desk_map(mesh_agent_desk_t *d, KeyCode code, KeySym sym)
{
    /* the same with Shift, and in the second group */
    KeySym  syms[4] = { sym, sym, sym, sym };

    (void) d->x.XChangeKeyboardMapping(d->dpy, code, 4, syms, 1);
    (void) d->x.XSync(d->dpy, False);
}


void
mesh_agent_desk_return_keys(mesh_agent_desk_t *d, uint64_t ms)
{
    int                       i;
    uint64_t                  now;
    mesh_agent_desk_spare_t  *spare;

    now = mesh_agent_desk_now();

    for (i = 0; i < d->keys.nspares; i++) {
        spare = &d->keys.spare[i];

        if (spare->ucs == 0 || now - spare->used < ms) {
            continue;
        }

        if (now - spare->used < MESH_AGENT_DESK_SETTLE) {
            mesh_agent_desk_sleep(MESH_AGENT_DESK_SETTLE);
        }

        mesh_agent_desk_map(d, spare->code, NoSymbol);
        spare->ucs = 0;
        spare->used = 0;
    }
}


void
mesh_agent_desk_mouse(mesh_agent_desk_t *d, const mesh_kvm_event_t *in)
{
    int                         x, y;
    unsigned                    b;
    mesh_agent_desk_screen_t   *s = &d->screen;

    if (!d->has_test || s->w == 0) {
        return;
    }

    x = in->u.mouse.x < s->w ? in->u.mouse.x : s->w - 1;
    y = in->u.mouse.y < s->h ? in->u.mouse.y : s->h - 1;
    x = s->area.x + (int) ((int64_t) x * s->area.w / s->w);
    y = s->area.y + (int) ((int64_t) y * s->area.h / s->h);

    (void) d->x.XTestFakeMotionEvent(d->dpy, -1, x, y, CurrentTime);

    b = in->u.mouse.buttons;

    if (b != MESH_KVM_DOUBLE) {
        if (b & (MESH_KVM_LEFT|MESH_KVM_LEFT << 1)) {
            mesh_agent_desk_button(d, 1, b & MESH_KVM_LEFT);
        }

        if (b & (MESH_KVM_MIDDLE|MESH_KVM_MIDDLE << 1)) {
            mesh_agent_desk_button(d, 2, b & MESH_KVM_MIDDLE);
        }

        if (b & (MESH_KVM_RIGHT|MESH_KVM_RIGHT << 1)) {
            mesh_agent_desk_button(d, 3, b & MESH_KVM_RIGHT);
        }
    }

    if (in->u.mouse.wheel != 0) {
        b = in->u.mouse.wheel > 0 ? 4 : 5;
        (void) d->x.XTestFakeButtonEvent(d->dpy, b, True, CurrentTime);
        (void) d->x.XTestFakeButtonEvent(d->dpy, b, False, CurrentTime);
    }
}


static void
mesh_agent_desk_button(mesh_agent_desk_t *d, unsigned button, int down)
{
    if (!down && !d->keys.buttons[button]) {
        return;
    }

    (void) d->x.XTestFakeButtonEvent(d->dpy, button, down != 0, CurrentTime);
    d->keys.buttons[button] = down != 0;
}


void
mesh_agent_desk_ctrl_alt_del(mesh_agent_desk_t *d)
{
    static const uint8_t  vks[] = { 0x11, 0x12, 0x2e };
    size_t                i;

    for (i = 0; i < sizeof(vks); i++) {
        mesh_agent_desk_key(d, 1, vks[i]);
    }

    for (i = sizeof(vks); i > 0; i--) {
        mesh_agent_desk_key(d, 0, vks[i - 1]);
    }
}


void
mesh_agent_desk_release(mesh_agent_desk_t *d)
{
    unsigned  i;

    d->keys.high = 0;

    for (i = 0; i < MESH_AGENT_DESK_KEYS; i++) {
        if (d->keys.down[i]) {
            mesh_agent_desk_press(d, (KeyCode) i, 0);
        }
    }

    for (i = 1; i <= 3; i++) {
        mesh_agent_desk_button(d, i, 0);
    }

    (void) d->x.XFlush(d->dpy);
}


static void
mesh_agent_desk_sleep(unsigned ms)
{
    struct timespec  ts = { 0, (long) ms * 1000000 };

    (void) nanosleep(&ts, NULL);
}
