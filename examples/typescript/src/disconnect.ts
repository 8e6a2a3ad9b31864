import { remove, type Message } from "./clients";

export const handler = async (event: Message) => {
  await remove(event.requestContext.connectionId);
  return { statusCode: 200 };
};
