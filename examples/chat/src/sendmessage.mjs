// {"action":"sendmessage","data":"hello"}: everyone gets data.
import { broadcast, endpointOf } from "./clients.mjs";

export const handler = async (event) => {
  await broadcast(endpointOf(event), String(JSON.parse(event.body).data ?? ""));
  return { statusCode: 200 };
};
