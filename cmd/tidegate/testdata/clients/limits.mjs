// Runs into limits, and prints what happened as JSON.
// usage: node limits.mjs URL MODE [URL-OF-A-STAGE-WITHOUT-ANY-RATE]
import { once } from "node:events";
import WebSocket from "ws";

const [, , url, mode, closed] = process.argv;
const out = {};

// open returns a connected client, or the status of its refusal.
const open = (to, options) => new Promise((done) => {
  const ws = new WebSocket(to, options);
  ws.got = [];
  ws.on("message", (data, binary) => { ws.got.push(binary ? "binary " + data.toString("hex") : data.toString()); ws.emit("more"); });
  ws.on("unexpected-response", (_, response) => { done(response.statusCode); ws.terminate(); });
  ws.on("open", () => done(ws));
  ws.on("error", () => {});
});
const code = async (ws) => (await once(ws, "close"))[0];
const replies = async (ws, n) => { while (ws.got.length < n) await once(ws, "more"); return ws.got; };
const x = (n) => "x".repeat(n);

if (mode === "aws") {
  let ws = await open(url);
  ws.send(x(32769));
  out.frame = await code(ws);
  ws = await open(url);
  ws.send(Buffer.from([1]));
  out.binary = await code(ws);
  out.url = await open(url + "?" + x(4096));
  out.header = await open(url, { headers: { "X-Large": x(10240) } });
  out.zero = await open(closed);
  ws = await open(url); // of the route ping two are admitted at once
  for (let i = 0; i < 3; i++) ws.send('{"action":"ping"}');
  out.throttled = (await replies(ws, 3)).map((m) => m.replace(/"[^"]*="/g, "ID")).sort();
  for (let i = 0; i < 120; i++) ws.send('{"action":"ping"}');
  out.misbehaving = await code(ws);
} else {
  let ws = await open(url);
  ws.send(JSON.stringify({ action: "echo", data: x(200000) }));
  out.large = (await replies(ws, 1))[0].length;
  ws.send(Buffer.from([0, 255, 1]));
  out.binary = (await replies(ws, 2))[1];
  out.idle = await code(ws);
  ws = await open(url);
  ws.send(x(262145));
  out.tooLarge = await code(ws);
  const burst = await Promise.all(Array.from({ length: 40 }, () => open(url)));
  out.refused = [...new Set(burst.filter((s) => typeof s === "number"))];
  for (const s of burst) s.terminate?.();
}
console.log(JSON.stringify(out));
