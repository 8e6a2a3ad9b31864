import { remove } from "./clients.mjs";

export const handler = async (event) => {
  await remove(event.requestContext.connectionId);
  return { statusCode: 200 };
};
