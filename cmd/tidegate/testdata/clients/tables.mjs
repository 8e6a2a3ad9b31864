// Calls every operation on tables with the document clients of the AWS SDK for
// JavaScript, version 3 and 2, and prints one line of JSON for each.
import assert from 'node:assert'
import { createRequire } from 'node:module'
import * as ddb from '@aws-sdk/client-dynamodb'
import * as lib from '@aws-sdk/lib-dynamodb'

const table = process.argv[2]
const hash = (name) => ({
  TableName: name, BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }, { AttributeName: 'room', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
  GlobalSecondaryIndexes: [{ IndexName: 'byRoom', KeySchema: [{ AttributeName: 'room', KeyType: 'HASH' }], Projection: { ProjectionType: 'ALL' } }],
})
const thrown = async (type, call) => {
  try { await call() } catch (e) { assert.ok(e instanceof type, `${e.name}: ${e.message}`); return e }
  assert.fail(`no ${type.name}`)
}

async function v3() {
  const TableName = table + '3'
  const client = new ddb.DynamoDBClient({}), doc = lib.DynamoDBDocumentClient.from(client)
  const send = (c) => doc.send(c)
  await client.send(new ddb.CreateTableCommand(hash(TableName)))
  await ddb.waitUntilTableExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName })
  await thrown(ddb.ResourceInUseException, () => client.send(new ddb.CreateTableCommand(hash(TableName))))
  await thrown(ddb.ResourceNotFoundException, () => send(new lib.GetCommand({ TableName: 'nowhere', Key: { id: 'a' } })))
  const item = { id: 'a', room: 'lobby', n: 1.5, list: [1, 'x', null, true], map: { deep: { er: [] } }, tags: new Set(['a', 'b']), bytes: new Uint8Array([0, 255]) }
  await send(new lib.PutCommand({ TableName, Item: item }))
  assert.deepEqual((await send(new lib.GetCommand({ TableName, Key: { id: 'a' }, ConsistentRead: true }))).Item, item)
  const updated = await send(new lib.UpdateCommand({ TableName, Key: { id: 'a' }, UpdateExpression: 'ADD n :one SET #l[0] = :x', ExpressionAttributeNames: { '#l': 'list' }, ExpressionAttributeValues: { ':one': 1, ':x': 'new' }, ReturnValues: 'UPDATED_NEW' }))
  assert.deepEqual(updated.Attributes, { n: 2.5, list: ['new'] })
  const failed = await thrown(ddb.ConditionalCheckFailedException, () => send(new lib.PutCommand({ TableName, Item: { id: 'a' }, ConditionExpression: 'attribute_not_exists(id)', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' })))
  assert.equal(failed.Item.room.S ?? failed.Item.room, 'lobby')
  await send(new lib.BatchWriteCommand({ RequestItems: { [TableName]: [...Array(25).keys()].map((i) => ({ PutRequest: { Item: { id: `b${i}`, room: 'many', i } } })) } }))
  const got = await send(new lib.BatchGetCommand({ RequestItems: { [TableName]: { Keys: [{ id: 'b1' }, { id: 'b2' }, { id: 'none' }] } } }))
  assert.equal(got.Responses[TableName].length, 2)
  let pages = 0, seen = 0
  for await (const page of lib.paginateQuery({ client: doc, pageSize: 10 }, { TableName, IndexName: 'byRoom', KeyConditionExpression: 'room = :r', ExpressionAttributeValues: { ':r': 'many' } })) { pages++; seen += page.Count }
  assert.deepEqual([seen, pages >= 3], [25, true])
  seen = 0
  for await (const page of lib.paginateScan({ client: doc, pageSize: 7 }, { TableName })) seen += page.Count
  assert.equal(seen, 26)
  await send(new lib.TransactWriteCommand({ TransactItems: [{ Put: { TableName, Item: { id: 't1' } } }, { Delete: { TableName, Key: { id: 'b1' } } }, { ConditionCheck: { TableName, Key: { id: 'a' }, ConditionExpression: 'n = :n', ExpressionAttributeValues: { ':n': 2.5 } } }] }))
  const canceled = await thrown(ddb.TransactionCanceledException, () => send(new lib.TransactWriteCommand({ TransactItems: [{ Put: { TableName, Item: { id: 't2' } } }, { Update: { TableName, Key: { id: 'a' }, UpdateExpression: 'SET n = :n', ConditionExpression: 'attribute_not_exists(id)', ExpressionAttributeValues: { ':n': 0 } } }] })))
  assert.deepEqual(canceled.CancellationReasons.map((r) => r.Code), ['None', 'ConditionalCheckFailed'])
  assert.equal((await send(new lib.TransactGetCommand({ TransactItems: [{ Get: { TableName, Key: { id: 't1' } } }, { Get: { TableName, Key: { id: 't2' } } }] }))).Responses.filter((r) => r.Item).length, 1)
  const gone = await send(new lib.DeleteCommand({ TableName, Key: { id: 't1' }, ReturnValues: 'ALL_OLD', ReturnConsumedCapacity: 'INDEXES' }))
  assert.deepEqual([gone.Attributes, gone.ConsumedCapacity.CapacityUnits], [{ id: 't1' }, 1])
  await client.send(new ddb.DeleteTableCommand({ TableName }))
  await ddb.waitUntilTableNotExists({ client, maxWaitTime: 20, minDelay: 1 }, { TableName })
}

async function v2() {
  const AWS = createRequire(import.meta.url)('aws-sdk')
  const endpoint = process.env.AWS_ENDPOINT_URL, TableName = table + '2'
  const client = new AWS.DynamoDB({ endpoint, maxRetries: 0 }), doc = new AWS.DynamoDB.DocumentClient({ endpoint, maxRetries: 0 })
  const code = async (want, request) => { try { await request.promise() } catch (e) { assert.equal(e.code, want, e.message); return e } assert.fail(`no ${want}`) }
  await client.createTable(hash(TableName)).promise()
  await client.waitFor('tableExists', { TableName, $waiter: { delay: 1 } }).promise()
  await code('ResourceInUseException', client.createTable(hash(TableName)))
  await code('ResourceNotFoundException', doc.get({ TableName: 'nowhere', Key: { id: 'a' } }))
  await doc.put({ TableName, Item: { id: 'a', room: 'lobby', n: 1, tags: doc.createSet(['x', 'y']), bytes: Buffer.from('hi') } }).promise()
  const { Item } = await doc.get({ TableName, Key: { id: 'a' } }).promise()
  assert.deepEqual([Item.n, Item.tags.values, Item.bytes.toString()], [1, ['x', 'y'], 'hi'])
  assert.equal((await doc.update({ TableName, Key: { id: 'a' }, AttributeUpdates: { n: { Action: 'ADD', Value: 2 } }, ReturnValues: 'ALL_NEW' }).promise()).Attributes.n, 3)
  await code('ConditionalCheckFailedException', doc.put({ TableName, Item: { id: 'a' }, Expected: { id: { Exists: false } } }))
  await doc.batchWrite({ RequestItems: { [TableName]: [{ PutRequest: { Item: { id: 'b', room: 'lobby' } } }] } }).promise()
  assert.equal((await doc.batchGet({ RequestItems: { [TableName]: { Keys: [{ id: 'a' }, { id: 'b' }] } } }).promise()).Responses[TableName].length, 2)
  assert.equal((await doc.query({ TableName, IndexName: 'byRoom', KeyConditions: { room: { ComparisonOperator: 'EQ', AttributeValueList: ['lobby'] } } }).promise()).Count, 2)
  assert.equal((await doc.scan({ TableName, ScanFilter: { n: { ComparisonOperator: 'GT', AttributeValueList: [2] } } }).promise()).Count, 1)
  const canceled = await code('TransactionCanceledException', doc.transactWrite({ TransactItems: [{ Put: { TableName, Item: { id: 'a' }, ConditionExpression: 'attribute_not_exists(id)' } }] }))
  assert.match(canceled.message, /\[ConditionalCheckFailed\]/)
  assert.equal((await doc.transactGet({ TransactItems: [{ Get: { TableName, Key: { id: 'b' } } }] }).promise()).Responses[0].Item.room, 'lobby')
  await doc.delete({ TableName, Key: { id: 'b' } }).promise()
  await client.deleteTable({ TableName }).promise()
  await client.waitFor('tableNotExists', { TableName, $waiter: { delay: 1 } }).promise()
}

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1'
await v3()
console.log('v3 done')
await v2()
console.log('v2 done')
