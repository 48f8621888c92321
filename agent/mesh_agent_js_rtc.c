/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * native.rtcThere(), native.rtcLoad() and native.rtcOffer(sdp).
 *
 * What a connection calls: onconnected(); onchannel(label), in which accept()
 * gives the channel; at the end onclose(why).  What a channel calls:
 * ondata(string | Buffer), one message; ondrain(); at the end onclose().
 */

#include <stdlib.h>
#include <string.h>

#include "../proto/mesh_sdp.h"
#include "mesh_agent_js_net.h"
#include "mesh_agent_rtc.h"


typedef struct {
    mesh_agent_js_obj_t   obj;
    mesh_rtc_t           *rtc;            /* NULL: it has ended */
    unsigned              ending:1;       /* who ends it frees it */
} mesh_agent_js_rtc_t;

typedef struct {
    mesh_agent_js_obj_t             obj;
    const mesh_agent_rtc_module_t  *module;
    mesh_rtc_channel_t             *ch;   /* NULL: it has ended */
} mesh_agent_js_rtc_channel_t;


static duk_ret_t mesh_agent_js_rtc_load(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_there(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_offer(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_accept(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_close_method(duk_context *duk);
static void mesh_agent_js_rtc_connected(void *data);
static void mesh_agent_js_rtc_channel(void *data, mesh_rtc_channel_t *ch,
    const char *label, size_t len);
static void mesh_agent_js_rtc_closed(void *data, const char *why);
static mesh_agent_js_rtc_t *mesh_agent_js_rtc_this(duk_context *duk);
static void mesh_agent_js_rtc_close(mesh_agent_js_obj_t *obj);

static duk_ret_t mesh_agent_js_rtc_channel_write(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_channel_pause(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_channel_resume(duk_context *duk);
static duk_ret_t mesh_agent_js_rtc_channel_end(duk_context *duk);
static void mesh_agent_js_rtc_channel_message(void *data, int text,
    const uint8_t *p, size_t len);
static void mesh_agent_js_rtc_channel_drain(void *data);
static void mesh_agent_js_rtc_channel_closed(void *data);
static mesh_agent_js_rtc_channel_t *mesh_agent_js_rtc_channel_this(
    duk_context *duk);
static void mesh_agent_js_rtc_channel_close(mesh_agent_js_obj_t *obj);


static const duk_function_list_entry  mesh_agent_js_rtc_methods[] = {
    { "accept", mesh_agent_js_rtc_accept, 0 },
    { "close", mesh_agent_js_rtc_close_method, 0 },
    { NULL, NULL, 0 }
};

static const duk_function_list_entry  mesh_agent_js_rtc_channel_methods[] = {
    { "write", mesh_agent_js_rtc_channel_write, 1 },
    { "pause", mesh_agent_js_rtc_channel_pause, 0 },
    { "resume", mesh_agent_js_rtc_channel_resume, 0 },
    { "end", mesh_agent_js_rtc_channel_end, 0 },
    { NULL, NULL, 0 }
};

static const mesh_rtc_events_t  mesh_agent_js_rtc_events = {
    mesh_agent_js_rtc_connected,
    mesh_agent_js_rtc_channel,
    mesh_agent_js_rtc_closed
};

static const mesh_rtc_channel_events_t  mesh_agent_js_rtc_channel_events = {
    mesh_agent_js_rtc_channel_message,
    mesh_agent_js_rtc_channel_drain,
    mesh_agent_js_rtc_channel_closed
};


/* within onchannel(): what accept() takes, and of whom */
static struct {
    mesh_agent_js_rtc_t  *of;
    mesh_rtc_channel_t   *ch;
} mesh_agent_js_rtc_offered;


void
mesh_agent_js_init_rtc(duk_context *duk)
{
    (void) duk_push_c_function(duk, mesh_agent_js_rtc_load, 0);
    (void) duk_put_prop_string(duk, -2, "rtcLoad");
    (void) duk_push_c_function(duk, mesh_agent_js_rtc_there, 0);
    (void) duk_put_prop_string(duk, -2, "rtcThere");
    (void) duk_push_c_function(duk, mesh_agent_js_rtc_offer, 1);
    (void) duk_put_prop_string(duk, -2, "rtcOffer");
}


/* rtcLoad() -> false: there is no WebRTC here */
static duk_ret_t
mesh_agent_js_rtc_load(duk_context *duk)
{
    mesh_agent_t  *a;

    a = mesh_agent_js_agent(mesh_agent_js_of(duk));
    duk_push_boolean(duk, mesh_agent_rtc_load(a) != NULL);

    return 1;
}


/* rtcThere() -> true: rtcLoad() may load it */
static duk_ret_t
mesh_agent_js_rtc_there(duk_context *duk)
{
    mesh_agent_t  *a;

    a = mesh_agent_js_agent(mesh_agent_js_of(duk));
    duk_push_boolean(duk, mesh_agent_rtc_is_there(a));

    return 1;
}


/* rtcOffer(sdp) -> connection with its answer; throws where it has none */
static duk_ret_t
mesh_agent_js_rtc_offer(duk_context *duk)
{
    char                  answer[MESH_SDP_ANSWER_MAX];
    size_t                len;
    const uint8_t        *sdp;
    mesh_agent_t         *a;
    mesh_rtc_offer_t      offer;
    mesh_agent_js_rtc_t  *r;

    sdp = mesh_agent_js_bytes(duk, 0, &len);
    a = mesh_agent_js_agent(mesh_agent_js_of(duk));

    if (mesh_agent_rtc_load(a) == NULL) {
        return duk_error(duk, DUK_ERR_ERROR, "there is no WebRTC here");
    }

    mesh_agent_js_push_object(duk, "rtc", mesh_agent_js_rtc_methods);

    r = mesh_agent_alloc(sizeof(mesh_agent_js_rtc_t));
    mesh_agent_js_open(duk, -1, &r->obj, mesh_agent_js_rtc_close);
    r->obj.session = 1;

    memset(&offer, 0, sizeof(offer));
    offer.sdp = (const char *) sdp;
    offer.sdp_len = len;
    offer.events = &mesh_agent_js_rtc_events;
    offer.data = r;
    offer.answer = answer;

    r->rtc = mesh_agent_rtc_open(a, &offer);

    if (r->rtc == NULL) {
        mesh_agent_js_rtc_close(&r->obj);
        return duk_error(duk, DUK_ERR_ERROR, "the offer has no answer: it is "
                         "none, or there are %d connections",
                         MESH_AGENT_RTC_CONNS);
    }

    (void) duk_push_string(duk, answer);
    (void) duk_put_prop_string(duk, -2, "answer");

    return 1;
}


/* accept() -> channel, within onchannel() only */
static duk_ret_t
mesh_agent_js_rtc_accept(duk_context *duk)
{
    mesh_agent_t                   *a;
    mesh_agent_js_rtc_t            *r;
    const mesh_agent_rtc_module_t  *module;
    mesh_agent_js_rtc_channel_t    *c;

    r = mesh_agent_js_rtc_this(duk);

    if (r == NULL || r != mesh_agent_js_rtc_offered.of
        || mesh_agent_js_rtc_offered.ch == NULL)
    {
        return 0;
    }

    a = mesh_agent_js_agent(r->obj.js);
    module = mesh_agent_rtc_load(a);

    mesh_agent_js_push_object(duk, "rtcChannel",
                              mesh_agent_js_rtc_channel_methods);

    c = mesh_agent_alloc(sizeof(mesh_agent_js_rtc_channel_t));
    mesh_agent_js_open(duk, -1, &c->obj, mesh_agent_js_rtc_channel_close);

    c->module = module;
    c->ch = mesh_agent_js_rtc_offered.ch;
    mesh_agent_js_rtc_offered.ch = NULL;

    module->channel_bind(c->ch, &mesh_agent_js_rtc_channel_events, c);
    module->channel_pause(c->ch);       /* until the script wants to read */

    duk_push_uint(duk, (duk_uint_t) module->channel_max(c->ch));
    (void) duk_put_prop_string(duk, -2, "max");

    return 1;
}


/* close(): at once; its channels call onclose(), it does not */
static duk_ret_t
mesh_agent_js_rtc_close_method(duk_context *duk)
{
    mesh_agent_js_rtc_t  *r;

    r = mesh_agent_js_rtc_this(duk);

    if (r) {
        mesh_agent_js_rtc_close(&r->obj);
    }

    return 0;
}


static void
mesh_agent_js_rtc_connected(void *data)
{
    mesh_agent_js_rtc_t *r = data;

    (void) mesh_agent_js_call(&r->obj, "onconnected", 0);
}


static void
mesh_agent_js_rtc_channel(void *data, mesh_rtc_channel_t *ch,
    const char *label, size_t len)
{
    mesh_agent_js_rtc_t *r = data;

    mesh_agent_js_rtc_offered.of = r;
    mesh_agent_js_rtc_offered.ch = ch;

    mesh_agent_js_push_text(mesh_agent_js_duk(r->obj.js), label, len);
    (void) mesh_agent_js_call(&r->obj, "onchannel", 1);

    /* the script may have closed it: r is not looked at any more */
    mesh_agent_js_rtc_offered.of = NULL;
    mesh_agent_js_rtc_offered.ch = NULL;
}


static void
mesh_agent_js_rtc_closed(void *data, const char *why)
{
    mesh_agent_js_rtc_t *r = data;

    mesh_agent_rtc_gone(mesh_agent_js_agent(r->obj.js));
    r->rtc = NULL;
    r->ending = 1;

    mesh_agent_js_push_text(mesh_agent_js_duk(r->obj.js), why, strlen(why));
    (void) mesh_agent_js_call(&r->obj, "onclose", 1);

    mesh_agent_js_gone(&r->obj);
    free(r);
}


static mesh_agent_js_rtc_t *
mesh_agent_js_rtc_this(duk_context *duk)
{
    mesh_agent_js_rtc_t  *r;

    duk_push_this(duk);
    r = mesh_agent_js_obj(duk, -1, mesh_agent_js_rtc_close);
    duk_pop(duk);

    return r == NULL || r->rtc == NULL ? NULL : r;
}


static void
mesh_agent_js_rtc_close(mesh_agent_js_obj_t *obj)
{
    mesh_rtc_t           *rtc;
    mesh_agent_js_rtc_t  *r = (mesh_agent_js_rtc_t *) obj;

    if (r->ending) {
        return;
    }

    rtc = r->rtc;
    r->rtc = NULL;
    r->ending = 1;

    if (rtc) {
        mesh_agent_rtc_close(mesh_agent_js_agent(obj->js), rtc);
    }

    mesh_agent_js_gone(obj);
    free(r);
}


/* write(string | Buffer) -> false: wait for ondrain() */
static duk_ret_t
mesh_agent_js_rtc_channel_write(duk_context *duk)
{
    int                           rc, text;
    size_t                        len;
    const uint8_t                *data;
    mesh_agent_js_rtc_channel_t  *c;

    text = duk_is_string(duk, 0);
    data = mesh_agent_js_bytes(duk, 0, &len);
    c = mesh_agent_js_rtc_channel_this(duk);

    if (c == NULL) {
        duk_push_false(duk);
        return 1;
    }

    if (text && len > c->module->channel_max(c->ch)) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR,
                         "text is longer than maxFragmentSize");
    }

    rc = c->module->channel_send(c->ch, text, data, len);

    if (rc == MESH_ERROR) {
        return duk_error(duk, DUK_ERR_RANGE_ERROR, "too much is waiting");
    }

    duk_push_boolean(duk, rc == MESH_OK);

    return 1;
}


/* pause(): ondata() may be called for one message more */
static duk_ret_t
mesh_agent_js_rtc_channel_pause(duk_context *duk)
{
    mesh_agent_js_rtc_channel_t  *c;

    c = mesh_agent_js_rtc_channel_this(duk);

    if (c) {
        c->module->channel_pause(c->ch);
    }

    return 0;
}


/* resume() */
static duk_ret_t
mesh_agent_js_rtc_channel_resume(duk_context *duk)
{
    mesh_agent_js_rtc_channel_t  *c;

    c = mesh_agent_js_rtc_channel_this(duk);

    if (c) {
        c->module->channel_resume(c->ch);
    }

    return 0;
}


/* end(): what was written goes out; onclose() comes */
static duk_ret_t
mesh_agent_js_rtc_channel_end(duk_context *duk)
{
    mesh_agent_js_rtc_channel_t  *c;

    c = mesh_agent_js_rtc_channel_this(duk);

    if (c) {
        c->module->channel_end(c->ch);
    }

    return 0;
}


static void
mesh_agent_js_rtc_channel_message(void *data, int text, const uint8_t *p,
    size_t len)
{
    mesh_agent_js_rtc_channel_t *c = data;

    if (text) {
        mesh_agent_js_push_text(mesh_agent_js_duk(c->obj.js), p, len);
    } else {
        mesh_agent_js_push_buffer(mesh_agent_js_duk(c->obj.js), p, len);
    }

    (void) mesh_agent_js_call(&c->obj, "ondata", 1);
}


static void
mesh_agent_js_rtc_channel_drain(void *data)
{
    mesh_agent_js_rtc_channel_t *c = data;

    (void) mesh_agent_js_call(&c->obj, "ondrain", 0);
}


static void
mesh_agent_js_rtc_channel_closed(void *data)
{
    mesh_agent_js_rtc_channel_t *c = data;

    c->ch = NULL;
    (void) mesh_agent_js_call(&c->obj, "onclose", 0);
    mesh_agent_js_gone(&c->obj);
    free(c);
}


static mesh_agent_js_rtc_channel_t *
mesh_agent_js_rtc_channel_this(duk_context *duk)
{
    mesh_agent_js_rtc_channel_t  *c;

    duk_push_this(duk);
    c = mesh_agent_js_obj(duk, -1, mesh_agent_js_rtc_channel_close);
    duk_pop(duk);

    return c == NULL || c->ch == NULL ? NULL : c;
}


/* the script ends: it hears nothing more */
static void
mesh_agent_js_rtc_channel_close(mesh_agent_js_obj_t *obj)
{
    mesh_agent_js_rtc_channel_t  *c = (mesh_agent_js_rtc_channel_t *) obj;

    if (c->ch == NULL) {
        return;             /* closed() is running, and frees it */
    }

    c->module->channel_bind(c->ch, NULL, NULL);
    c->module->channel_end(c->ch);
    c->ch = NULL;

    mesh_agent_js_gone(obj);
    free(c);
}
