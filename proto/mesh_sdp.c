/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "mesh_sdp.h"


/* a word, or what is left of a line */
typedef struct {
    const char  *data;
    size_t       len;
} mesh_sdp_word_t;

typedef struct {
    char        *p;
    char        *last;                  /* room for a NUL stays behind it */
} mesh_sdp_out_t;

typedef int (*mesh_sdp_line_pt)(mesh_sdp_t *sdp, mesh_sdp_word_t *value);

typedef struct {
    const char        *name;
    mesh_sdp_line_pt   parse;
    unsigned           seen;
} mesh_sdp_line_t;


#define MESH_SDP_SEEN_MEDIA        0x01
#define MESH_SDP_SEEN_UFRAG        0x02
#define MESH_SDP_SEEN_PWD          0x04
#define MESH_SDP_SEEN_FINGERPRINT  0x08
#define MESH_SDP_SEEN_NEEDED       0x0f


static int mesh_sdp_media(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_ufrag(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_pwd(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_fingerprint(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_setup(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_mid(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_group(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_port(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_message(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_candidate(mesh_sdp_t *sdp, mesh_sdp_word_t *value);
static int mesh_sdp_address(const mesh_sdp_word_t *word);
static int mesh_sdp_copy_ice(char *to, size_t min, size_t max,
    const mesh_sdp_word_t *word);
static mesh_sdp_word_t mesh_sdp_next(mesh_sdp_word_t *rest);
static int mesh_sdp_is(const mesh_sdp_word_t *word, const char *text);
static int mesh_sdp_number(const mesh_sdp_word_t *word, uint64_t max,
    uint64_t *n);
static int mesh_sdp_put(mesh_sdp_out_t *out, const char *text);
static int mesh_sdp_put_number(mesh_sdp_out_t *out, uint32_t n);
static int mesh_sdp_put_line(mesh_sdp_out_t *out, const char *name,
    const char *value);
static int mesh_sdp_put_candidate(mesh_sdp_out_t *out,
    const mesh_sdp_candidate_t *c);


static const mesh_sdp_line_t  mesh_sdp_lines[] = {
    { "m=",                  mesh_sdp_media,       MESH_SDP_SEEN_MEDIA },
    { "a=ice-ufrag:",        mesh_sdp_ufrag,       MESH_SDP_SEEN_UFRAG },
    { "a=ice-pwd:",          mesh_sdp_pwd,         MESH_SDP_SEEN_PWD },
    { "a=fingerprint:",      mesh_sdp_fingerprint, MESH_SDP_SEEN_FINGERPRINT },
    { "a=setup:",            mesh_sdp_setup,       0 },
    { "a=mid:",              mesh_sdp_mid,         0 },
    { "a=group:",            mesh_sdp_group,       0 },
    { "a=sctp-port:",        mesh_sdp_port,        0 },
    { "a=sctpmap:",          mesh_sdp_port,        0 },
    { "a=max-message-size:", mesh_sdp_message,     0 },
    { "a=candidate:",        mesh_sdp_candidate,   0 },
    { NULL, NULL, 0 }
};

static const char *const  mesh_sdp_types[] = {
    "host", "srflx", "prflx", "relay", NULL
};


int
mesh_sdp_parse(mesh_sdp_t *sdp, const char *text, size_t len)
{
    int                     rc;
    size_t                  n;
    unsigned                seen;
    const char             *last, *eol;
    mesh_sdp_word_t         value;
    const mesh_sdp_line_t  *line;

    memset(sdp, 0, sizeof(mesh_sdp_t));
    sdp->message_max = MESH_SDP_MESSAGE;
    sdp->sctp_port = 5000;

    if (len > MESH_SDP_MAX) {
        return MESH_ERROR;
    }

    seen = 0;
    last = text + len;

    for ( ; text < last; text = eol + 1) {

        for (eol = text; eol < last && *eol != '\r' && *eol != '\n'; eol++) {
            /* void */
        }

        for (line = mesh_sdp_lines; line->name; line++) {
            n = strlen(line->name);

            if ((size_t) (eol - text) < n || memcmp(text, line->name, n) != 0) {
                continue;
            }

            value.data = text + n;
            value.len = (size_t) (eol - text) - n;
            rc = line->parse(sdp, &value);

            /* a second section would have to be answered too */
            if (rc == MESH_ERROR
                || (rc == MESH_OK && line->seen == MESH_SDP_SEEN_MEDIA
                    && (seen & MESH_SDP_SEEN_MEDIA)))
            {
                return MESH_ERROR;
            }

            if (rc == MESH_OK) {
                seen |= line->seen;
            }

            break;
        }
    }

    return seen == MESH_SDP_SEEN_NEEDED ? MESH_OK : MESH_ERROR;
}


/* "application 9 UDP/DTLS/SCTP webrtc-datachannel", or an older form */
static int
mesh_sdp_media(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    uint64_t         n;
    mesh_sdp_word_t  kind, proto, port;

    kind = mesh_sdp_next(value);
    (void) mesh_sdp_next(value);
    proto = mesh_sdp_next(value);
    port = mesh_sdp_next(value);

    if (!mesh_sdp_is(&kind, "application")) {
        return MESH_ERROR;
    }

    if (mesh_sdp_is(&proto, "UDP/DTLS/SCTP")) {
        sdp->modern = 1;
        return MESH_OK;
    }

    if (!mesh_sdp_is(&proto, "DTLS/SCTP")) {
        return MESH_ERROR;
    }

    if (mesh_sdp_number(&port, 65535, &n) == MESH_OK && n > 0) {
        sdp->sctp_port = (uint16_t) n;
    }

    return MESH_OK;
}


static int
mesh_sdp_ufrag(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    return mesh_sdp_copy_ice(sdp->ufrag, 4, MESH_SDP_UFRAG, value);
}


static int
mesh_sdp_pwd(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    return mesh_sdp_copy_ice(sdp->pwd, 22, MESH_SDP_PWD, value);
}


/* "sha-256 AA:BB:..."; other hashes are skipped */
static int
mesh_sdp_fingerprint(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    size_t           i;
    unsigned         digit, n;
    mesh_sdp_word_t  hash, hex;

    hash = mesh_sdp_next(value);
    hex = mesh_sdp_next(value);

    if (!mesh_sdp_is(&hash, "sha-256")) {
        return MESH_DECLINED;
    }

    if (hex.len != 3 * MESH_SDP_FINGERPRINT - 1) {
        return MESH_ERROR;
    }

    n = 0;

    for (i = 0; i < hex.len; i++) {

        if (i % 3 == 2) {
            if (hex.data[i] != ':') {
                return MESH_ERROR;
            }

            continue;
        }

        if (hex.data[i] >= '0' && hex.data[i] <= '9') {
            digit = (unsigned) (hex.data[i] - '0');

        } else if ((hex.data[i] | 0x20) >= 'a' && (hex.data[i] | 0x20) <= 'f') {
            digit = (unsigned) ((hex.data[i] | 0x20) - 'a' + 10);

        } else {
            return MESH_ERROR;
        }

        n = n << 4 | digit;
        sdp->fingerprint[i / 3] = (uint8_t) n;
    }

    return MESH_OK;
}


static int
mesh_sdp_setup(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    mesh_sdp_word_t  word;

    word = mesh_sdp_next(value);

    sdp->setup = mesh_sdp_is(&word, "passive") ? MESH_SDP_PASSIVE
                 : mesh_sdp_is(&word, "active") ? MESH_SDP_ACTIVE
                 : MESH_SDP_ACTPASS;
    return MESH_OK;
}


/* it goes into the answer: letters, digits, - and _ */
static int
mesh_sdp_mid(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    size_t           i;
    char             c;
    mesh_sdp_word_t  word;

    word = mesh_sdp_next(value);

    if (word.len == 0 || word.len >= MESH_SDP_MID) {
        return MESH_ERROR;
    }

    for (i = 0; i < word.len; i++) {
        c = word.data[i];

        if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            && c != '-' && c != '_')
        {
            return MESH_ERROR;
        }
    }

    memcpy(sdp->mid, word.data, word.len);
    sdp->mid[word.len] = '\0';

    return MESH_OK;
}


static int
mesh_sdp_group(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    mesh_sdp_word_t  word;

    word = mesh_sdp_next(value);

    if (mesh_sdp_is(&word, "BUNDLE")) {
        sdp->bundle = 1;
    }

    return MESH_OK;
}


static int
mesh_sdp_port(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    uint64_t         n;
    mesh_sdp_word_t  word;

    word = mesh_sdp_next(value);

    if (mesh_sdp_number(&word, 65535, &n) != MESH_OK || n == 0) {
        return MESH_ERROR;
    }

    sdp->sctp_port = (uint16_t) n;

    return MESH_OK;
}


static int
mesh_sdp_message(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    uint64_t         n;
    mesh_sdp_word_t  word;

    word = mesh_sdp_next(value);

    if (mesh_sdp_number(&word, UINT32_MAX, &n) != MESH_OK) {
        return MESH_ERROR;
    }

    sdp->message_max = (uint32_t) n;

    return MESH_OK;
}


/* "1 1 udp 2122260223 192.0.2.1 54321 typ host ..."; MESH_DECLINED: no use */
static int
mesh_sdp_candidate(mesh_sdp_t *sdp, mesh_sdp_word_t *value)
{
    unsigned               type;
    uint64_t               priority, port;
    mesh_sdp_word_t        foundation, word, address;
    mesh_sdp_candidate_t  *c;

    foundation = mesh_sdp_next(value);
    word = mesh_sdp_next(value);

    if (sdp->ncandidates == MESH_SDP_CANDIDATES
        || foundation.len == 0 || foundation.len >= MESH_SDP_FOUNDATION
        || !mesh_sdp_is(&word, "1"))
    {
        return MESH_DECLINED;
    }

    word = mesh_sdp_next(value);

    if (!mesh_sdp_is(&word, "udp")) {
        return MESH_DECLINED;
    }

    word = mesh_sdp_next(value);

    if (mesh_sdp_number(&word, UINT32_MAX, &priority) != MESH_OK) {
        return MESH_DECLINED;
    }

    address = mesh_sdp_next(value);
    word = mesh_sdp_next(value);

    if (mesh_sdp_address(&address) != MESH_OK
        || mesh_sdp_number(&word, 65535, &port) != MESH_OK || port == 0)
    {
        return MESH_DECLINED;
    }

    word = mesh_sdp_next(value);

    if (!mesh_sdp_is(&word, "typ")) {
        return MESH_DECLINED;
    }

    word = mesh_sdp_next(value);

    for (type = 0; mesh_sdp_types[type]; type++) {
        if (mesh_sdp_is(&word, mesh_sdp_types[type])) {
            break;
        }
    }

    if (mesh_sdp_types[type] == NULL) {
        return MESH_DECLINED;
    }

    c = &sdp->candidates[sdp->ncandidates++];

    memcpy(c->foundation, foundation.data, foundation.len);
    c->foundation[foundation.len] = '\0';
    memcpy(c->address, address.data, address.len);
    c->address[address.len] = '\0';
    c->priority = (uint32_t) priority;
    c->port = (uint16_t) port;
    c->type = (uint8_t) type;

    return MESH_OK;
}


/* four numbers with dots, or what looks like IPv6; never a name */
static int
mesh_sdp_address(const mesh_sdp_word_t *word)
{
    char             c;
    size_t           i, from;
    uint64_t         n;
    unsigned         dots, colons;
    mesh_sdp_word_t  part;

    if (word->len == 0 || word->len >= MESH_SDP_ADDRESS) {
        return MESH_ERROR;
    }

    dots = colons = 0;
    from = 0;

    for (i = 0; i <= word->len; i++) {
        c = i < word->len ? word->data[i] : '.';

        if (c == ':') {
            colons++;

        } else if (c == '.') {
            dots++;
            part.data = word->data + from;
            part.len = i - from;
            from = i + 1;

            if (colons == 0 && (part.len > 3
                                || mesh_sdp_number(&part, 255, &n) != MESH_OK))
            {
                return MESH_ERROR;
            }

        } else if (!(c >= '0' && c <= '9')
                   && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
        {
            return MESH_ERROR;
        }
    }

    return colons >= 2 || (colons == 0 && dots == 4) ? MESH_OK : MESH_ERROR;
}


/* RFC 8839, 5.4: letters, digits, + and /; and = and -, which are seen */
static int
mesh_sdp_copy_ice(char *to, size_t min, size_t max, const mesh_sdp_word_t *word)
{
    char    c;
    size_t  i;

    if (word->len < min || word->len >= max) {
        return MESH_ERROR;
    }

    for (i = 0; i < word->len; i++) {
        c = word->data[i];

        if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            && c != '+' && c != '/' && c != '=' && c != '-')
        {
            return MESH_ERROR;
        }
    }

    memcpy(to, word->data, word->len);
    to[word->len] = '\0';

    return MESH_OK;
}


static mesh_sdp_word_t
mesh_sdp_next(mesh_sdp_word_t *rest)
{
    mesh_sdp_word_t  word;

    while (rest->len && *rest->data == ' ') {
        rest->data++;
        rest->len--;
    }

    word.data = rest->data;
    word.len = 0;

    while (word.len < rest->len && word.data[word.len] != ' ') {
        word.len++;
    }

    rest->data += word.len;
    rest->len -= word.len;

    return word;
}


/* without regard to case */
static int
mesh_sdp_is(const mesh_sdp_word_t *word, const char *text)
{
    char    a, b;
    size_t  i;

    if (word->len != strlen(text)) {
        return 0;
    }

    for (i = 0; i < word->len; i++) {
        a = word->data[i];
        b = text[i];
        a = (char) (a >= 'A' && a <= 'Z' ? a | 0x20 : a);
        b = (char) (b >= 'A' && b <= 'Z' ? b | 0x20 : b);

        if (a != b) {
            return 0;
        }
    }

    return 1;
}


static int
mesh_sdp_number(const mesh_sdp_word_t *word, uint64_t max, uint64_t *n)
{
    size_t  i;

    if (word->len == 0 || word->len > 10) {
        return MESH_ERROR;
    }

    *n = 0;

    for (i = 0; i < word->len; i++) {
        if (word->data[i] < '0' || word->data[i] > '9') {
            return MESH_ERROR;
        }

        *n = *n * 10 + (uint64_t) (word->data[i] - '0');
    }

    return *n <= max ? MESH_OK : MESH_ERROR;
}


size_t
mesh_sdp_answer(char *buf, const mesh_sdp_t *offer,
    const mesh_sdp_local_t *local)
{
    int              rc;
    char             hex[3 * MESH_SDP_FINGERPRINT], *p;
    unsigned         i;
    mesh_sdp_out_t   out;

    static const char  digits[] = "0123456789ABCDEF";

    for (i = 0, p = hex; i < MESH_SDP_FINGERPRINT; i++) {
        *p++ = digits[local->fingerprint[i] >> 4];
        *p++ = digits[local->fingerprint[i] & 0xf];
        *p++ = ':';
    }

    p[-1] = '\0';

    out.p = buf;
    out.last = buf + MESH_SDP_ANSWER_MAX - 1;

    rc = mesh_sdp_put(&out, "v=0\r\no=MeshAgent ");
    rc |= mesh_sdp_put_number(&out, local->id);
    rc |= mesh_sdp_put(&out, " 0 IN IP4 0.0.0.0\r\ns=SIP Call\r\nt=0 0\r\n");

    if (offer->bundle && offer->mid[0]) {
        rc |= mesh_sdp_put_line(&out, "a=group:BUNDLE ", offer->mid);
    }

    rc |= mesh_sdp_put_line(&out, "a=ice-ufrag:", local->ufrag);
    rc |= mesh_sdp_put_line(&out, "a=ice-pwd:", local->pwd);
    rc |= mesh_sdp_put_line(&out, "a=fingerprint:sha-256 ", hex);
    rc |= mesh_sdp_put(&out, offer->modern
                       ? "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
                       : "m=application 1 DTLS/SCTP 5000\r\n");
    rc |= mesh_sdp_put(&out, "c=IN IP4 0.0.0.0\r\n");

    if (offer->mid[0]) {
        rc |= mesh_sdp_put_line(&out, "a=mid:", offer->mid);
    }

    rc |= mesh_sdp_put(&out, offer->modern
                       ? "a=sctp-port:5000\r\n"
                       : "a=sctpmap:5000 webrtc-datachannel 16\r\n");
    rc |= mesh_sdp_put(&out, "a=max-message-size:");
    rc |= mesh_sdp_put_number(&out, local->message_max);
    rc |= mesh_sdp_put_line(&out, "\r\na=setup:",
                            offer->setup == MESH_SDP_PASSIVE ? "active"
                                                             : "passive");
    if (rc) {
        return 0;
    }

    for (i = 0; i < local->ncandidates; i++) {
        if (mesh_sdp_put_candidate(&out, &local->candidates[i]) != MESH_OK) {
            break;
        }
    }

    *out.p = '\0';

    return (size_t) (out.p - buf);
}


/* a whole line or nothing */
static int
mesh_sdp_put_candidate(mesh_sdp_out_t *out, const mesh_sdp_candidate_t *c)
{
    int    rc;
    char  *start;

    start = out->p;

    rc = mesh_sdp_put(out, "a=candidate:");
    rc |= mesh_sdp_put(out, c->foundation);
    rc |= mesh_sdp_put(out, " 1 UDP ");
    rc |= mesh_sdp_put_number(out, c->priority);
    rc |= mesh_sdp_put(out, " ");
    rc |= mesh_sdp_put(out, c->address);
    rc |= mesh_sdp_put(out, " ");
    rc |= mesh_sdp_put_number(out, c->port);
    rc |= mesh_sdp_put_line(out, " typ ", mesh_sdp_types[c->type & 3]);

    if (rc) {
        out->p = start;
        return MESH_ERROR;
    }

    return MESH_OK;
}


static int
mesh_sdp_put_line(mesh_sdp_out_t *out, const char *name, const char *value)
{
    return mesh_sdp_put(out, name) | mesh_sdp_put(out, value)
           | mesh_sdp_put(out, "\r\n");
}


static int
mesh_sdp_put_number(mesh_sdp_out_t *out, uint32_t n)
{
    char  text[11], *p;

    p = text + sizeof(text);
    *--p = '\0';

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return mesh_sdp_put(out, p);
}


static int
mesh_sdp_put(mesh_sdp_out_t *out, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (len > (size_t) (out->last - out->p)) {
        return MESH_ERROR;
    }

    memcpy(out->p, text, len);
    out->p += len;

    return MESH_OK;
}
