// Whatever no other route takes: tell the sender what to send.
import { PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import { endpointOf, manager } from "./clients.mjs";

export const handler = async (event) => {
  await manager(endpointOf(event)).send(new PostToConnectionCommand({
    ConnectionId: event.requestContext.connectionId,
    Data: 'Send {"action":"sendmessage","data":"your text"}',
  }));
  return { statusCode: 200 };
};
