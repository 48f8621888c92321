/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* How many sessions of each kind are open, and whose. */

var sessionCounts = {};         /* { terminal: { "<user>": n } } */


/* kind is terminal, files, kvm, tcp or udp; change is 1 or -1 */
function countSession(kind, user, change) {
    var counts = sessionCounts[kind] || (sessionCounts[kind] = {});
    var count = (has(counts, user) ? counts[user] : 0) + change;

    if (count > 0) {
        counts[user] = count;
    } else {
        delete counts[user];
    }

    sendSessions(kind);
}


function sendSessions(kind) {
    send({ action: 'sessions', type: kind, value: sessionCounts[kind] });
}


/* to a server that has just been reached, and knows nothing of them */
function resendSessions() {
    Object.keys(sessionCounts).forEach(function (kind) {
        if (Object.keys(sessionCounts[kind]).length > 0) {
            sendSessions(kind);
        }
    });
}
