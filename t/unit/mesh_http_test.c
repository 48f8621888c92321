/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_http.h"
#include "tap.h"


static const char  upgrade[] =
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Connection: upgrade\r\n"
    "X-Sec-WebSocket-Accept: no\r\n"
    "SEC-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t\r\n"
    "Retry-After:\r\n"
    "\r\n";

static const char *const  good[] = {
    "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n",
    "HTTP/1.1 200 \xc3\xa4\ta\r\na\r\n:\r\n\r\n"
};

static const char *const  bad[] = {
    "\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 099 a\r\n\r\n",
    "HTTP/1.1  200\r\n\r\n", "HTTP/1.1 +20\r\n\r\n", "HTTP/1.x 200\r\n\r\n",
    "http/1.1 200\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "SSH-2.0-a\r\n\r\n",
    "HTTP/1.1 200 \x1b[2J", "HTTP/1.1 200 \x7f", "HTTP/1.1 200 OK\r\na: \x01",
    "HTTP/1.1 200 a\nb", "HTTP/1.1 200 a\rb", "\nHTTP/1.1 200", "a\r\r\n"
};

static const struct {
    const char  *text, *host, *path;
    int          port, tls, explicit_port;
} urls[] = {
    { "wss://a", "a", "", 443, 1, 0 },
    { "wss://a/", "a", "/", 443, 1, 0 },
    { "ws://a.example:80/b/c?d=e:f#g/h", "a.example", "/b/c?d=e:f", 80, 0, 0 },
    { "https://a:8443?x", "a", "?x", 8443, 1, 1 },
    { "http://a:443#x", "a", "", 443, 0, 1 },
    { "wss://[2001:db8::1]", "2001:db8::1", "", 443, 1, 0 },
    { "wss://[::1]:65535/agent.ashx", "::1", "/agent.ashx", 65535, 1, 1 },
    { "wss://a/@:b", "a", "/@:b", 443, 1, 0 }
};

static const char *const  no_urls[] = {
    "", "wss", "wss:/a", "wss://", "WSS://a", "ftp://a", "wss:///a",
    "wss://:443", "wss://a:", "wss://a:0", "wss://a:65536", "wss://a:+1",
    "wss://a:1a", "wss://a:99999999999999999999", "wss://me@a",
    "wss://me:pw@a", "wss://[::1", "wss://[]", "wss://[::1]a", "wss://[::1]:",
    "wss://a\r\nb", "wss://a/b c", "wss://a/\x7f", "wss://a/\x01"
};

static const struct {
    const char  *text, *auth, *host;
    int          port;
} proxies[] = {
    { "a:3128", NULL, "a", 3128 },
    { "http://a.example:1/", NULL, "a.example", 1 },
    { "http://me:p@ss/w:rd@a:65535/b", "me:p@ss/w:rd", "a", 65535 },
    { "@a:80", "", "a", 80 },
    { "[::1]:3128", NULL, "::1", 3128 }
};

static const char *const  no_proxies[] = {
    "", "a", ":80", "a:", "a:0", "a:65536", "a:80x", "https://a:80", "::1:80",
    "[::1]", "a b:80", "a:80@", "http://", "me@/a:80"
};


static size_t
count_bad_answers(const char *const *list, size_t n, int want)
{
    int                  rc;
    size_t               i, size, wrong;
    uint8_t             *copy;
    mesh_http_answer_t   a;

    for (wrong = 0, i = 0; i < n; i++) {
        size = strlen(list[i]);
        copy = tap_copy(list[i], size);
        rc = mesh_http_answer_parse(&a, (char *) copy, size);

        if (rc != want || (rc == MESH_OK && (a.size != size
                                             || a.status != 200)))
        {
            printf("# %zu: %s\n", i, list[i]);
            wrong++;
        }

        free(copy);
    }

    return wrong;
}


/* all bytes before the last but one are the start of a header, and no more */
static void
cut_answer(void)
{
    size_t               n, wrong;
    uint8_t             *copy;
    mesh_http_answer_t   a;

    wrong = 0;

    for (n = 0; n < sizeof(upgrade) - 1; n++) {
        copy = tap_copy(upgrade, n);
        wrong += mesh_http_answer_parse(&a, (char *) copy, n) != MESH_AGAIN;
        free(copy);
    }

    is(wrong, 0, "an answer that is cut at any byte waits for the rest");
}


static void
lines(void)
{
    size_t               len;
    uint8_t             *copy;
    const char          *value;
    mesh_http_answer_t   a;

    copy = tap_copy(upgrade, sizeof(upgrade));

    if (is(mesh_http_answer_parse(&a, (char *) copy, sizeof(upgrade)), MESH_OK,
           "an answer with a byte behind it is one"))
    {
        is(a.size, sizeof(upgrade) - 1, "that byte is not of it");
        is(a.status, 101, "its status");
        is(a.line, strlen("HTTP/1.1 101 Switching Protocols"),
           "its first line");

        value = mesh_http_line(&a, "sec-websocket-accept", &len);
        is_bytes(value, value ? len : 0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28,
                 "a line whatever its case, without blanks");

        value = mesh_http_line(&a, "retry-after", &len);
        is(value ? (long long) len : -1, 0, "an empty one");
        ok(mesh_http_line(&a, "sec-websocket", &len) == NULL,
           "the start of a name is none");
        ok(mesh_http_line(&a, "http/1.1 101 switching protocols", &len)
           == NULL, "nor is the first line");
    }

    free(copy);
}


static void
numbers(void)
{
    is(mesh_http_number("0", 1, 9), 0, "0 is a number");
    is(mesh_http_number("65535", 5, 65536), 65535, "one below the maximum");
    is(mesh_http_number("65536", 5, 65536), 65536, "the maximum");
    is(mesh_http_number("65537", 5, 65536), 65536, "what is more is that");
    is(mesh_http_number("9", 1, 5), 5, "with one digit too");
    is(mesh_http_number("99999999999999999999999", 23, 65536), 65536,
       "however long it is");
    is(mesh_http_number("00007", 5, 9), 7, "with zeros before it");
    is(mesh_http_number("", 0, 9), -1, "nothing is none");
    is(mesh_http_number("-1", 2, 9), -1, "nor is a sign");
    is(mesh_http_number("1 ", 2, 9), -1, "nor a blank");
    is(mesh_http_number("99a", 3, 9), -1, "nor a letter behind too much");
}


static int
same(const char *p, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(p, want, len) == 0;
}


static void
all_urls(void)
{
    size_t            i, n, wrong;
    uint8_t          *copy;
    mesh_http_url_t   u;

    wrong = 0;

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        n = strlen(urls[i].text);
        copy = tap_copy(urls[i].text, n);

        if (mesh_http_url_parse(&u, (char *) copy, n) != MESH_OK
            || !same(u.host, u.host_len, urls[i].host)
            || !same(u.path, u.path_len, urls[i].path)
            || u.port != urls[i].port || u.tls != (unsigned) urls[i].tls
            || u.explicit_port != (unsigned) urls[i].explicit_port)
        {
            printf("# \"%s\"\n", urls[i].text);
            wrong++;
        }

        free(copy);
    }

    is(wrong, 0, "URLs are read");

    wrong = 0;

    for (i = 0; i < sizeof(no_urls) / sizeof(no_urls[0]); i++) {
        n = strlen(no_urls[i]);
        copy = tap_copy(no_urls[i], n);

        if (mesh_http_url_parse(&u, (char *) copy, n) != MESH_ERROR) {
            printf("# \"%s\"\n", no_urls[i]);
            wrong++;
        }

        free(copy);
    }

    is(wrong, 0, "what is none, or would end a line, is refused");
}


static void
cut_url(void)
{
    int               rc;
    size_t            n, wrong;
    uint8_t          *copy;
    mesh_http_url_t   u;

    static const char  text[] = "wss://[2001:db8::1]:8443/agent.ashx?a=b#c";

    wrong = 0;

    for (n = 0; n < sizeof(text); n++) {
        copy = tap_copy(text, n);
        rc = mesh_http_url_parse(&u, (char *) copy, n);

        /* from the bracket on, but for the colon alone */
        wrong += rc != (n >= 19 && n != 20 && n < sizeof(text) ? MESH_OK
                                                               : MESH_ERROR);
        wrong += rc == MESH_OK && !same(u.host, u.host_len, "2001:db8::1");
        free(copy);
    }

    is(wrong, 0, "a URL that is cut at any byte is a shorter one or none");
}


static void
long_hosts(void)
{
    char               text[300];
    mesh_http_url_t    u;
    mesh_http_proxy_t  p;

    memset(text, 'a', sizeof(text));
    memcpy(text, "wss://", 6);
    is(mesh_http_url_parse(&u, text, 6 + 255), MESH_OK,
       "S-22: a host of 255 bytes is one");
    is(mesh_http_url_parse(&u, text, 6 + 256), MESH_ERROR,
       "S-22: one of 256 is none");

    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":80", 3);
    is(mesh_http_proxy_parse(&p, text, 258), MESH_OK,
       "S-22: so is that of a proxy");
    memcpy(text + 255, "a:80", 4);
    is(mesh_http_proxy_parse(&p, text, 259), MESH_ERROR,
       "S-22: one of 256 is none");
}


static void
all_proxies(void)
{
    size_t              i, n, wrong;
    uint8_t            *copy;
    mesh_http_proxy_t   p;

    wrong = 0;

    for (i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++) {
        n = strlen(proxies[i].text);
        copy = tap_copy(proxies[i].text, n);

        if (mesh_http_proxy_parse(&p, (char *) copy, n) != MESH_OK
            || !same(p.host, p.host_len, proxies[i].host)
            || (p.auth == NULL) != (proxies[i].auth == NULL)
            || (p.auth && !same(p.auth, p.auth_len, proxies[i].auth))
            || p.port != proxies[i].port)
        {
            printf("# \"%s\"\n", proxies[i].text);
            wrong++;
        }

        free(copy);
    }

    is(wrong, 0, "proxies are read, whatever is in their password");

    wrong = 0;

    for (i = 0; i < sizeof(no_proxies) / sizeof(no_proxies[0]); i++) {
        n = strlen(no_proxies[i]);
        copy = tap_copy(no_proxies[i], n);

        if (mesh_http_proxy_parse(&p, (char *) copy, n) != MESH_ERROR) {
            printf("# \"%s\"\n", no_proxies[i]);
            wrong++;
        }

        free(copy);
    }

    is(wrong, 0, "what is none is refused");
}


static void
cut_proxy(void)
{
    int                 rc;
    size_t              n, wrong;
    uint8_t            *copy;
    mesh_http_proxy_t   p;

    static const char  text[] = "http://me:pw@a.example:3128/";

    wrong = 0;

    for (n = 0; n < sizeof(text); n++) {
        copy = tap_copy(text, n);
        rc = mesh_http_proxy_parse(&p, (char *) copy, n);

        /* "pw" is no port, and "3" is one */
        wrong += rc != (n >= 24 ? MESH_OK : MESH_ERROR);
        free(copy);
    }

    is(wrong, 0, "a proxy that is cut at any byte is none, or has a shorter "
                 "port");
}


int
main(void)
{
    is(count_bad_answers(good, sizeof(good) / sizeof(good[0]), MESH_OK), 0,
       "answers are read");
    is(count_bad_answers(bad, sizeof(bad) / sizeof(bad[0]), MESH_ERROR), 0,
       "what is no HTTP, or could write into a terminal, is refused");

    cut_answer();
    lines();
    numbers();
    all_urls();
    cut_url();
    long_hosts();
    all_proxies();
    cut_proxy();

    return tap_done();
}
