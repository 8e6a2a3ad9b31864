const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } = require("@aws-sdk/lib-dynamodb");
const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");

const TableName = process.env.TABLE_NAME;
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const api = new ApiGatewayManagementApiClient({ endpoint: process.env.ENDPOINT });

exports.connect = async ({ requestContext: { connectionId } }) => {
  await table.send(new PutCommand({ TableName, Item: { connectionId } }));
  return { statusCode: 200 };
};

exports.disconnect = async ({ requestContext: { connectionId } }) => {
  await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
  return { statusCode: 200 };
};

// {"action":"sendmessage","data":"hello"}: everyone else gets data, the sender an answer.
exports.send = async ({ body, requestContext: { connectionId } }) => {
  const heard = await broadcast(String(JSON.parse(body).data ?? ""), connectionId);
  return { statusCode: 200, body: `heard by ${heard}` };
};

exports.hello = async ({ text }) => {
  await broadcast(text);
};

// Sends text to every client but one; who is gone leaves the table.
async function broadcast(text, except) {
  const { Items } = await table.send(new ScanCommand({ TableName, ProjectionExpression: "connectionId" }));
  const others = Items.filter((item) => item.connectionId !== except);
  await Promise.all(others.map(async ({ connectionId }) => {
    try {
      await api.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: text }));
    } catch (err) {
      if (err.name !== "GoneException") throw err;
      await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
    }
  }));
  return others.length;
}
