// node server.mjs [KEY CERTIFICATE]: serves the probe under every name the tests use, without TLS or
// with it, and prints its port.

import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { probe } from './probe.mjs';

let cancelled = 0;

const handlers = {
  // Says who it is told is asking, and in which words it was asked.
  echo(call, callback) {
    const trailing = new grpc.Metadata();
    trailing.set('x-trailing', 'after the answer');
    trailing.set('x-trailing-bin', Buffer.from([0, 255, 1]));
    const said = { metadata: call.metadata.getMap(), host: call.getHost(), message: call.request.toString() };
    callback(null, Buffer.from(JSON.stringify(said)), trailing);
  },
  fail(_call, callback) {
    const metadata = new grpc.Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from('every detail'));
    callback({ code: grpc.status.NOT_FOUND, details: 'nicht gefunden: 100 % – ende', metadata });
  },
  hang(call) {
    call.on('cancelled', () => { cancelled += 1; });
  },
  cancelled(_call, callback) {
    callback(null, Buffer.from(String(cancelled)));
  },
  count(call) {
    const most = Number(call.request.toString());
    let sent = 0;
    const timer = setInterval(() => {
      if (sent === most) {
        clearInterval(timer);
        const trailing = new grpc.Metadata();
        trailing.set('x-trailing', 'counted');
        call.end(trailing);
      } else {
        call.write(Buffer.from(String(sent++)));
      }
    }, 20);
    call.on('cancelled', () => {
      clearInterval(timer);
      cancelled += 1;
    });
  },
  collect(call, callback) {
    let bytes = 0;
    call.on('data', (message) => { bytes += message.length; });
    call.on('end', () => callback(null, Buffer.from(String(bytes))));
    call.on('error', () => {});
  },
  chat(call) {
    call.on('data', (message) => call.write(Buffer.from(message.toString().toUpperCase())));
    call.on('end', () => call.end());
    call.on('error', () => {});
  },
};

const server = new grpc.Server();
for (const name of ['anyone.Probe', 'mine.Probe', 'directors.Probe', 'slow.Probe', 'small.Probe']) {
  server.addService(probe(name), handlers);
}
const [key, certificate] = process.argv.slice(2);
const credentials = key
  ? grpc.ServerCredentials.createSsl(null, [{ private_key: readFileSync(key), cert_chain: readFileSync(certificate) }])
  : grpc.ServerCredentials.createInsecure();
server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
  if (error) throw error;
  console.log(port);
});
