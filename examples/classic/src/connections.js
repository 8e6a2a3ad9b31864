// The table of connection ids, in the callback style of 2018.
var AWS = require('aws-sdk');
var ddb = new AWS.DynamoDB.DocumentClient({ region: 'us-east-1' });

exports.connect = function (event, context, callback) {
  var params = { TableName: process.env.TABLE_NAME, Item: { connectionId: event.requestContext.connectionId } };
  ddb.put(params, function (err) {
    callback(null, { statusCode: err ? 500 : 200, body: err ? 'Failed to connect: ' + JSON.stringify(err) : 'Connected.' });
  });
};

exports.disconnect = function (event, context, callback) {
  var params = { TableName: process.env.TABLE_NAME, Key: { connectionId: event.requestContext.connectionId } };
  ddb.delete(params, function (err) {
    callback(null, { statusCode: err ? 500 : 200, body: err ? 'Failed to disconnect: ' + JSON.stringify(err) : 'Disconnected.' });
  });
};
