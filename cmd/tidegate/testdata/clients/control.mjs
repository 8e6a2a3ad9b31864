// Calls the operations of apigatewayv2 that WebSocket APIs have, with the SDK for
// JavaScript, and prints what is wrong and how failures are typed.
// usage: node control.mjs ENDPOINT
import * as sdk from "@aws-sdk/client-apigatewayv2";

const client = new sdk.ApiGatewayV2Client({ endpoint: process.argv[2], region: "us-east-1", maxAttempts: 1 });
const send = (operation, input) => client.send(new sdk[operation + "Command"](input));
const problems = [];
const uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations";

// Creates, reads, lists and changes a resource; returns its id.
async function lifecycle(noun, id, parent, create, update, list = `Get${noun}s`) {
  const made = await send("Create" + noun, { ...parent, ...create });
  const ids = { [id]: made[id] };
  const got = await send("Get" + noun, { ...parent, ...ids });
  const pages = [];
  let NextToken;
  do {
    const page = await send(list, { ...parent, MaxResults: "1", NextToken });
    pages.push(...page.Items);
    NextToken = page.NextToken;
  } while (NextToken);
  if (!pages.some((item) => item[id] === made[id])) problems.push(`${list} lacks ${made[id]}`);
  for (const [name, value] of Object.entries(made)) {
    if (name !== "$metadata" && JSON.stringify(value) !== JSON.stringify(got[name])) problems.push(`${noun}.${name}: ${JSON.stringify(got[name])}`);
  }
  const changed = await send("Update" + noun, { ...parent, ...ids, ...update });
  for (const name of Object.keys(update)) {
    if (JSON.stringify(changed[name]) !== JSON.stringify(update[name])) problems.push(`${noun}.${name}: ${JSON.stringify(changed[name])}`);
  }
  return ids;
}

const api = await lifecycle("Api", "ApiId", {}, { Name: "chat", ProtocolType: "WEBSOCKET", RouteSelectionExpression: "$request.body.action" }, { Description: "changed" });
const model = await lifecycle("Model", "ModelId", api, { Name: "Ask", Schema: "{}" }, { Description: "changed" });
await send("GetModelTemplate", { ...api, ...model });
const authorizer = await lifecycle("Authorizer", "AuthorizerId", api, { Name: "who", AuthorizerType: "REQUEST", AuthorizerUri: uri, IdentitySource: ["route.request.header.A"] }, { Name: "whom" });
const integration = await lifecycle("Integration", "IntegrationId", api, { IntegrationType: "MOCK" }, { TimeoutInMillis: 1000 });
const answer = await lifecycle("IntegrationResponse", "IntegrationResponseId", { ...api, ...integration }, { IntegrationResponseKey: "$default" }, { ResponseTemplates: { $default: "{}" } });
const route = await lifecycle("Route", "RouteId", api, { RouteKey: "$default", Target: "integrations/" + integration.IntegrationId, RequestParameters: { "route.request.querystring.q": { Required: true } } }, { OperationName: "changed" });
const reply = await lifecycle("RouteResponse", "RouteResponseId", { ...api, ...route }, { RouteResponseKey: "$default" }, { ModelSelectionExpression: "ask" });
const deployment = await lifecycle("Deployment", "DeploymentId", api, { Description: "one" }, { Description: "changed" });
const stage = await lifecycle("Stage", "StageName", api, { StageName: "dev", ...deployment, RouteSettings: { $default: { ThrottlingRateLimit: 2.5 } } }, { Description: "changed" });
await lifecycle("VpcLink", "VpcLinkId", {}, { Name: "inside", SubnetIds: ["s"] }, { Name: "changed" });

const ResourceArn = `arn:aws:apigateway:us-east-1::/apis/${api.ApiId}/stages/dev`;
await send("TagResource", { ResourceArn, Tags: { k: "v", l: "w" } });
await send("UntagResource", { ResourceArn, TagKeys: ["k"] });
const tags = JSON.stringify((await send("GetTags", { ResourceArn })).Tags);
if (tags !== '{"l":"w"}') problems.push(`tags ${tags}`);

// Whether a call fails with its own class.
async function fails(type, operation, input) {
  try {
    await send(operation, input);
  } catch (err) {
    return [err instanceof sdk[type], err.$metadata.httpStatusCode];
  }
  return "nothing";
}
const failures = {
  missing: await fails("NotFoundException", "GetApi", { ApiId: "nope" }),
  invalid: await fails("BadRequestException", "CreateRoute", { ...api, RouteKey: "$nope" }),
  conflict: await fails("ConflictException", "CreateRoute", { ...api, RouteKey: "$default" }),
};
for (let n = 0; n < 9; n++) await send("CreateVpcLink", { Name: "x", SubnetIds: ["s"] });
failures.quota = await fails("TooManyRequestsException", "CreateVpcLink", { Name: "x", SubnetIds: ["s"] });
for (const { VpcLinkId } of (await send("GetVpcLinks", {})).Items) await send("DeleteVpcLink", { VpcLinkId });

await send("DeleteRouteSettings", { ...api, ...stage, RouteKey: "$default" });
await send("DeleteAccessLogSettings", { ...api, ...stage });
await send("DeleteRouteRequestParameter", { ...api, ...route, RequestParameterKey: "route.request.querystring.q" });
await send("DeleteStage", { ...api, ...stage });
await send("DeleteDeployment", { ...api, ...deployment });
await send("DeleteRouteResponse", { ...api, ...route, ...reply });
await send("DeleteRoute", { ...api, ...route });
await send("DeleteIntegrationResponse", { ...api, ...integration, ...answer });
await send("DeleteIntegration", { ...api, ...integration });
await send("DeleteAuthorizer", { ...api, ...authorizer });
await send("DeleteModel", { ...api, ...model });
await send("DeleteApi", api);
console.log(JSON.stringify({ problems, failures }));
