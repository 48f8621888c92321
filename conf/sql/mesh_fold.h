/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * How names are folded before they are stored in account.login and
 * device.name_key: one function, as what the databases' lower() does beyond
 * ASCII differs.
 */

#ifndef _MESH_FOLD_H_INCLUDED_
#define _MESH_FOLD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* small letter of a capital one that takes as many bytes; else c itself */
static inline uint32_t
mesh_fold_char(uint32_t c)
{
    if (c < 0x80) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }

    if (c >= 0xc0 && c <= 0xde) {                     /* Latin-1 */
        return c != 0xd7 ? c + 32 : c;
    }

    if (c >= 0x100 && c <= 0x17f) {                   /* Latin Extended-A */
        if (c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149 || c == 0x17f)
        {
            return c;
        }

        if (c == 0x178) {
            return 0xff;
        }

        if ((c >= 0x139 && c <= 0x148) || c >= 0x179) {
            return c & 1 ? c + 1 : c;
        }

        return c & 1 ? c : c + 1;
    }

    if (c >= 0x391 && c <= 0x3a9) {                   /* Greek */
        return c != 0x3a2 ? c + 32 : c;
    }

    if (c >= 0x400 && c <= 0x40f) {                   /* Cyrillic */
        return c + 80;
    }

    if (c >= 0x410 && c <= 0x42f) {
        return c + 32;
    }

    if ((c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf)
        || (c >= 0x4d0 && c <= 0x52f))
    {
        return c & 1 ? c : c + 1;
    }

    if (c >= 0x531 && c <= 0x556) {                   /* Armenian */
        return c + 48;
    }

    if ((c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff)) {
        return c & 1 ? c : c + 1;                     /* Vietnamese and more */
    }

    return c;
}


/*
 * Writes src folded to dst.  Returns the bytes written, or 0: src is empty, is
 * not UTF-8, has a control character, or does not fit into size bytes.
 */
static inline size_t
mesh_fold(uint8_t *dst, size_t size, const uint8_t *src, size_t len)
{
    size_t    i, n, k;
    uint32_t  c, low;

    if (len > size) {
        return 0;
    }

    for (i = 0; i < len; i += n) {

        if (src[i] < 0x80) {
            if (src[i] < 0x20 || src[i] == 0x7f) {
                return 0;
            }

            dst[i] = (uint8_t) mesh_fold_char(src[i]);
            n = 1;
            continue;
        }

        if (src[i] >= 0xc2 && src[i] <= 0xdf) {
            n = 2;
            c = src[i] & 0x1f;
            low = 0x80;

        } else if ((src[i] & 0xf0) == 0xe0) {
            n = 3;
            c = src[i] & 0x0f;
            low = 0x800;

        } else if (src[i] >= 0xf0 && src[i] <= 0xf4) {
            n = 4;
            c = src[i] & 0x07;
            low = 0x10000;

        } else {
            return 0;
        }

        if (len - i < n) {
            return 0;
        }

        for (k = 1; k < n; k++) {
            if ((src[i + k] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (src[i + k] & 0x3f);
        }

        if (c < low || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)
            || (c >= 0x80 && c < 0xa0))
        {
            return 0;
        }

        c = mesh_fold_char(c);

        for (k = n - 1; k > 0; k--) {
            dst[i + k] = (uint8_t) (0x80 | (c & 0x3f));
            c >>= 6;
        }

        dst[i] = (uint8_t) ((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    }

    return len;
}


#endif /* _MESH_FOLD_H_INCLUDED_ */
