/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_target.h"
#include "tap.h"


/* both see their own bytes and not one more */

static int
parse(mesh_target_t *t, const char *text, size_t len, uint32_t port)
{
    int          rc;
    uint8_t     *copy;
    const char  *why;

    why = NULL;
    copy = tap_copy((const uint8_t *) text, len);
    rc = mesh_target_parse(t, (char *) copy, len, port, &why);
    free(copy);

    return rc == MESH_ERROR && why == NULL ? 77 : rc;
}


static int
entry(const char *text, size_t len)
{
    int          rc;
    uint8_t     *copy;
    const char  *why;

    why = NULL;
    copy = tap_copy((const uint8_t *) text, len);
    rc = mesh_target_entry((char *) copy, len, &why);
    free(copy);

    return rc == MESH_ERROR && why == NULL ? 77 : rc;
}


static int
match(const char *address, uint32_t port, const char *list)
{
    int            rc;
    uint8_t       *copy;
    mesh_target_t  t;

    if (parse(&t, address, strlen(address), port) != MESH_OK) {
        return MESH_ERROR;
    }

    copy = tap_copy((const uint8_t *) list, strlen(list));
    rc = mesh_target_match(&t, (char *) copy, strlen(list));
    free(copy);

    return rc;
}


static const struct {
    const char  *text, *written;
    int          kind, self;
} good[] = {
    { "", "127.0.0.1", MESH_TARGET_V4, 1 },
    { "127.0.0.1", "127.0.0.1", MESH_TARGET_V4, 1 },
    { "127.9.8.7", "127.9.8.7", MESH_TARGET_V4, 1 },
    { "LocalHost", "127.0.0.1", MESH_TARGET_V4, 1 },
    { "::1", "::1", MESH_TARGET_V6, 1 },
    { "[::1]", "::1", MESH_TARGET_V6, 1 },
    { "0:0:0:0:0:0:0:1", "::1", MESH_TARGET_V6, 1 },
    { "::ffff:127.0.0.1", "127.0.0.1", MESH_TARGET_V4, 1 },
    { "::FFFF:7f00:1", "127.0.0.1", MESH_TARGET_V4, 1 },
    { "::ffff:10.1.2.3", "10.1.2.3", MESH_TARGET_V4, 0 },
    { "0:0:0:0:0:ffff:a01:203", "10.1.2.3", MESH_TARGET_V4, 0 },
    { "192.168.1.255", "192.168.1.255", MESH_TARGET_V4, 0 },
    { "169.254.169.254", "169.254.169.254", MESH_TARGET_V4, 0 },
    { "FD00:0:0:1::20", "fd00:0:0:1::20", MESH_TARGET_V6, 0 },
    { "fd00::1:0:0:0:1", "fd00:0:0:1::1", MESH_TARGET_V6, 0 },
    { "1:0:0:2:0:0:0:3", "1:0:0:2::3", MESH_TARGET_V6, 0 },
    { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", MESH_TARGET_V6, 0 },
    { "fe80::1", "fe80::1", MESH_TARGET_V6, 0 },
    { "fd00::", "fd00::", MESH_TARGET_V6, 0 },
    { "1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8", MESH_TARGET_V6, 0 },
    { "fd00::10.1.2.3", "fd00::a01:203", MESH_TARGET_V6, 0 },
    { "Printer.Example.", "printer.example", MESH_TARGET_NAME, 0 },
    { "a", "a", MESH_TARGET_NAME, 0 },
    { "_x.a-b.c9", "_x.a-b.c9", MESH_TARGET_NAME, 0 },
    { "1.2.3.4.example", "1.2.3.4.example", MESH_TARGET_NAME, 0 },
    { "localhost.localdomain", "localhost.localdomain", MESH_TARGET_NAME, 0 }
};

static const char  *bad[] = {
    /* what other programs read as 127.0.0.1, or as this host */
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1",
    "0127.0.0.1", "127.0.0.01", "1.2.3.0x4", "0", "0.0.0.0", "0.1.2.3", "::",
    "[::]", "::0", "0::0", "::ffff:0.0.0.0", "::ffff:0", "::ffff:0:0",
    "1.2.3.4.", "a.1", "a.0x1", "a.0x7f000001",
    /* an IPv4 address inside of another one */
    "::127.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::1", "2001::1", "fe80::5efe:127.0.0.1", "fd00::200:5efe:1.2.3.4",
    /* no single host */
    "255.255.255.255", "224.0.0.1", "240.0.0.1", "ff02::1", "ff0e::1",
    /* nothing at all */
    "256.1.1.1", "1.2.3", "1.2.3.4.5", "1..2.3", " 127.0.0.1", "127.0.0.1 ",
    "127.0.0.1:80", "1.2.3.4/8", "[127.0.0.1]", "[::1", "::1]", ":::", "1:::2",
    "1::2::3", ":1::2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:",
    "12345::1", "g::1", "::1%lo", "::1%25lo", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4",
    "1::2:3:4:5:6:7:8:9", "::2:3:4:5:6:7:8:1.2.3.4", "1:2:3:4::5:6:7:8",
    "a..b", ".a", "-a", "a-", "a.-b", "a-.b", "a b", "a/b", "a@b", "a\nb",
    "a\r\nb", "a\"b", "a%b", "\xc3\xa4", "."
};

static const char  *entries[] = {
    "10.0.0.0/8:*", "192.168.1.0/24:22,80,443", "1.2.3.4:1-65535",
    "[fd00::]/64:443", "[fd00::1]:22,8000-8080", "printer.example:9100",
    "0.0.0.0/0:80", "[::]/0:*", "169.254.0.0/16:80",
    "1.2.3.4:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16-17"
};

static const char  *no_entries[] = {
    "", ":", "10.0.0.0/8", "10.0.0.0/8:", "10.0.0.0/33:1", "10.0.0.0/:1",
    "10.0.0.0/08:1", "10.0.0.0/8/8:1", "10.0.0.0:0", "10.0.0.0:65536",
    "10.0.0.0:2-1", "10.0.0.0:1-", "10.0.0.0:-1", "10.0.0.0:1,", "10.0.0.0:,1",
    "10.0.0.0:1,,2", "10.0.0.0:1 ,2", "10.0.0.0:01", "10.0.0.0:**",
    "10.0.0.0:*,1", "10.0.0.0:a", "*:80", "fd00::1:80", "[fd00::1]80",
    "[fd00::]/129:1", "[10.0.0.1]:80", "[]:80", "a/8:80", "a:80:90", "a:",
    "010.0.0.0/8:1", "a b:80", "[fd00::1", "[::1%lo]:80",
    "1.2.3.4:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"
};

static const struct {
    const char  *address;
    const char  *entry;
    uint32_t     port;
    int          rc;
} matches[] = {
    { "192.168.1.9", "192.168.1.0/24:22,80", 22, MESH_OK },
    { "192.168.1.9", "192.168.1.0/24:22,80", 80, MESH_OK },
    { "192.168.1.9", "192.168.1.0/24:22,80", 81, MESH_DECLINED },
    { "192.168.2.9", "192.168.1.0/24:22,80", 22, MESH_DECLINED },
    { "::ffff:192.168.1.9", "192.168.1.0/24:22", 22, MESH_OK },
    { "192.168.1.127", "192.168.1.0/25:*", 5, MESH_OK },
    { "192.168.1.128", "192.168.1.0/25:*", 5, MESH_DECLINED },
    { "192.168.1.9", "192.168.1.8:22", 22, MESH_DECLINED },
    { "192.168.1.9", "192.168.1.9:8000-8080", 8050, MESH_OK },
    { "192.168.1.9", "192.168.1.9:8000-8080,8082", 8081, MESH_DECLINED },
    { "192.168.1.9", "192.168.1.9:8000-8080,8082", 8082, MESH_OK },
    { "8.8.8.8", "0.0.0.0/0:53", 53, MESH_OK },
    { "fd00::9", "[fd00::]/64:443", 443, MESH_OK },
    { "fd00:0:0:1::9", "[fd00::]/64:443", 443, MESH_DECLINED },
    { "fd00::9", "0.0.0.0/0:*", 443, MESH_DECLINED },
    { "8.8.8.8", "[::]/0:*", 443, MESH_DECLINED },
    { "printer.example", "Printer.example:9100", 9100, MESH_OK },
    { "printer.example", "printer.example:9100", 9101, MESH_DECLINED },
    { "x.printer.example", "printer.example:9100", 9100, MESH_DECLINED },
    { "printer.example", "0.0.0.0/0:*", 80, MESH_DECLINED },
    { "169.254.169.254", "0.0.0.0/0:*", 80, MESH_DECLINED },
    { "169.254.169.254", "169.0.0.0/8:*", 80, MESH_DECLINED },
    { "169.254.169.254", "169.254.169.254:80", 80, MESH_OK },
    { "fe80::1", "[::]/0:*", 80, MESH_DECLINED },
    { "fe80::1", "[fe80::]/10:80", 80, MESH_OK },
    { "8.8.8.8", "none", 53, MESH_DECLINED }
};


static void
cuts(const char *text)
{
    int            rc;
    size_t         n, bad_cuts;
    mesh_target_t  t;

    bad_cuts = 0;

    for (n = 0; n <= strlen(text); n++) {
        rc = parse(&t, text, n, 1);

        if (rc == MESH_OK) {
            bad_cuts += t.len != strlen(t.text) || t.len > MESH_TARGET_TEXT;
        } else {
            bad_cuts += rc != MESH_ERROR;
        }

        rc = entry(text, n);
        bad_cuts += rc != MESH_OK && rc != MESH_ERROR;
    }

    is(bad_cuts, 0, text);
}


int
main(void)
{
    char           text[400], again[400];
    size_t         i, wrong;
    mesh_target_t  t, u;

    wrong = 0;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (parse(&t, good[i].text, strlen(good[i].text), 22) != MESH_OK
            || strcmp(t.text, good[i].written) != 0
            || t.len != strlen(t.text) || t.kind != good[i].kind
            || t.self != good[i].self || t.port != 22)
        {
            printf("# \"%s\"\n", good[i].text);
            wrong++;
        }

        (void) snprintf(again, sizeof(again), "%s", t.text);

        if (parse(&u, again, strlen(again), 22) != MESH_OK
            || strcmp(u.text, again) != 0)
        {
            printf("# \"%s\" again\n", again);
            wrong++;
        }
    }

    is(wrong, 0, "S-50: an address has one spelling, however it is written");

    wrong = 0;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(&t, bad[i], strlen(bad[i]), 22) != MESH_ERROR) {
            printf("# \"%s\" is %s\n", bad[i], t.text);
            wrong++;
        }
    }

    is(wrong, 0, "S-50: what others read as an address is none here");

    is(parse(&t, "a\0b", 3, 22), MESH_ERROR, "nor is what holds a zero");
    is(parse(&t, "1.2.3.4", 7, 0), MESH_ERROR, "port 0 is none");
    is(parse(&t, "1.2.3.4", 7, 65535), MESH_OK, "65535 is the last one");
    is(parse(&t, "1.2.3.4", 7, 65536), MESH_ERROR, "65536 is none");

    memset(text, 'a', sizeof(text));
    is(parse(&t, text, 63, 22), MESH_OK, "a label of 63 letters is one");
    is(parse(&t, text, 64, 22), MESH_ERROR, "one of 64 is none");

    for (i = 0; i < sizeof(text); i += 2) {
        text[i + 1] = '.';
    }

    is(parse(&t, text, MESH_TARGET_TEXT, 22), MESH_OK,
       "a name of 253 letters is one");
    is(parse(&t, text, MESH_TARGET_TEXT + 2, 22), MESH_ERROR,
       "a longer one is none");

    wrong = 0;

    for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (entry(entries[i], strlen(entries[i])) != MESH_OK) {
            printf("# \"%s\"\n", entries[i]);
            wrong++;
        }
    }

    for (i = 0; i < sizeof(no_entries) / sizeof(no_entries[0]); i++) {
        if (entry(no_entries[i], strlen(no_entries[i])) != MESH_ERROR) {
            printf("# \"%s\"\n", no_entries[i]);
            wrong++;
        }
    }

    is(wrong, 0, "an entry is an address or a name, and ports");

    memset(text, ' ', sizeof(text));
    is(entry(text, sizeof(text)), MESH_ERROR, "a long one is none");

    wrong = 0;

    for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
        if (match(matches[i].address, matches[i].port, matches[i].entry)
            != matches[i].rc)
        {
            printf("# %s %u in \"%s\"\n", matches[i].address,
                   (unsigned) matches[i].port, matches[i].entry);
            wrong++;
        }
    }

    is(wrong, 0, "S-50: an entry allows what it names, and nothing else");

    /* at every byte */

    cuts("[2001:db8:0:1::20]/64:22,80,8000-8080");
    cuts("2001:db8::ffff:192.168.100.200");
    cuts("192.168.100.200/24:22,80-90");
    cuts("printer-1.some.example.org:9100");

    return tap_done();
}
