// Two clients in the room of examples/serve. usage: node room.mjs URL: prints what
// each got, then waits for a push to the first and for the end.
import { once } from "node:events";
import WebSocket from "ws";

const [, , url] = process.argv;
const got = { a: [], b: [] };
const sockets = {};
for (const name of Object.keys(got)) {
  const ws = (sockets[name] = new WebSocket(url));
  ws.on("message", (data) => got[name].push(data.toString()));
  await once(ws, "open");
}
const until = async (cond) => { while (!cond()) await new Promise((r) => setTimeout(r, 10)); };
sockets.a.send(JSON.stringify({ action: "say", text: "grüße 🌊" }));
await until(() => got.a.length === 1 && got.b.length === 1);
sockets.b.send(JSON.stringify({ action: "ping" }));
await until(() => got.b.length === 2);
sockets.a.send("who am I?");
await until(() => got.a.length === 2);
console.log(JSON.stringify(got));
await until(() => got.a.length === 3);
console.log(got.a[2]);
const ends = await Promise.all(Object.values(sockets).map((ws) => once(ws, "close")));
console.log(JSON.stringify(ends.map(([code, reason]) => [code, reason.toString()])));
