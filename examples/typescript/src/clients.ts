// Who is connected, and how to reach them. The table holds one item a client.
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, DeleteCommand, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";

// What this chat reads of an event.
export interface Message {
  requestContext: { connectionId: string; domainName: string; stage: string };
  body?: string;
}

interface Client {
  connectionId: string;
}

const TableName = process.env.TABLE_NAME;
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const add = (connectionId: string) => table.send(new PutCommand({ TableName, Item: { connectionId } }));
export const remove = (connectionId: string) => table.send(new DeleteCommand({ TableName, Key: { connectionId } }));

export async function all(): Promise<string[]> {
  const { Items = [] } = await table.send(new ScanCommand({ TableName, ProjectionExpression: "connectionId" }));
  return (Items as Client[]).map((item) => item.connectionId);
}

// The management endpoint of the API and stage that an event came from.
export const endpointOf = ({ requestContext: { domainName, stage } }: Message) => `https://${domainName}/${stage}`;

const managers = new Map<string, ApiGatewayManagementApiClient>();

export async function post(endpoint: string, ConnectionId: string, Data: string): Promise<void> {
  let api = managers.get(endpoint);
  if (!api) managers.set(endpoint, (api = new ApiGatewayManagementApiClient({ endpoint })));
  await api.send(new PostToConnectionCommand({ ConnectionId, Data }));
}

// Sends text to every client; one that is gone leaves the table.
export async function broadcast(endpoint: string, text: string): Promise<void> {
  await Promise.all((await all()).map(async (id) => {
    try {
      await post(endpoint, id, text);
    } catch (err) {
      if ((err as Error).name !== "GoneException") throw err;
      await remove(id);
    }
  }));
}
