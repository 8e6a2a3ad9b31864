// Fired by a rule: there is no event of a client here, so the endpoint is configured.
import { broadcast } from "./clients";

export const handler = async (): Promise<void> => {
  await broadcast(process.env.ENDPOINT!, "Hello from Lambda");
};
