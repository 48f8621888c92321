/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* The agent's data file, cut and damaged at every byte. */

#include "../../agent/mesh_agent_store.h"
#include "mesh_agent_base.h"
#include "tap.h"


#define MAGIC  19                         /* bytes before the first record */


/* NULL: deleted; long: 1500 of them */
static const struct {
    const char  *key, *value;
} steps[] = {
    { "a", "one" }, { "b", "" }, { "long", "x" }, { "a", "two" }, { "b", NULL },
    { "none", NULL }, { "c", "three" }, { "a", NULL }, { "long", "y" }
};

#define STEPS  (sizeof(steps) / sizeof(steps[0]))

static const char *const  keys[] = { "a", "b", "c", "long", "none" };

static char      path[96];
static uint8_t  *file;
static size_t    size;
static size_t    ends[STEPS];             /* of the file, after each step */


static size_t
value_of(uint8_t *buf, size_t step)
{
    size_t  len;

    if (strcmp(steps[step].key, "long") == 0) {
        memset(buf, steps[step].value[0], 1500);
        return 1500;
    }

    len = strlen(steps[step].value);
    memcpy(buf, steps[step].value, len);

    return len;
}


static void
load(void)
{
    FILE  *f;

    free(file);
    file = mesh_agent_alloc(16384);
    f = fopen(path, "rb");

    if (f == NULL) {
        abort();
    }

    size = fread(file, 1, 16384, f);
    (void) fclose(f);
}


static void
fill(void)
{
    int                  bad;
    size_t               i;
    uint8_t              buf[1500];
    mesh_agent_store_t  *st;

    st = mesh_agent_store_open(path);
    bad = st == NULL;

    for (i = 0; i < STEPS && !bad; i++) {
        bad = (steps[i].value
               ? mesh_agent_store_put(st, steps[i].key, buf,
                                      value_of(buf, i))
               : mesh_agent_store_delete(st, steps[i].key))
              != MESH_OK;

        load();
        ends[i] = size;
    }

    ok(!bad, "a new file is filled");

    if (st) {
        mesh_agent_store_close(st);
    }
}


/* is in the store what the steps that lie within len bytes have left? */
static int
holds(mesh_agent_store_t *st, size_t len)
{
    size_t          i, k, n, want;
    uint8_t         buf[1500];
    const uint8_t  *p;

    for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        want = STEPS;

        for (i = 0; i < STEPS && ends[i] <= len; i++) {
            if (strcmp(steps[i].key, keys[k]) == 0) {
                want = steps[i].value ? i : STEPS;
            }
        }

        p = mesh_agent_store_get(st, keys[k], &n);

        if (want == STEPS) {
            if (p) {
                return 0;
            }

        } else if (p == NULL || n != value_of(buf, want)
                   || memcmp(p, buf, n) != 0)
        {
            return 0;
        }
    }

    return 1;
}


static void
cuts(void)
{
    int                  good;
    size_t               n, len, wrong;
    const uint8_t       *p;
    mesh_agent_store_t  *st;

    wrong = 0;

    for (n = 0; n <= size; n++) {
        mesh_agent_base_write(path, file, n);
        st = mesh_agent_store_open(path);
        good = st && holds(st, n)
               && mesh_agent_store_put(st, "new", "value", 5) == MESH_OK;

        if (st) {
            mesh_agent_store_close(st);
        }

        st = mesh_agent_store_open(path);
        p = st ? mesh_agent_store_get(st, "new", &len) : NULL;
        good = good && p && len == 5 && memcmp(p, "value", 5) == 0
               && holds(st, n);

        if (st) {
            mesh_agent_store_close(st);
        }

        if (!good) {
            printf("# cut at %zu\n", n);
            wrong++;
        }
    }

    is(wrong, 0, "a file that is cut at any byte keeps what stands before it, "
                 "and is written on");
}


static void
damage(void)
{
    size_t               n, i, wrong;
    mesh_agent_store_t  *st;

    wrong = 0;

    for (n = 0; n < size; n++) {
        file[n] ^= 0x80;
        mesh_agent_base_write(path, file, size);
        file[n] ^= 0x80;

        /* of the record that it is in, and of all behind it, nothing counts */
        for (i = 0; i < STEPS && ends[i] <= n; i++) { /* void */ }

        st = mesh_agent_store_open(path);

        if ((st == NULL) != (n < MAGIC)
            || (st && !holds(st, i ? ends[i - 1] : MAGIC)))
        {
            printf("# damaged at %zu\n", n);
            wrong++;
        }

        if (st) {
            mesh_agent_store_close(st);
        }
    }

    is(wrong, 0, "one that is damaged at any byte keeps what stands before it");
}


static void
lengths(void)
{
    char                 key[MESH_AGENT_STORE_KEY + 2];
    mesh_agent_store_t  *st;

    (void) unlink(path);
    st = mesh_agent_store_open(path);
    memset(key, 'k', sizeof(key));

    key[MESH_AGENT_STORE_KEY + 1] = '\0';
    is(mesh_agent_store_put(st, key, "", 0), MESH_ERROR,
       "S-22: a key of 257 bytes is refused");
    key[MESH_AGENT_STORE_KEY] = '\0';
    is(mesh_agent_store_put(st, key, "", 0), MESH_OK,
       "S-22: one of 256 is taken");
    is(mesh_agent_store_put(st, "", "", 0), MESH_ERROR,
       "S-22: one of 0 is not");
    mesh_agent_store_close(st);

    st = mesh_agent_store_open(path);
    is(mesh_agent_store_size(st, "k", ""), 12 + MESH_AGENT_STORE_KEY,
       "what was taken is there again");
    ok(mesh_agent_store_open(path) == NULL, "for one process alone");
    mesh_agent_store_close(st);
}


int
main(void)
{
    (void) snprintf(path, sizeof(path), "%s/agent.db",
                    mesh_agent_base_folder());

    fill();
    cuts();
    damage();
    lengths();

    free(file);
    (void) unlink(path);
    (void) rmdir(mesh_agent_base_folder());

    return tap_done();
}
