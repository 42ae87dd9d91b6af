// A worker process in another language, from docs/wire.md alone: node worker.mjs SOCKET NAMESPACE FOLDER_OF_SCRIPTS
//
// It shares no code with runner, and needs nothing but Node. It sells seats; at SIGTERM it says which are sold.
import {readFileSync} from 'node:fs';
import {connect} from 'node:net';
import {hostname} from 'node:os';

const [socket, namespace, folder] = process.argv.slice(2);
const id = `${hostname()}:${process.pid}:${Math.random().toString(36).slice(2)}`;
const LEASE_MS = 15_000, CAPACITY = 16, REPAIR_MS = 30_000;
const key = (name) => `{${namespace}:00}:${name}`;

// -- Redis: one request at a time, one reply to each -------------------------------------------------
const server = connect(socket);
const waiting = [];
let received = Buffer.alloc(0);
server.on('data', (piece) => {
  received = Buffer.concat([received, piece]);
  for (let reply; (reply = parse(0)) !== undefined; ) {
    received = received.subarray(reply.end);
    waiting.shift()(reply.value);
  }
});

function parse(at) { // {value, end}; undefined: it is not all there yet
  const stop = received.indexOf('\r\n', at);
  if (stop < 0) return undefined;
  const kind = String.fromCharCode(received[at]), line = received.toString('utf8', at + 1, stop);
  if (kind === '-') throw new Error(line);
  if (kind === '+') return {value: line, end: stop + 2};
  if (kind === ':') return {value: Number(line), end: stop + 2};
  if (Number(line) < 0) return {value: null, end: stop + 2};
  if (kind === '$') {
    const end = stop + 2 + Number(line) + 2;
    return end > received.length ? undefined : {value: received.toString('utf8', stop + 2, end - 2), end};
  }
  const value = [];
  let end = stop + 2;
  for (let left = Number(line); left > 0; left--) {
    const item = parse(end);
    if (item === undefined) return undefined;
    value.push(item.value);
    end = item.end;
  }
  return {value, end};
}

function ask(...words) {
  const packed = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('');
  server.write(`*${words.length}\r\n${packed}`);
  return new Promise((resolve) => waiting.push(resolve));
}

function script(name, keys, args) {
  const [first, ...rest] = readFileSync(`${folder}/${name}.lua`, 'utf8').split('\n');
  const text = [first, readFileSync(`${folder}/prelude.lua`, 'utf8'), rest.join('\n')].join('\n');
  return ask('EVAL', text, keys.length, ...keys.map(key), '', ...args);
}

// -- what it can do -----------------------------------------------------------------------------------
const sold = new Map(); // by step_ref, so that a repeat sells nothing twice and an undo finds what it undoes
const workers = {
  'seats.book': ({seat}, task) => {
    if (seat < 1) return {outcome: 'failed', error: {code: 'no_such_seat', kind: 'business', message: `seat ${seat}`}};
    sold.set(task.step_ref, seat);
    return {outcome: 'completed', output: {ticket: `T-${seat}`}, log: 'sold ✓'};
  },
  'seats.cancel': (_, task) => (sold.delete(task.step_ref), {outcome: 'completed', output: null}),
};

// -- the life of a worker process -----------------------------------------------------------------------
const queues = Object.keys(workers);
for (const name of queues) {
  const contract = {name, queue: name, readonly: false, raises: name === 'seats.book' ? ['no_such_seat'] : []};
  await ask('HSET', key('workers'), name, JSON.stringify(contract));
}
const info = {id, kind: 'worker', host: hostname(), pid: process.pid, started_at_ms: Date.now(), queues};
await script('register_process', ['clock', 'procs', 'reaped', `process:${id}`], [id, LEASE_MS, JSON.stringify(info)]);
let ending = false, ended = [], turn = 0;
process.on('SIGTERM', () => (ending = true));
console.log('ready');
while (!ending || ended.length) {
  const [, ...found] = await script('exchange_tasks',
    ['clock', 'procs', 'deadlines', 'ready', 'wake:runs', `process:${id}`, `held:${id}`, 'queues', 'watch'],
    [id, `${id}:${turn++}`, LEASE_MS, ending ? 0 : CAPACITY, 1 << 20, queues.length, ...queues, 0,
      ended.length, ...ended.flat(), 0, 0, REPAIR_MS, 0]);
  ended = [];
  for (let i = 0; i < found.length; i += 6) {
    const [run, path, token] = found[i].split('|'), task = JSON.parse(found[i + 4]), given = JSON.parse(found[i + 5]);
    ended.push([run, path, token, 0, JSON.stringify(workers[task.worker](given, task)), '']);
  }
  await script('beat_process', ['clock', 'procs', 'deadlines', `process:${id}`], [id, LEASE_MS, '', 0]);
  if (!ended.length && !ending) await ask('BLPOP', ...queues.map((name) => key(`wake:q:${name}`)), 1);
}
await script('reap_process',
  ['clock', 'procs', 'reaped', 'deadlines', 'ready', 'wake:runs', `process:${id}`, `held:${id}`], [id, 0, 1000]);
console.log(JSON.stringify([...sold.values()].sort((a, b) => a - b)));
server.end();
