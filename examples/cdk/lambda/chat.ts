import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";

interface ClientEvent {
  requestContext: { connectionId: string; domainName: string; stage: string };
  body?: string;
}

const TableName = process.env.TABLE_NAME;
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export async function connect({ requestContext: { connectionId } }: ClientEvent) {
  await table.send(new PutCommand({ TableName, Item: { connectionId } }));
  return { statusCode: 200 };
}

export async function disconnect({ requestContext: { connectionId } }: ClientEvent) {
  await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
  return { statusCode: 200 };
}

export async function send({ requestContext: { domainName, stage }, body }: ClientEvent) {
  await broadcast(`https://${domainName}/${stage}`, textOf(body));
  return { statusCode: 200 };
}

export async function hello({ text }: { text: string }) {
  await broadcast(process.env.ENDPOINT!, text);
}

function textOf(body: string | undefined): string {
  const { data } = JSON.parse(body ?? "{}") as { data?: string };
  if (!data) throw new Error("a message needs data");
  return data;
}

// Sends text to every client; one that is gone leaves the table.
async function broadcast(endpoint: string, text: string) {
  const api = new ApiGatewayManagementApiClient({ endpoint });
  const { Items = [] } = await table.send(new ScanCommand({ TableName, ProjectionExpression: "connectionId" }));
  await Promise.all(Items.map(async ({ connectionId }) => {
    try {
      await api.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: text }));
    } catch (err) {
      if ((err as Error).name !== "GoneException") throw err;
      await table.send(new DeleteCommand({ TableName, Key: { connectionId } }));
    }
  }));
}
