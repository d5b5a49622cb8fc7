// node client.mjs ADDRESS CA SERVICE COOKIE CALL [ARGUMENT]: makes one call through the gateway and prints
// what came of it as JSON.

import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { probe } from './probe.mjs';

const [address, authority, service, cookie, name, argument = ''] = process.argv.slice(2);
const Probe = grpc.makeGenericClientConstructor(probe(service), service);
const client = new Probe(address, grpc.credentials.createSsl(readFileSync(authority)));

const metadata = new grpc.Metadata();
if (cookie) metadata.set('cookie', cookie);
metadata.set('x-forwarded-user', 'mallory');

const soon = () => ({ deadline: Date.now() + 30_000 });
const result = { messages: [], leading: null, trailing: null, code: null, details: null };

const shown = (metadata) => {
  const map = {};
  for (const key of Object.keys(metadata.getMap())) {
    map[key] = metadata.get(key).map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : value));
  }
  return map;
};

const done = ({ code, details, metadata }) => {
  Object.assign(result, { code, details, trailing: shown(metadata) });
  console.log(JSON.stringify(result));
  client.close();
};

const follow = (call) => {
  call.on('metadata', (metadata) => { result.leading = shown(metadata); });
  call.on('status', done);
  call.on('error', () => {});
  return call;
};

const unary = (method, message, options = soon()) =>
  follow(client[method](Buffer.from(message), metadata, options, (_error, answer) => {
    if (answer) result.messages.push(answer.toString());
  }));

const keep = (call) => call.on('data', (message) => result.messages.push(message.toString()));

switch (name) {
  case 'echo':
  case 'fail':
  case 'cancelled':
  case 'hang':
    unary(name, argument);
    break;
  case 'deadline':
    unary('hang', '', { deadline: Date.now() + 700 });
    break;
  case 'count':
    keep(follow(client.count(Buffer.from(argument), metadata, soon())));
    break;
  case 'cancel': {
    const call = keep(follow(client.count(Buffer.from('1000000'), metadata, soon())));
    call.on('data', () => { if (result.messages.length === 3) call.cancel(); });
    break;
  }
  case 'collect': {
    const call = follow(client.collect(metadata, soon(), (_error, answer) => {
      if (answer) result.messages.push(answer.toString());
    }));
    const piece = Buffer.alloc(16 * 1024, 1);
    for (let sent = 0; sent < Number(argument); sent += piece.length) call.write(piece);
    call.end();
    break;
  }
  case 'chat': {
    // Each word is sent only when the one before has come back, with a pause that is longer than an
    // ordinary answer may take.
    const words = argument.split(' ');
    const call = keep(follow(client.chat(metadata, soon())));
    let next = 0;
    const say = () => (next < words.length ? call.write(Buffer.from(words[next++])) : call.end());
    call.on('data', () => setTimeout(say, 1_500));
    say();
    break;
  }
  default:
    throw new Error(`no call ${name}`);
}
