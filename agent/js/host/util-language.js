/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/* current: the locale of the agent, such as "en-US" */

Object.defineProperty(module.exports, 'current', {
    get: function () {
        var locale = process.env.LC_ALL || process.env.LANG || '';
        var match = /^([a-z]{2,3})(?:_([A-Z]{2}))?/.exec(locale);

        return match === null ? 'en-US'
               : match[2] === undefined ? match[1] : match[1] + '-' + match[2];
    },
    enumerable: true
});
