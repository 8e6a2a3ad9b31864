// Pushes with both SDKs of JavaScript and prints how each failure is typed.
// usage: node manage.mjs ENDPOINT CONNECTION-ID
import { createRequire } from "node:module";
import { ApiGatewayManagementApiClient, DeleteConnectionCommand, GetConnectionCommand, GoneException, PayloadTooLargeException, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";

const AWS = createRequire(import.meta.url)("aws-sdk");
const [, , endpoint, ConnectionId] = process.argv;
const out = {};
const failure = (err) => `${err.name ?? err.code} ${err.$metadata?.httpStatusCode ?? err.statusCode}`;

const v3 = new ApiGatewayManagementApiClient({ endpoint, region: "us-east-1" });
await v3.send(new PostToConnectionCommand({ ConnectionId, Data: "from v3" }));
const info = await v3.send(new GetConnectionCommand({ ConnectionId }));
out.v3get = [info.ConnectedAt instanceof Date, info.LastActiveAt instanceof Date, typeof info.Identity.SourceIp];
const gone = "AAAAAAAAAAAAAAA=";
try { await v3.send(new PostToConnectionCommand({ ConnectionId: gone, Data: "x" })); } catch (err) { out.v3gone = [err instanceof GoneException, failure(err)]; }
try { await v3.send(new PostToConnectionCommand({ ConnectionId, Data: "x".repeat(131073) })); } catch (err) { out.v3large = [err instanceof PayloadTooLargeException, failure(err)]; }
await v3.send(new PostToConnectionCommand({ ConnectionId, Data: "y".repeat(131072) }));
const stranger = new ApiGatewayManagementApiClient({ endpoint, region: "us-east-1", credentials: { accessKeyId: "tidegate", secretAccessKey: "wrong" } });
try { await stranger.send(new PostToConnectionCommand({ ConnectionId, Data: "x" })); } catch (err) { out.v3wrong = failure(err); }
const elsewhere = new ApiGatewayManagementApiClient({ endpoint: endpoint.replace(/\/[^/]*$/, "/nowhere"), region: "us-east-1" });
try { await elsewhere.send(new PostToConnectionCommand({ ConnectionId, Data: "x" })); } catch (err) { out.v3elsewhere = failure(err); }

const v2 = new AWS.ApiGatewayManagementApi({ endpoint, region: "us-east-1" });
await v2.postToConnection({ ConnectionId, Data: "from v2" }).promise();
try { await v2.postToConnection({ ConnectionId: gone, Data: "x" }).promise(); } catch (err) { out.v2gone = [err.statusCode, err.code]; }
await v2.deleteConnection({ ConnectionId }).promise();
try { await v3.send(new DeleteConnectionCommand({ ConnectionId })); } catch (err) { out.v3deleted = failure(err); }
console.log(JSON.stringify(out));
