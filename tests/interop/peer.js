// Node's `ws` as the other end of the examples.
//
// peer.js client ECHO_SERVER [OPTION...]    starts the server and checks it from outside
// peer.js server ECHO_CLIENT [OPTION...]    listens and checks the client, which it starts
"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const { createInterface } = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

const SECONDS = 20; // the most that one check may take
const MULTIBYTE = "Grüße, 世界 🐟";
// What compresses well, beside what does not; each refers back to the ones before where the context is kept.
const ALIKE = Array.from({ length: 40 }, (_, number) => {
  const text = `{"fish":"Grüße, 世界 🐟","weight":${number}}`.repeat(number);
  return [text, Buffer.from(text), randomBytes(number * 50), ""];
}).flat();

let peer;

async function check(what, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end in ${SECONDS} s`)), SECONDS * 1000);
  });
  try {
    await Promise.race([run(), late]);
    console.log(`ok ${peer}: ${what}`);
  } catch (error) {
    console.log(`FAILED ${peer}: ${what}: ${error.message.replace(/\s+/g, " ").slice(0, 200)}`);
  } finally {
    clearTimeout(timer);
  }
}

// As a client of echo_server

async function checkServer(command, options) {
  peer = "ws client";
  const server = start(command, options);
  try {
    const line = await server.line();
    assert.match(line, /^listening on ws:\/\//, "the server's first line");
    const url = line.replace("listening on ", "");
    for (const [what, message] of [
      ["text", "hello"],
      ["multibyte text", MULTIBYTE],
      ["binary", randomBytes(256)],
      ["empty text", ""],
      ["empty binary", Buffer.alloc(0)],
      ...[125, 126, 65535, 65536].map((size) => [`${size} bytes`, randomBytes(size)]),
      ["8 MiB of text", "0123456789abcdef".repeat(8 << 16)],
      ["8 MiB of binary", randomBytes(8 << 20)],
    ]) {
      await check(what, () => echoed(url, message));
    }
    await check("1000 messages at once, answers in order", () => pipelined(url));
    await check("text in fragments", () => fragmented(url, false));
    await check("binary in fragments", () => fragmented(url, true));
    await check("a ping between fragments", () => pingBetweenFragments(url));
    await check("a ping with a payload", () => pinged(url, "x".repeat(125)));
    await check("a close code and reason echoed", () => closed(url, 4321, "Grüße"));
    for (const [what, perMessageDeflate] of [
      ["compression", {}],
      ["compression with windows of 9 bits", { serverMaxWindowBits: 9, clientMaxWindowBits: 9 }],
      ["compression without the server's context", { serverNoContextTakeover: true }],
      ["compression without the client's context", { clientNoContextTakeover: true }],
    ]) {
      await check(what, () => compressed(url, { threshold: 0, ...perMessageDeflate }, !options.includes("--no-deflate")));
    }
    await check("an Origin elsewhere is refused with 403", () => refused(url, "https://elsewhere.example"));
    await check("the Origin of the same host", () => echoed(url, "hello", { origin: url.replace("ws:", "http:") }));
    await check("SIGINT closes everyone with 1001", () => interrupted(url, server));
    await check("exit code 0 after SIGINT", async () => assert.equal(await server.exit, 0));
  } finally {
    server.kill("SIGKILL");
  }
}

async function connect(url, options) {
  const ws = new WebSocket(url, options);
  await once(ws, "open");
  // What comes before it is asked for waits here.
  const waiting = [];
  let wake = () => {};
  ws.on("message", (data, isBinary) => {
    waiting.push(isBinary ? data : data.toString());
    wake();
  });
  ws.receive = async () => {
    while (!waiting.length) await new Promise((resolve) => (wake = resolve));
    return waiting.shift();
  };
  return ws;
}

async function echoed(url, message, options) {
  const ws = await connect(url, options);
  ws.send(message);
  // A comparison of 8 MiB that fails would print them all.
  assert.ok(same(await ws.receive(), message), "not what was sent");
  await finish(ws);
}

function same(left, right) {
  return Buffer.isBuffer(left) && Buffer.isBuffer(right) ? left.equals(right) : left === right;
}

async function pipelined(url) {
  const ws = await connect(url);
  for (let number = 0; number < 1000; number++) ws.send(`message ${number}`);
  for (let number = 0; number < 1000; number++) assert.equal(await ws.receive(), `message ${number}`);
  await finish(ws);
}

async function fragmented(url, binary) {
  const ws = await connect(url);
  const message = Buffer.from(MULTIBYTE);
  // The first cut is inside of a character.
  ws.send(message.subarray(0, 3), { binary, fin: false });
  ws.send(message.subarray(3, 3), { binary, fin: false });
  ws.send(message.subarray(3), { binary, fin: true });
  assert.deepEqual(await ws.receive(), binary ? message : MULTIBYTE);
  await finish(ws);
}

async function pingBetweenFragments(url) {
  const ws = await connect(url);
  ws.send("before, ", { fin: false });
  const pong = once(ws, "pong");
  ws.ping("between");
  await pong;
  ws.send("after", { fin: true });
  assert.equal(await ws.receive(), "before, after");
  await finish(ws);
}

async function pinged(url, payload) {
  const ws = await connect(url);
  const pong = once(ws, "pong");
  ws.ping(payload);
  assert.equal((await pong)[0].toString(), payload);
  await finish(ws);
}

async function finish(ws) {
  await close(ws, 1000, "");
}

async function closed(url, code, reason) {
  await close(await connect(url), code, reason);
}

async function close(ws, code, reason) {
  const end = once(ws, "close");
  ws.close(code, reason);
  const [seen, text] = await end;
  assert.deepEqual([seen, text.toString()], [code, reason]);
}

async function compressed(url, perMessageDeflate, agreed) {
  const ws = await connect(url, { perMessageDeflate });
  assert.equal(ws.extensions.startsWith("permessage-deflate"), agreed);
  for (const message of ALIKE) ws.send(message);
  for (const message of ALIKE) assert.ok(same(await ws.receive(), message), "not what was sent");
  await finish(ws);
}

async function refused(url, origin) {
  const ws = new WebSocket(url, { origin });
  const [, response] = await Promise.race([
    once(ws, "unexpected-response"),
    once(ws, "open").then(() => Promise.reject(new Error("accepted"))),
  ]);
  response.destroy();
  assert.equal(response.statusCode, 403);
}

async function interrupted(url, server) {
  const idle = await connect(url);
  const busy = await connect(url);
  busy.send("hello");
  await busy.receive();
  const ends = [once(idle, "close"), once(busy, "close")];
  server.kill("SIGINT");
  for (const end of ends) assert.equal((await end)[0], 1001);
}

// As a server of echo_client

async function checkClient(command, options) {
  peer = "ws server";
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 0 } });
  await once(server, "listening");
  const connection = once(server, "connection").then(([ws]) => {
    ws.closed = once(ws, "close");
    ws.on("message", (data, binary) => {
      if (data.toString() !== MULTIBYTE) return ws.send(data, { binary });
      ws.send(data.subarray(0, 3), { binary, fin: false });
      ws.send(data.subarray(3), { binary, fin: true });
    });
    return ws;
  });
  const client = start(command, [...options, `ws://127.0.0.1:${server.address().port}`]);
  try {
    await check("a line comes back", () => lineEchoed(client, "hello"));
    await check("a multibyte line, answered in fragments", () => lineEchoed(client, MULTIBYTE));
    await check("a ping answered", async () => {
      const ws = await connection;
      const pong = once(ws, "pong");
      ws.ping("payload");
      assert.equal((await pong)[0].toString(), "payload");
    });
    await check("an empty line", () => lineEchoed(client, ""));
    await check("a line of 70000 bytes", () => lineEchoed(client, "x".repeat(70000)));
    await check("compression", async () => {
      assert.equal((await connection).extensions.startsWith("permessage-deflate"), !options.includes("--no-deflate"));
    });
    for (let number = 0; number < 20; number++) {
      const line = `{"fish":"Grüße, 世界 🐟","weight":${number}}`.repeat(10);
      await check(`a line much like the one before, ${number}`, () => lineEchoed(client, line));
    }
    await check("close 1000 at the end of input", async () => {
      client.input.end();
      assert.equal((await (await connection).closed)[0], 1000);
    });
    await check("exit code 0", async () => assert.equal(await client.exit, 0));
  } finally {
    client.kill("SIGKILL");
    server.close();
  }
}

async function lineEchoed(client, line) {
  client.input.write(`${line}\n`);
  assert.equal(await client.line(), line);
}

// The programs

function start(command, options) {
  const child = spawn(command, options, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    input: child.stdin,
    line: async () => (await lines.next()).value ?? "",
    exit: once(child, "exit").then(([code, signal]) => code ?? signal),
    kill: (signal) => child.kill(signal),
  };
}

const [role, command, ...options] = process.argv.slice(2);
({ client: checkServer, server: checkClient })[role](command, options).then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
