// {"action":"sendmessage","data":"hello"}: everyone gets data.
import { broadcast, endpointOf, type Message } from "./clients";

export const handler = async (event: Message) => {
  const { data = "" }: { data?: string } = JSON.parse(event.body ?? "{}");
  await broadcast(endpointOf(event), data);
  return { statusCode: 200 };
};
