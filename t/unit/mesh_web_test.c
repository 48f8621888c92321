/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "../../proto/mesh_web.h"
#include "tap.h"


/* of a copy that ends where the line does: a byte more is seen by ASan */
static uint8_t *
copy(const char *text, size_t len)
{
    uint8_t  *p;

    p = malloc(len ? len : 1);
    memcpy(p, text, len);

    return p;
}


/* "name=value", with "gone" or the date behind it; "-" for none */
static const char *
cookie(const char *line, size_t len)
{
    uint8_t            *p;
    mesh_web_cookie_t   c;

    static char  text[2 * MESH_WEB_COOKIE + 64];

    p = copy(line, len);

    if (mesh_web_cookie_parse(&c, p, len) != MESH_OK) {
        free(p);
        return "-";
    }

    snprintf(text, sizeof(text), "%.*s=%.*s%s%.*s", (int) c.name_len, c.name,
             (int) c.value_len, c.value, c.gone ? " gone" : "",
             c.expires ? (int) c.expires_len : 0,
             c.expires ? (const char *) c.expires : "");
    free(p);

    return text;
}


/* where it leads to; "elsewhere" or "-" */
static const char *
location(const char *line, size_t len, int https, const char *host,
    uint16_t port)
{
    int             rc;
    size_t          n;
    uint8_t        *p;
    const uint8_t  *path;

    static char  text[256];

    p = copy(line, len);
    rc = mesh_web_location(&path, &n, p, len, https, host, port);

    snprintf(text, sizeof(text), "%.*s",
             rc == MESH_OK ? (int) n : 9, rc == MESH_OK ? (const char *) path
                                          : rc == MESH_ERROR ? "-"
                                          : "elsewhere");
    free(p);

    return text;
}


/* a line may hold what no line of TAP may */
static void
same(const char *got, const char *want, const char *name)
{
    int  n;

    n = (int) strcspn(name, "\r\n\001\177#");

    if (!ok(strcmp(got, want) == 0, "\"%.*s\"", n, name)) {
        printf("# \"%s\", not \"%s\"\n", got, want);
    }
}


int
main(void)
{
    char               big[MESH_WEB_COOKIE + 16];
    size_t             i, n, good;
    uint8_t           *p;
    const char        *text;
    const uint8_t     *pos;
    mesh_web_cookie_t  c;

    static const struct {
        const char  *line, *want;
    } cookies[] = {
        { "a=b", "a=b" },
        { " a = b c ; Path=/x; HttpOnly", "a=b c" },
        { "a=b=c; Secure", "a=b=c" },
        { "a=", "a=" },
        { "a=b; Max-Age=0", "a=b gone" },
        { "a=b; max-age=-1; Expires=x", "a=b gone" },
        { "a=b; Max-Age=60; Expires=Thu", "a=b" },
        { "a=b; Expires= Thu, 01 Jan 1970 00:00:00 GMT ; Path=/",
          "a=bThu, 01 Jan 1970 00:00:00 GMT" },
        { "a=b; Max-Age=", "a=b" },
        { "=b", "-" }, { "ab", "-" }, { "", "-" }, { ";", "-" },
        { "a=b\r\nX: y", "-" }, { "a=b\nc", "-" }, { "a\001=b", "-" },
        { "a=b; Path=/\177", "-" },
        { "a=\"b\"; Domain=.example.org", "a=\"b\"" }
    };

    static const struct {
        const char  *line, *want;
        const char  *host;
        int          https;
        uint16_t     port;
    } places[] = {
        { "/a?b#c", "/a?b#c", "127.0.0.1", 0, 80 },
        { "", "", "127.0.0.1", 0, 80 },
        { "a/b", "a/b", "127.0.0.1", 0, 80 },
        { "?x=a:b", "?x=a:b", "127.0.0.1", 0, 80 },
        { "/a:b", "/a:b", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1/a", "/a", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1", "", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1:80/", "/", "127.0.0.1", 0, 80 },
        { "HTTP://Box.Example:8080/a", "/a", "box.example", 0, 8080 },
        { "//127.0.0.1/a", "/a", "127.0.0.1", 0, 80 },
        { "https://[fd00::1]/a", "/a", "fd00::1", 1, 443 },
        { "https://[fd00::1]:444/a", "/a", "fd00::1", 1, 444 },
        { "http://127.0.0.1//evil.example/", "/evil.example/", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1?x", "-", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1:8080/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1/", "elsewhere", "127.0.0.1", 0, 8080 },
        { "http://127.0.0.1:/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1:65616/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1:000080/", "elsewhere", "127.0.0.1", 0, 80 },
        { "https://127.0.0.1/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1@evil.example/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1:80@evil/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://127.0.0.1.evil/", "elsewhere", "127.0.0.1", 0, 80 },
        { "http://fd00::1/", "elsewhere", "fd00::1", 0, 80 },
        { "//evil.example", "elsewhere", "127.0.0.1", 0, 80 },
        { "///evil.example", "elsewhere", "127.0.0.1", 0, 80 },
        { "javascript:alert(1)", "elsewhere", "127.0.0.1", 0, 80 },
        { "data:text/html,x", "elsewhere", "127.0.0.1", 0, 80 },
        { "http:/a", "-", "127.0.0.1", 0, 80 },
        { "http:evil", "-", "127.0.0.1", 0, 80 },
        { "/\\evil.example", "-", "127.0.0.1", 0, 80 },
        { "/\t/evil.example", "-", "127.0.0.1", 0, 80 },
        { "\x01//evil.example", "-", "127.0.0.1", 0, 80 },
        { "/a b", "-", "127.0.0.1", 0, 80 }
    };

    for (i = 0; i < sizeof(cookies) / sizeof(cookies[0]); i++) {
        same(cookie(cookies[i].line, strlen(cookies[i].line)),
             cookies[i].want, cookies[i].line);
    }

    memset(big, 'x', sizeof(big));
    big[1] = '=';
    ok(cookie(big, MESH_WEB_COOKIE + 1)[0] != '-', "a cookie of 4096 bytes");
    same(cookie(big, MESH_WEB_COOKIE + 2), "-", "S-22: and none of 4097");

    text = "sid=abc; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    good = 0;

    for (n = 0; n <= strlen(text); n++) {
        good += strncmp(cookie(text, n), n < 4 ? "-" : "sid=", n < 4 ? 2 : 4)
                == 0;
    }

    is((long long) good, (long long) strlen(text) + 1,
       "S-22: a cookie that is cut at any byte is read to there");

    text = "a=1; =2;;b; c = 3 ;d=";
    p = copy(text, strlen(text));
    pos = p;
    n = 0;

    while (mesh_web_cookie_next(&c, &pos, p + strlen(text)) == MESH_OK) {
        big[n++] = (char) c.name[0];
        big[n++] = c.value_len ? (char) c.value[0] : '-';
    }

    big[n] = '\0';
    free(p);
    same(big, "a1c3d-", "pairs of a browser, without what are none");

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        ok(strcmp(location(places[i].line, strlen(places[i].line),
                           places[i].https, places[i].host, places[i].port),
                  places[i].want) == 0,
           "S-54: place %d leads to \"%s\"", (int) i, places[i].want);
    }

    text = "http://127.0.0.1:8080/a";
    good = 0;

    for (n = 0; n <= strlen(text); n++) {
        snprintf(big, sizeof(big), "%.*s", (int) n, text);
        good += strcmp(location(text, n, 0, "127.0.0.1", 8080),
                       n < 5 ? big : n < 7 ? "-" : n < 21 ? "elsewhere"
                       : big + 21)
                == 0;
    }

    is((long long) good, (long long) strlen(text) + 1,
       "S-22: an address that is cut at any byte leads nowhere else");

    return tap_done();
}
