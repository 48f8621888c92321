/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include "../../proto/mesh_dcep.h"
#include "../../proto/mesh_sdp.h"
#include "tap.h"


#define PRINT  "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:" \
               "A1:b2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:91"

/* what Chromium offers */
static const char  modern[] =
    "v=0\r\n"
    "o=- 7274237212927854417 2 IN IP4 127.0.0.1\r\n"
    "s=-\r\n"
    "t=0 0\r\n"
    "a=group:BUNDLE 0\r\n"
    "a=extmap-allow-mixed\r\n"
    "a=msid-semantic: WMS\r\n"
    "m=application 39823 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 192.0.2.2\r\n"
    "a=candidate:3577177049 1 udp 2113937151 192.0.2.2 39823 typ host "
        "generation 0 network-cost 999\r\n"
    "a=candidate:508666425 1 udp 2113942271 fd00::2 53662 typ srflx raddr "
        ":: rport 9\r\n"
    "a=ice-ufrag:mmLC\r\n"
    "a=ice-pwd:KqKUGsNSW+9KgdClHNxhzEUb\r\n"
    "a=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 " PRINT "\r\n"
    "a=setup:actpass\r\n"
    "a=mid:0\r\n"
    "a=sctp-port:5001\r\n"
    "a=max-message-size:262144\r\n";

static const char  older[] =
    "v=0\n"
    "a=ice-ufrag:AA8DBBE6\n"
    "a=ice-pwd:DE24BEC1222324E59CE1A317340C913C\r"
    "a=fingerprint:SHA-256 " PRINT "\r\n"
    "m=application 1 DTLS/SCTP 5000\r\n"
    "a=sctpmap:5000 webrtc-datachannel 16\r\n"
    "a=setup:passive\r\n"
    "a=candidate:0 1 UDP 2128609535 192.0.2.2 55929 typ host\r\n"
    "a=candidate:0 2 UDP 2128609535 192.0.2.2 55929 typ host";


static int
parse(mesh_sdp_t *sdp, const char *text, size_t len)
{
    int    rc;
    char  *copy;

    copy = (char *) tap_copy(text, len);
    rc = mesh_sdp_parse(sdp, copy, len);
    free(copy);

    return rc;
}


/* the modern offer with one line more */
static int
with(mesh_sdp_t *sdp, const char *line)
{
    char  text[8192];

    (void) snprintf(text, sizeof(text), "%s%s\r\n", modern, line);

    return parse(sdp, text, strlen(text));
}


/* the modern offer without its lines that start so */
static int
without(mesh_sdp_t *sdp, const char *start)
{
    char         text[8192], *p;
    const char  *line, *eol;

    p = text;

    for (line = modern; *line; line = eol + 2) {
        eol = strstr(line, "\r\n");

        if (strncmp(line, start, strlen(start)) != 0) {
            memcpy(p, line, (size_t) (eol + 2 - line));
            p += eol + 2 - line;
        }
    }

    return parse(sdp, text, (size_t) (p - text));
}


static void
test_modern(void)
{
    mesh_sdp_t  sdp;

    is(parse(&sdp, modern, sizeof(modern) - 1), MESH_OK,
       "an offer of a browser is read");
    ok(strcmp(sdp.ufrag, "mmLC") == 0, "its user fragment");
    ok(strcmp(sdp.pwd, "KqKUGsNSW+9KgdClHNxhzEUb") == 0, "its password");
    ok(strcmp(sdp.mid, "0") == 0 && sdp.bundle && sdp.modern,
       "the name of its section, in a group, of today's form");
    is(sdp.message_max, 262144, "how long a message may be");
    is(sdp.sctp_port, 5001, "its port");
    is(sdp.setup, MESH_SDP_ACTPASS, "that it takes either part of DTLS");
    ok(sdp.fingerprint[0] == 0xa1 && sdp.fingerprint[17] == 0xb2
       && sdp.fingerprint[31] == 0x91, "its fingerprint, in either case");
    is(sdp.ncandidates, 2, "both candidates");
    ok(strcmp(sdp.candidates[0].address, "192.0.2.2") == 0
       && sdp.candidates[0].port == 39823
       && sdp.candidates[0].priority == 2113937151
       && sdp.candidates[0].type == MESH_SDP_HOST
       && strcmp(sdp.candidates[0].foundation, "3577177049") == 0,
       "the first one whole");
    ok(strcmp(sdp.candidates[1].address, "fd00::2") == 0
       && sdp.candidates[1].type == MESH_SDP_SRFLX, "and the second one");
}


static void
test_older(void)
{
    mesh_sdp_t  sdp;

    is(parse(&sdp, older, sizeof(older) - 1), MESH_OK,
       "an offer of a stock agent's form is read");
    ok(!sdp.modern && sdp.mid[0] == '\0', "as one of the older form");
    is(sdp.setup, MESH_SDP_PASSIVE, "which leaves the start to us");
    is(sdp.message_max, MESH_SDP_MESSAGE, "with the usual longest message");
    is(sdp.ncandidates, 1, "and without the candidate of another component");
}


static void
test_cut(void)
{
    int          rc, right;
    size_t       n, needed;
    mesh_sdp_t   sdp;

    /* the last line that must be there */
    needed = (size_t) (strstr(modern, PRINT) - modern) + strlen(PRINT);
    right = 1;

    for (n = 0; n < sizeof(modern); n++) {
        rc = parse(&sdp, modern, n);

        if ((rc == MESH_OK) != (n >= needed) || sdp.ncandidates > 2) {
            /* a cut number or name may be a good one, or none */
            if (n < needed || rc != MESH_ERROR) {
                printf("# %d for %zu bytes\n", rc, n);
                right = 0;
            }
        }
    }

    ok(right, "cut at any byte, an offer is refused until it has all it needs");
}


static void
test_bad(void)
{
    int          i;
    char        *large;
    mesh_sdp_t   sdp;

    static const char *const  bad[] = {
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "m=application 9 TCP/DTLS/SCTP webrtc-datachannel",
        "m=",
        "a=ice-ufrag:abc",
        "a=ice-ufrag:ab cd",
        "a=ice-ufrag:ab\"d",
        "a=ice-pwd:short",
        "a=ice-pwd:KqKUGsNSW+9KgdClHNxhzEU\xc3",
        "a=fingerprint:sha-256 A1:B2",
        ("a=fingerprint:sha-256 " PRINT ":00"),
        "a=fingerprint:sha-256 G1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:"
            "A1:b2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:91",
        "a=fingerprint:sha-256 A1-B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:"
            "A1:b2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:91",
        "a=mid:",
        "a=mid:a\"b",
        "a=mid:0123456789012345678901234567890123",
        "a=sctp-port:0",
        "a=sctp-port:65536",
        "a=sctp-port:-1",
        "a=max-message-size:4294967296",
        "a=max-message-size:99999999999999999999",
        "a=max-message-size:",
        NULL
    };

    static const char *const  useless[] = {
        "a=candidate:1 2 udp 1 192.0.2.3 1 typ host",
        "a=candidate:1 1 tcp 1 192.0.2.3 1 typ host",
        "a=candidate:1 1 udp 4294967296 192.0.2.3 1 typ host",
        "a=candidate:1 1 udp 1 host.local 1 typ host",
        "a=candidate:1 1 udp 1 1.2.3 1 typ host",
        "a=candidate:1 1 udp 1 1.2.3.4.5 1 typ host",
        "a=candidate:1 1 udp 1 1.2.3.256 1 typ host",
        "a=candidate:1 1 udp 1 1..2.3 1 typ host",
        "a=candidate:1 1 udp 1 abcd 1 typ host",
        "a=candidate:1 1 udp 1 ::%eth0 1 typ host",
        "a=candidate:1 1 udp 1 0000:0000:0000:0000:0000:0000:0000:0000:0000:00 "
            "1 typ host",
        "a=candidate:1 1 udp 1 192.0.2.3 0 typ host",
        "a=candidate:1 1 udp 1 192.0.2.3 65536 typ host",
        "a=candidate:1 1 udp 1 192.0.2.3 1 typ else",
        "a=candidate:1 1 udp 1 192.0.2.3 1 host",
        "a=candidate:1 1 udp 1 192.0.2.3",
        "a=candidate:",
        "a=candidate:012345678901234567890123456789012 1 udp 1 192.0.2.3 1 typ "
            "host",
        "a=fingerprint:sha-1 00",
        "a=unknown:1",
        "",
        NULL
    };

    for (i = 0; bad[i]; i++) {
        is(with(&sdp, bad[i]), MESH_ERROR, "an offer with \"%.40s\" is refused",
           bad[i]);
    }

    for (i = 0; useless[i]; i++) {
        ok(with(&sdp, useless[i]) == MESH_OK && sdp.ncandidates == 2,
           "\"%.50s\" is not looked at", useless[i]);
    }

    is(without(&sdp, "m="), MESH_ERROR, "an offer needs a section");
    is(without(&sdp, "a=ice-ufrag"), MESH_ERROR, "and a user fragment");
    is(without(&sdp, "a=ice-pwd"), MESH_ERROR, "and a password");
    is(without(&sdp, "a=fingerprint"), MESH_ERROR, "and a fingerprint");
    is(without(&sdp, "a=candidate"), MESH_OK, "but no candidates");

    large = malloc(MESH_SDP_MAX + 1);

    if (large == NULL) {
        abort();
    }

    memset(large, 'a', MESH_SDP_MAX + 1);
    memcpy(large, modern, sizeof(modern) - 1);
    is(parse(&sdp, large, MESH_SDP_MAX), MESH_OK, "one of 64 KB is read");
    is(parse(&sdp, large, MESH_SDP_MAX + 1), MESH_ERROR, "a longer one is not");
    free(large);
}


static void
test_many(void)
{
    int          i;
    char        *text, *p;
    size_t       size;
    mesh_sdp_t   sdp;

    size = sizeof(modern) + 200 * 64;
    text = malloc(size);

    if (text == NULL) {
        abort();
    }

    p = text + snprintf(text, size, "%s", modern);

    for (i = 0; i < 200; i++) {
        p += snprintf(p, size - (size_t) (p - text),
                      "a=candidate:1 1 udp 1 10.0.0.%d 1 typ host\r\n", i);
    }

    is(parse(&sdp, text, (size_t) (p - text)), MESH_OK,
       "an offer with 200 candidates is read");
    is(sdp.ncandidates, MESH_SDP_CANDIDATES, "as far as there is room");
    free(text);
}


static void
test_answer(void)
{
    char                  answer[MESH_SDP_ANSWER_MAX];
    size_t                n;
    unsigned              i;
    mesh_sdp_t            sdp, back;
    mesh_sdp_local_t      local;
    mesh_sdp_candidate_t  candidates[200];

    static const char  want[] =
        "v=0\r\no=MeshAgent 42 0 IN IP4 0.0.0.0\r\ns=SIP Call\r\nt=0 0\r\n"
        "a=group:BUNDLE 0\r\n"
        "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
        "a=fingerprint:sha-256 A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:"
        "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:91\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=sctp-port:5000\r\n"
        "a=max-message-size:262144\r\na=setup:passive\r\n"
        "a=candidate:0 1 UDP 4294967295 192.0.2.0 5 typ host\r\n"
        "a=candidate:1 1 UDP 4294967295 192.0.2.1 5 typ host\r\n";

    memset(&local, 0, sizeof(local));
    memset(candidates, 0, sizeof(candidates));
    (void) parse(&sdp, modern, sizeof(modern) - 1);

    for (i = 0; i < 200; i++) {
        (void) snprintf(candidates[i].foundation, MESH_SDP_FOUNDATION, "%u", i);
        (void) snprintf(candidates[i].address, MESH_SDP_ADDRESS, "192.0.2.%u",
                        i);
        candidates[i].port = 5;
        candidates[i].priority = 4294967295;
    }

    local.ufrag = "abcd";
    local.pwd = "0123456789012345678901";
    local.fingerprint = sdp.fingerprint;
    local.id = 42;
    local.message_max = 262144;
    local.candidates = candidates;
    local.ncandidates = 2;

    n = mesh_sdp_answer(answer, &sdp, &local);
    is_bytes(answer, n, want, sizeof(want) - 1, "the answer to a browser");
    is(mesh_sdp_parse(&back, answer, n), MESH_OK, "which can be read");

    local.ncandidates = 200;
    n = mesh_sdp_answer(answer, &sdp, &local);
    ok(n && n < MESH_SDP_ANSWER_MAX && answer[n - 1] == '\n'
       && answer[n] == '\0' && mesh_sdp_parse(&back, answer, n) == MESH_OK,
       "candidates for which there is no room are left out");

    (void) parse(&sdp, older, sizeof(older) - 1);
    local.ncandidates = 0;
    n = mesh_sdp_answer(answer, &sdp, &local);
    ok(strstr(answer, "m=application 1 DTLS/SCTP 5000\r\n") != NULL
       && strstr(answer, "a=sctpmap:5000 webrtc-datachannel 16\r\n") != NULL
       && strstr(answer, "a=setup:active\r\n") != NULL
       && strstr(answer, "mid") == NULL, "an older offer has an older answer");
    is(mesh_sdp_parse(&back, answer, n), MESH_OK, "which can be read, too");
}


static void
test_dcep(void)
{
    int               rc, right;
    size_t            n;
    uint8_t          *copy;
    mesh_dcep_open_t  open;

    static const uint8_t  buf[] = "\x03\x80\x01\x00\x00\x00\x00\x07\x00\x04"
                                  "\x00\x02" "DataXY";
    static const uint8_t  ack[] = { 2 };
    static const uint8_t  none[12] = { 3 };
    uint8_t               label[12 + 256] = { 3, 0, 0, 0, 0, 0, 0, 0, 1, 0 };

    right = 1;

    for (n = 0; n <= sizeof(buf); n++) {
        copy = tap_copy(buf, n);
        rc = mesh_dcep_parse(&open, copy, n);
        free(copy);

        if (rc != (n == sizeof(buf) - 1 ? MESH_OK : MESH_ERROR)) {
            right = 0;
        }
    }

    ok(right, "the opening of a channel: the right length only");
    is(mesh_dcep_parse(&open, buf, sizeof(buf) - 1), MESH_OK, "it is read");
    ok(open.type == 0x80 && open.priority == 256 && open.reliability == 7,
       "how reliable it is");
    is_bytes(open.label, open.label_len, "Data", 4, "and its label");
    is(mesh_dcep_parse(&open, none, 12), MESH_OK, "which may be empty");
    is(mesh_dcep_parse(&open, label, sizeof(label)), MESH_ERROR,
       "or at most 255 bytes");
    is(mesh_dcep_parse(&open, ack, 1), MESH_DECLINED,
       "an acknowledgement is none");
}


int
main(void)
{
    test_modern();
    test_older();
    test_cut();
    test_bad();
    test_many();
    test_answer();
    test_dcep();

    return tap_done();
}
