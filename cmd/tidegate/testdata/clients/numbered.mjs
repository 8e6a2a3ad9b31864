// Clients that send numbered messages, each when the one before was answered, until
// the standard input ends. usage: node numbered.mjs URL CLIENTS. Prints a line when
// all are connected, and at the end what they noticed.
import { once } from "node:events";
import WebSocket from "ws";

const [, , url, clients] = process.argv;
const seen = { messages: 0, wrong: 0, closed: 0 };
let stop = false;

const talk = async (ws, client) => {
  for (let n = 0; !stop; n++) {
    const text = `message ${n} of ws ${client}`;
    ws.send(text);
    const [data] = await once(ws, "message");
    seen[data.toString() === text ? "messages" : "wrong"]++;
  }
};

const sockets = [];
for (let i = 0; i < Number(clients); i++) {
  const ws = new WebSocket(url);
  ws.on("close", () => seen.closed++);
  await once(ws, "open");
  sockets.push(ws);
}
const ended = once(process.stdin.resume(), "end").then(() => (stop = true));
const talking = sockets.map(talk);
console.log("connected");
await ended;
await Promise.all(talking);
console.log(JSON.stringify(seen));
process.exit(0);
