// Tokens that a real app would check with its user pool.
const users = { "ana-token": { name: "Ana", level: 3 }, "bob-token": { name: "Bob", level: 1, banned: true } };

exports.handler = async (event) => {
  const user = users[event.queryStringParameters.token];
  if (!user) {
    throw new Error("Unauthorized"); // 401
  }
  return {
    principalId: user.name,
    policyDocument: {
      Version: "2012-10-17",
      Statement: [{ Action: "execute-api:Invoke", Effect: user.banned ? "Deny" : "Allow", Resource: event.methodArn }],
    },
    context: { level: user.level, admin: false }, // in every later event, as text
  };
};
