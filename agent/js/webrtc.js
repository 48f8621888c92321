/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * WebRTC: what a session sends in BINARY goes beside the server.  The
 * WebSocket stays, and carries all TEXT but the probes of the way that the
 * pictures take.  session.md 6.
 *
 *   OFFERED    the answer is out; there is no channel yet
 *   READY      it is open: we have sent webrtc0
 *   FLUSHING   the viewer's webrtc0 came: what was sent before goes first
 *   MARKED     it has gone, and our webrtc1 behind it
 *   SWITCHED   webrtc2 came: we send on the channel
 *
 * The viewer's webrtc1 does the same for what it sends: from then on input is
 * taken from the channel.  Up to READY a failure leaves all as it was; later
 * it ends the session, as something may be lost.
 *
 * Only where the server has allowed it for this session: what it does not see
 * it can neither record nor limit.
 */

var RTC_OFFERED = 0;
var RTC_READY = 1;
var RTC_FLUSHING = 2;
var RTC_MARKED = 3;
var RTC_SWITCHED = 4;

var MAX_OFFERS = 3;             /* of one session */
var SWITCH_TIMEOUT = 15000;
var SMALL_MESSAGE = 65536;      /* that any peer takes */

CONTROLS.offer = rtcOffer;
CONTROLS.webrtc0 = rtcHold;
CONTROLS.webrtc1 = rtcInput;
CONTROLS.webrtc2 = rtcOutput;


/* {type:'offer', sdp} */
function rtcOffer(tunnel, message) {
    var rtc, answer;

    if (tunnel.soptions.webrtc !== true || tunnel.rtc !== null
        || !isText(message.sdp, MAX_CONTROL) || tunnel.offers >= MAX_OFFERS)
    {
        return;
    }

    /* not before somebody at the device has agreed: it tells addresses */
    if (tunnel.state === TUNNEL_ASKING) {
        tunnel.offer = message;
        return;
    }

    if (tunnel.state !== TUNNEL_OPEN || tunnel.carrier === null) {
        return;
    }

    rtc = { state: RTC_OFFERED, connection: null, channel: null,
            input: false, timer: null };
    tunnel.rtc = rtc;
    tunnel.offers++;

    answer = attempt(function () {
        rtc.connection = require('ILibWebRTC').createConnection();

        rtc.connection.on('dataChannel', function (channel) {
            guarded(function () {
                rtcReady(tunnel, rtc, channel);
            });
        });
        rtc.connection.on('disconnected', function () {
            guarded(function () {
                rtcLost(tunnel, rtc);
            });
        });

        return rtc.connection.setOffer(message.sdp);
    }, null);

    if (!isText(answer, MAX_CONTROL)) {
        rtcDrop(tunnel, rtc);
        return;
    }

    tunnel.onClose(function () {
        rtcDrop(tunnel, rtc);
    });
    tunnel.control('answer', { sdp: answer });
}


function rtcReady(tunnel, rtc, channel) {
    function lost() {
        guarded(function () {
            rtcLost(tunnel, rtc);
        });
    }

    /* one is enough */
    if (tunnel.rtc !== rtc || rtc.state !== RTC_OFFERED) {
        attempt(function () {
            channel.close();
        }, null);
        return;
    }

    rtc.channel = channel;
    rtc.state = RTC_READY;

    channel.on('end', lost);
    attempt(function () {
        channel.on('close', lost);
    }, null);

    tunnel.control('webrtc0', {});
}


/* webrtc0: the last BINARY on the WebSocket, then webrtc1 */
function rtcHold(tunnel) {
    var rtc = tunnel.rtc;

    if (rtc === null || rtc.state !== RTC_READY) {
        return;
    }

    rtc.state = RTC_FLUSHING;
    rtc.timer = after(SWITCH_TIMEOUT, tunnel.close);

    tunnel.carrier.hold(function () {
        if (tunnel.rtc === rtc && rtc.state === RTC_FLUSHING) {
            rtc.state = RTC_MARKED;
            tunnel.control('webrtc1', {});
        }
    });
}


/* webrtc1: the viewer has sent its last BINARY on the WebSocket */
function rtcInput(tunnel) {
    var rtc = tunnel.rtc;

    if (rtc === null || rtc.state < RTC_FLUSHING || rtc.input) {
        return;
    }

    rtc.input = true;
    rtc.channel.on('data', function (data) {
        guarded(function () {
            rtcData(tunnel, rtc, data);
        });
    });
    tunnel.control('webrtc2', {});
}


/* webrtc2: the viewer has seen our mark */
function rtcOutput(tunnel) {
    var rtc = tunnel.rtc;

    if (rtc === null || rtc.state !== RTC_MARKED) {
        return;
    }

    rtc.state = RTC_SWITCHED;
    cancel(rtc.timer);

    /* what is longer may stay on the WebSocket */
    tunnel.carrier.start(rtc.channel,
                         isInt(rtc.channel.maxFragmentSize, 1, 1073741824)
                         ? rtc.channel.maxFragmentSize : SMALL_MESSAGE);
}


function rtcData(tunnel, rtc, data) {
    var message;

    if (tunnel.state === TUNNEL_CLOSED) {
        return;
    }

    tunnel.received += data.length;

    if (typeof data !== 'string') {
        tunnel.data(data);
        return;
    }

    message = data.length <= MAX_CONTROL ? parseJson(data) : null;

    if (!isObject(message)) {
        return;
    }

    if (message.type === 'close') {
        tunnel.close();

    } else if (message.type === 'rtt' && typeof message.time === 'number'
               && rtc.state === RTC_SWITCHED)
    {
        attempt(function () {
            rtc.channel.write(asciiJson({ ctrlChannel: CONTROL, type: 'rtt',
                                          time: message.time }));
        }, null);
    }
}


function rtcLost(tunnel, rtc) {
    if (tunnel.rtc !== rtc) {
        return;
    }

    if (rtc.state > RTC_READY) {
        tunnel.close();
        return;
    }

    rtcDrop(tunnel, rtc);
}


function rtcDrop(tunnel, rtc) {
    if (tunnel.rtc !== rtc) {
        return;
    }

    tunnel.rtc = null;
    cancel(rtc.timer);

    attempt(function () {
        if (rtc.channel !== null) {
            rtc.channel.end();
        }
    }, null);

    if (rtc.connection === null) {
        return;
    }

    /* the last words of the channel go first */
    after(1000, function () {
        if (typeof rtc.connection.close === 'function') {
            rtc.connection.close();
        }
    });
}
