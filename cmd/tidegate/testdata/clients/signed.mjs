// Connects with ws as the AWS SDK's signer signs, in the query and in headers:
// signed.mjs URL ROOM. Prints for each the subprotocol and the answer.
import { createHash, createHmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import WebSocket from "ws";

const [url, room] = process.argv.slice(2);

class Sha256 {
  constructor(secret) { this.hash = secret ? createHmac("sha256", secret) : createHash("sha256"); }
  update(chunk) { this.hash.update(chunk); }
  async digest() { return this.hash.digest(); }
}

const signer = new SignatureV4({
  service: "execute-api", region: "us-east-1", sha256: Sha256,
  credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY },
});
const { protocol, host, hostname, port, pathname } = new URL(url);
const request = { method: "GET", protocol, hostname, port: Number(port), path: pathname, query: { room }, headers: { host } };
const address = (query) =>
  `ws://${host}${pathname}?` + Object.entries(query).map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`).join("&");

function say(url, headers) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ["chat.v1", "chat.v2"], { headers });
    socket.on("open", () => socket.send("hello"));
    socket.on("message", (m) => { console.log(socket.protocol, m.toString()); socket.close(); });
    socket.on("close", resolve);
    socket.on("error", reject);
  });
}

const presigned = await signer.presign(request, { expiresIn: 60 });
await say(address(presigned.query), {});
const signed = await signer.sign(request);
const { host: _, ...headers } = signed.headers;
await say(address(signed.query), headers);
