// Connects by a custom domain name with ws and pushes by it with SDK v3.
// usage: node domain.mjs WSS-URL MANAGEMENT-URL STAGE TIDEGATE-URL
import { createRequire } from "node:module";
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import WebSocket from "ws";

// What a line in the hosts file does.
const dns = createRequire(import.meta.url)("dns");
const lookup = dns.lookup;
dns.lookup = (name, options, done) => lookup(name.endsWith(".example.test") ? "127.0.0.1" : name, options, done);

const [, , url, endpoint, stage, tidegate] = process.argv;
const refused = (url) => new Promise((resolve) => new WebSocket(url).on("unexpected-response", (_, res) => resolve(res.statusCode)).on("error", (err) => resolve(err.code)));
const socket = new WebSocket(url);
const messages = [];
let wake;
socket.on("message", (m) => { messages.push(String(m)); wake?.(); });
const next = async () => { while (!messages.length) await new Promise((resolve) => { wake = resolve; }); return messages.shift(); };
await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
const out = {};
socket.send('{"action":"ping"}');
out.answer = await next();
const { connections: [{ connectionId: ConnectionId }] } = await (await fetch(`${tidegate}/_tidegate/connections`)).json();
await new ApiGatewayManagementApiClient({ endpoint, region: "us-east-1" }).send(new PostToConnectionCommand({ ConnectionId, Data: "from v3" }));
out.push = await next();
try {
  await new ApiGatewayManagementApiClient({ endpoint: `${endpoint}/${stage}`, region: "us-east-1" }).send(new PostToConnectionCommand({ ConnectionId, Data: "x" }));
} catch (err) {
  out.withStage = `${err.name} ${err.$metadata.httpStatusCode}: ${err.message.replace(ConnectionId, "ID").replace(encodeURIComponent(ConnectionId), "ID")}`;
}
out.unmapped = await refused(new URL("/elsewhere", url).href);
out.foreign = await refused(url.replace("chat.example.test", "other.example.test"));
console.log(JSON.stringify(out));
socket.close();
