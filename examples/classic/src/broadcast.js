// Fired by a rule. Endpoint and keys are explicit, and nothing is returned: the
// invocation ends when the event loop is empty.
var AWS = require('aws-sdk');
var ddb = new AWS.DynamoDB({ region: 'us-east-1' });
var api = new AWS.ApiGatewayManagementApi({
  apiVersion: '2018-11-29',
  region: 'us-east-1',
  endpoint: process.env.ENDPOINT,
  accessKeyId: process.env.AWS_ACCESS_KEY_ID,
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
  sessionToken: process.env.AWS_SESSION_TOKEN
});

exports.handler = function (event, context, callback) {
  ddb.scan({ TableName: process.env.TABLE_NAME, ProjectionExpression: 'connectionId' }, function (err, data) {
    if (err) { console.log(err); return; }
    data.Items.forEach(function (item) {
      api.postToConnection({ ConnectionId: item.connectionId.S, Data: 'Hello from Lambda' }, function (err) {
        if (err) console.log(item.connectionId.S, err.statusCode, err.code);
      });
    });
  });
};
