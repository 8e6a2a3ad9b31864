var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// lambda/chat.ts
var chat_exports = {};
__export(chat_exports, {
  connect: () => connect,
  disconnect: () => disconnect,
  hello: () => hello,
  send: () => send
});
module.exports = __toCommonJS(chat_exports);
var import_client_dynamodb = require("@aws-sdk/client-dynamodb");
var import_lib_dynamodb = require("@aws-sdk/lib-dynamodb");
var import_client_apigatewaymanagementapi = require("@aws-sdk/client-apigatewaymanagementapi");
var TableName = process.env.TABLE_NAME;
var table = import_lib_dynamodb.DynamoDBDocumentClient.from(new import_client_dynamodb.DynamoDBClient({}));
async function connect({ requestContext: { connectionId } }) {
  await table.send(new import_lib_dynamodb.PutCommand({ TableName, Item: { connectionId } }));
  return { statusCode: 200 };
}
async function disconnect({ requestContext: { connectionId } }) {
  await table.send(new import_lib_dynamodb.DeleteCommand({ TableName, Key: { connectionId } }));
  return { statusCode: 200 };
}
async function send({ requestContext: { domainName, stage }, body }) {
  await broadcast(`https://${domainName}/${stage}`, textOf(body));
  return { statusCode: 200 };
}
async function hello({ text }) {
  await broadcast(process.env.ENDPOINT, text);
}
function textOf(body) {
  const { data } = JSON.parse(body ?? "{}");
  if (!data) throw new Error("a message needs data");
  return data;
}
async function broadcast(endpoint, text) {
  const api = new import_client_apigatewaymanagementapi.ApiGatewayManagementApiClient({ endpoint });
  const { Items = [] } = await table.send(new import_lib_dynamodb.ScanCommand({ TableName, ProjectionExpression: "connectionId" }));
  await Promise.all(Items.map(async ({ connectionId }) => {
    try {
      await api.send(new import_client_apigatewaymanagementapi.PostToConnectionCommand({ ConnectionId: connectionId, Data: text }));
    } catch (err) {
      if (err.name !== "GoneException") throw err;
      await table.send(new import_lib_dynamodb.DeleteCommand({ TableName, Key: { connectionId } }));
    }
  }));
}
// Annotate the CommonJS export names for ESM import in node:
0 && (module.exports = {
  connect,
  disconnect,
  hello,
  send
});
//# sourceMappingURL=index.js.map
