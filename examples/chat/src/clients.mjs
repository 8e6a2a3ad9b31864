// Who is connected, and how to reach them. The table holds one item a client.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, DeleteCommand, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";

const TableName = process.env.TABLE_NAME;
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const add = (connectionId) => table.send(new PutCommand({ TableName, Item: { connectionId } }));
export const remove = (connectionId) => table.send(new DeleteCommand({ TableName, Key: { connectionId } }));

export async function all() {
  const { Items } = await table.send(new ScanCommand({ TableName, ProjectionExpression: "connectionId" }));
  return Items.map((item) => item.connectionId);
}

// The management endpoint of the API and stage that an event came from.
export const endpointOf = ({ requestContext: { domainName, stage } }) => `https://${domainName}/${stage}`;

const managers = new Map();

export function manager(endpoint) {
  if (!managers.has(endpoint)) managers.set(endpoint, new ApiGatewayManagementApiClient({ endpoint }));
  return managers.get(endpoint);
}

// Sends text to every client; one that is gone leaves the table.
export async function broadcast(endpoint, text) {
  const api = manager(endpoint);
  await Promise.all((await all()).map(async (ConnectionId) => {
    try {
      await api.send(new PostToConnectionCommand({ ConnectionId, Data: text }));
    } catch (err) {
      if (err.name !== "GoneException") throw err;
      await remove(ConnectionId);
    }
  }));
}
