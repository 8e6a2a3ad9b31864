// Two clients chat, a third stays silent until something is pushed to it.
// usage: node chat.mjs URL: prints what each got, as JSON.
import { once } from "node:events";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [, , url] = process.argv;
const got = { a: [], b: [], silent: [] };
const sockets = {};
for (const name of Object.keys(got)) {
  const ws = (sockets[name] = new WebSocket(url));
  ws.on("message", (data, isBinary) => got[name].push(isBinary ? ["binary", data.toString("hex")] : data.toString()));
  await once(ws, "open");
}
const until = async (cond) => { while (!cond()) await new Promise((r) => setTimeout(r, 10)); };

sockets.a.send(JSON.stringify({ action: "sendmessage", data: "hello from a" }));
await until(() => got.a.length === 1 && got.b.length === 1 && got.silent.length === 1);
sockets.b.send('{"action":"sendmessage", data:"grüße 🌊"}'); // an unquoted key still routes, then the handler's JSON.parse throws
await until(() => got.b.length === 2);
sockets.b.send(JSON.stringify({ action: "sendmessage", data: "grüße 🌊" }));
await until(() => got.a.length === 2 && got.b.length === 3 && got.silent.length === 2);
sockets.b.send("not json");
await until(() => got.b.length === 4);

console.log(JSON.stringify(got)); // now the test fires the rule and closes our standard input
await once(createInterface({ input: process.stdin }), "close");
await until(() => Object.values(got).every((all) => all.at(-1) === "Hello from Lambda"));
console.log(JSON.stringify(got));
sockets.a.close(4001, "bye");
await once(sockets.a, "close");
sockets.b.terminate();
await new Promise((r) => setTimeout(r, 50));
console.log("left");
sockets.silent.on("close", (code, reason) => { console.log(code, reason.toString()); process.exit(0); });
