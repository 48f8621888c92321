/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * WebRTC data channels, as the side that answers: session.md 6.  What it
 * stands on is loaded with the first connection: scripts ask for the module
 * where they start, also those that never use it.
 */

var EventEmitter = require('events').EventEmitter;
var stream = require('stream');

var MAX_OFFER = 65536;          /* characters */


/* a Duplex: strings and Buffers, each one message */
function channelOf(handle, label) {
    var channel = stream.fromHandle(handle);

    channel.label = label;
    channel.maxFragmentSize = handle.max;

    channel.createEvent('close');
    channel.addMethod('close', function () {
        handle.end();
    });

    return channel;
}


/*
 * Events: connected, dataChannel(channel), disconnected.  There is no
 * "candidate": the answer has them all.
 */
function createConnection() {
    var connection = EventEmitter.call({}, true);
    var handle = null;

    if (native.rtcLoad === undefined || !native.rtcLoad()) {
        throw new Error('Module: ILibWebRTC (NOT FOUND)');
    }

    ['candidate', 'connected', 'dataChannel', 'disconnected'].forEach(
        function (name)
    {
        connection.createEvent(name);
    });

    /* setOffer(sdp) -> answer; throws where it can have none */
    connection.addMethod('setOffer', function (sdp) {
        if (handle !== null) {
            throw new Error('the connection has had its offer');
        }

        if (typeof sdp !== 'string' || sdp.length > MAX_OFFER) {
            throw new TypeError('an offer is text, of at most ' + MAX_OFFER
                                + ' characters');
        }

        handle = native.rtcOffer(sdp);

        handle.onconnected = function () {
            connection.emit('connected');
        };

        handle.onchannel = function (label) {
            var channel;

            if (connection.listenerCount('dataChannel') === 0) {
                return;
            }

            channel = handle.accept();

            if (channel) {
                connection.emit('dataChannel', channelOf(channel, label));
            }
        };

        handle.onclose = function (why) {
            connection.emit('disconnected', why);
        };

        return handle.answer;
    });

    connection.addMethod('close', function () {
        if (handle !== null) {
            handle.close();
        }
    });

    /* the stock host's name for the same */
    connection.addMethod('closeDataChannels', function () {
        connection.close();
    });

    return connection;
}


/* of the stock host, with a certificate of the script's own */
function createNewFactory() {
    throw new Error('this agent has one certificate for WebRTC');
}


module.exports = {
    createConnection: createConnection,
    createNewFactory: createNewFactory
};
