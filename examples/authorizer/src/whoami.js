const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi");

exports.connect = async () => ({ statusCode: 200 });

// Tells clients who they are.
exports.handler = async (event) => {
  const { authorizer, identity, domainName, stage, connectionId } = event.requestContext;
  const who = authorizer ? `${authorizer.principalId}, level ${authorizer.level}` : identity.userArn;
  const client = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: `you are ${who}` }));
  return { statusCode: 200 };
};
