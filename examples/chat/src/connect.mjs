import { add } from "./clients.mjs";

export const handler = async (event) => {
  await add(event.requestContext.connectionId);
  return { statusCode: 200 };
};
