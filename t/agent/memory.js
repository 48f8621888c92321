/* Copyright the ngx_mesh authors.  SPDX-License-Identifier: Apache-2.0 */

/*
 * The same script with ever more memory: it ends in another place each time,
 * and nothing of what it has opened may be lost or used after its end.  Worth
 * most under the sanitizers.
 */

var KB = 1024;

var SOURCE = 'var fs = require("fs"); var keep = [];'
    + 'var cp = require("child_process");'
    + 'setTimeout(function () { keep = null; }, 1);'
    + 'keep.push(fs.openSync("/etc/passwd", "r"));'
    + 'fs.readdirSync("/proc"); fs.readFileSync("/proc/self/status");'
    + 'var c = cp.execFile("/bin/echo", ["echo", "x"], { env: { A: "b" } });'
    + 'c.stdout.on("data", function (d) { keep.push(String(d)); });'
    + 'c.on("exit", function () { keep.push(1); });'
    + 'var p = cp.execFile("/bin/cat", ["cat"], { type: 3 });'
    + 'p.stdin.write("x\\n"); p.stdout.on("data", function () {});'
    + 'require("os").networkInterfaces(); require("MeshAgent").ServerInfo;'
    + 'require("SHA384Stream").create().syncHash("x");'
    + 'addCompressedModule("z", Buffer.from('
    + '"cbcd4f29cd49d54bad28c82f2a2956b05530b70600",'
    + '"hex"));'
    + 'fs.createReadStream("/etc/passwd").on("data", function () {});'
    + 'process.setenv("AGENT_TEST", "1"); fs.watch("/tmp");'
    + 'require("SimpleDataStore").Shared().Put("k", "v");'
    + 'require("promise").resolve(1).then(function () { throw 1; });'
    + 'require("MeshAgent").AddCommandHandler(function (m) {'
    + 'keep.push(JSON.stringify(m)); });';

var size = 200 * KB;
var ended = 0;
var ran = 0;


function step() {
    if (size > 1600 * KB) {
        test.ok(ended > 10, 'a script that has no memory ends, whatever it '
                            + 'was doing');
        test.ok(ran > 10, 'a script with a little memory runs');
        test.done();
        return;
    }

    test.log();
    if (test.start(SOURCE, size, 3000)) {
        ran++;
    } else {
        ended++;
    }

    test.command('{"action":"x","value":"' + new Array(2000).join('v') + '"}');
    size += 8 * KB;
    setTimeout(step, 5);
}


step();
