/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* TAP for one C program: ok() and is() as often as you like, then tap_done(). */

#ifndef TAP_H_INCLUDED
#define TAP_H_INCLUDED


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int  tap_count;
static int  tap_failed;


static inline int
tap_vok(int good, const char *fmt, va_list args)
{
    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    vprintf(fmt, args);
    putchar('\n');
    fflush(stdout);

    tap_failed += !good;

    return good;
}


static inline int __attribute__((format(printf, 2, 3)))
ok(int good, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    good = tap_vok(good != 0, fmt, args);
    va_end(args);

    return good;
}


static inline int __attribute__((format(printf, 3, 4)))
is(long long got, long long want, const char *fmt, ...)
{
    int      good;
    va_list  args;

    va_start(args, fmt);
    good = tap_vok(got == want, fmt, args);
    va_end(args);

    if (!good) {
        printf("#   got %lld, want %lld\n", got, want);
    }

    return good;
}


/* the sizes are compared, too; both are printed as C would write them */

static inline int
is_bytes(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *name)
{
    int             i, good;
    size_t          n, len;
    const uint8_t  *p;

    good = got_len == want_len
           && (got_len == 0
               || (got && want && memcmp(got, want, got_len) == 0));

    ok(good, "%s", name);

    for (i = 0; i < 2 && !good; i++) {
        p = i ? want : got;
        len = p ? (i ? want_len : got_len) : 0;

        printf("#   %s %zu bytes: ", i ? "want" : "got ", len);

        for (n = 0; n < len && n < 400; n++) {
            printf(p[n] >= 0x20 && p[n] < 0x7f ? "%c" : "\\x%02x", p[n]);
        }

        putchar('\n');
    }

    return good;
}


static inline int
tap_done(void)
{
    printf("1..%d\n", tap_count);

    return tap_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}


/* a copy that ends where its allocation ends: a sanitizer sees one byte more */

static inline uint8_t *
tap_copy(const void *p, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len ? len : 1);

    if (copy == NULL) {
        abort();
    }

    if (len) {
        memcpy(copy, p, len);
    }

    return copy;
}


#endif /* TAP_H_INCLUDED */
