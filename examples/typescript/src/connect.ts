import { add, type Message } from "./clients";

export const handler = async (event: Message) => {
  await add(event.requestContext.connectionId);
  return { statusCode: 200 };
};
