/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * A plain main() for a fuzz target: runs it over the files and folders given,
 * each also cut at every byte where that is cheap, and prints TAP.  A target
 * that does not like what it sees aborts.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>


#define REPLAY_MAX  (1024 * 1024)
#define REPLAY_CUT  512             /* longer files are not cut */


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static int  count;


/* in memory of its own size, so that a sanitizer sees the byte behind it */

static void
replay_bytes(const uint8_t *data, size_t size)
{
    uint8_t  *copy;

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, size);
    (void) LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}


static int
replay_file(const char *path)
{
    FILE     *f;
    size_t    size, n;
    uint8_t  *data;

    f = fopen(path, "rb");
    data = malloc(REPLAY_MAX);

    if (f == NULL || data == NULL) {
        printf("not ok %d - cannot read %s\n", ++count, path);

        if (f) {
            fclose(f);
        }

        free(data);

        return 1;
    }

    size = fread(data, 1, REPLAY_MAX, f);
    fclose(f);

    /* a crash in here is a missing line and a wrong plan */

    replay_bytes(data, size);

    for (n = 0; n < size && size <= REPLAY_CUT; n++) {
        replay_bytes(data, n);
    }

    free(data);

    printf("ok %d - %s\n", ++count, path);
    fflush(stdout);

    return 0;
}


static int
replay(const char *path)
{
    int              failed;
    DIR             *d;
    char             name[4096];
    struct stat      st;
    struct dirent   *de;

    if (stat(path, &st) == -1 || !S_ISDIR(st.st_mode)) {
        return replay_file(path);
    }

    d = opendir(path);

    if (d == NULL) {
        printf("not ok %d - cannot read %s\n", ++count, path);
        return 1;
    }

    failed = 0;

    while ((de = readdir(d)) != NULL) {

        if (de->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s/%s", path, de->d_name);
            failed += replay(name);
        }
    }

    closedir(d);

    return failed;
}


int
main(int argc, char **argv)
{
    int  i, failed;

    failed = 0;

    for (i = 1; i < argc; i++) {
        failed += replay(argv[i]);
    }

    if (count == 0) {
        printf("not ok %d - nothing to replay\n", ++count);
        failed = 1;
    }

    printf("1..%d\n", count);

    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
