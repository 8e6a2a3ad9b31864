// Whatever no other route takes: tell the sender what to send.
import { endpointOf, post, type Message } from "./clients";

export const handler = async (event: Message) => {
  await post(endpointOf(event), event.requestContext.connectionId, 'Send {"action":"sendmessage","data":"your text"}');
  return { statusCode: 200 };
};
