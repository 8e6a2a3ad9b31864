import { DynamoDBClient, DeleteItemCommand, PutItemCommand, ScanCommand } from "@aws-sdk/client-dynamodb";

const db = new DynamoDBClient({});
const TableName = process.env.TABLE;

// One function for every route: it keeps who is connected, and says how many are.
export const handler = async ({ requestContext: { routeKey, connectionId } }) => {
  switch (routeKey) {
    case "$connect":
      await db.send(new PutItemCommand({ TableName, Item: { connectionId: { S: connectionId } } }));
      break;
    case "$disconnect":
      await db.send(new DeleteItemCommand({ TableName, Key: { connectionId: { S: connectionId } } }));
      break;
    default:
      return { statusCode: 200, body: `${(await db.send(new ScanCommand({ TableName }))).Count} connected` };
  }
  return { statusCode: 200 };
};
