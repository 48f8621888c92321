/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_msh.h"
#include "tap.h"


static const char  policy[] =
    "MeshName=a lab\r\n"
    "\n"
    "# MeshType=2\n"
    "  ServerID=AB==  \r\n"
    "none\n"
    "=x\n"
    "empty=\n"
    "zero\0=a\n"
    " \r\r\n"
    "MeshServer=wss://a/b?c=d";

static const char *const  pairs[] = {
    "MeshName", "a lab", "ServerID", "AB==", "MeshServer", "wss://a/b?c=d"
};


/* the pairs of len bytes, as "key=value;" */
static int
read_policy(char *text, size_t size, size_t len)
{
    int               rc, lines;
    size_t            n;
    uint8_t          *copy;
    const char       *p;
    mesh_msh_pair_t   pair;

    copy = tap_copy(policy, len);
    p = (char *) copy;
    lines = 0;
    n = 0;
    text[0] = '\0';

    while ((rc = mesh_msh_parse(&pair, &p, (char *) copy + len)) != MESH_AGAIN)
    {
        lines++;

        if (rc == MESH_OK) {
            n += (size_t) snprintf(text + n, size - n, "%.*s=%.*s;",
                                   (int) pair.key_len, pair.key,
                                   (int) pair.value_len, pair.value);
        }
    }

    free(copy);

    return lines;
}


int
main(void)
{
    char    text[512] = "", want[512] = "", whole[512] = "";
    size_t  i, n, len, wrong;

    n = 0;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i += 2) {
        n += (size_t) snprintf(want + n, sizeof(want) - n, "%s=%s;", pairs[i],
                               pairs[i + 1]);
    }

    is(read_policy(whole, sizeof(whole), sizeof(policy) - 1), 10,
       "a policy is read line by line");
    is_bytes(whole, strlen(whole), want, n, "of which pairs are kept");
    is(read_policy(text, sizeof(text), 0), 0, "an empty one has no line");

    wrong = 0;

    for (len = 0; len < sizeof(policy) - 1; len++) {
        (void) read_policy(text, sizeof(text), len);
        n = strlen(text);

        /* without the semicolon */
        if (n && strncmp(text, whole, n - 1) != 0) {
            printf("# %zu: %s\n", len, text);
            wrong++;
        }
    }

    is(wrong, 0, "cut at any byte it is what stands before that byte");

    return tap_done();
}
