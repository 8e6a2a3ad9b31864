"""Calls every operation on tables with boto3's client and resource."""
import sys
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key

name = sys.argv[1]
client, resource = boto3.client("dynamodb"), boto3.resource("dynamodb")


def thrown(kind, call):
    try:
        call()
    except kind as e:
        return e.response
    raise AssertionError("no " + kind.__name__)


table = resource.create_table(
    TableName=name, BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}],
    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
)
table.wait_until_exists()
client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
thrown(client.exceptions.ResourceInUseException, lambda: client.create_table(
    TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}]))
thrown(client.exceptions.ResourceNotFoundException, lambda: client.describe_table(TableName="nowhere"))

item = {"pk": "a", "sk": Decimal("1"), "n": Decimal("1.25"), "tags": {"x", "y"}, "blob": b"\x00\xff", "list": [None, True, {"deep": []}]}
table.put_item(Item=item)
got = table.get_item(Key={"pk": "a", "sk": 1})["Item"]
got["blob"] = bytes(got["blob"])
assert got == item, got
assert table.update_item(Key={"pk": "a", "sk": 1}, UpdateExpression="SET n = n + :d", ExpressionAttributeValues={":d": Decimal("0.75")}, ReturnValues="UPDATED_NEW")["Attributes"] == {"n": Decimal("2")}
failed = thrown(client.exceptions.ConditionalCheckFailedException, lambda: client.put_item(
    TableName=name, Item={"pk": {"S": "a"}, "sk": {"N": "1"}}, ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"))
assert failed["Item"]["n"] == {"N": "2"}, failed
with table.batch_writer() as batch:
    for i in range(60):
        batch.put_item(Item={"pk": "many", "sk": i, "even": i % 2 == 0})
assert table.query(KeyConditionExpression=Key("pk").eq("many") & Key("sk").between(10, 19), FilterExpression=Attr("even").eq(True))["Count"] == 5
pages = list(client.get_paginator("scan").paginate(TableName=name, PaginationConfig={"PageSize": 20}))
assert sum(p["Count"] for p in pages) == 61 and len(pages) >= 4, len(pages)
assert len(resource.batch_get_item(RequestItems={name: {"Keys": [{"pk": "many", "sk": 1}, {"pk": "many", "sk": 99}]}})["Responses"][name]) == 1
canceled = thrown(client.exceptions.TransactionCanceledException, lambda: client.transact_write_items(TransactItems=[
    {"Put": {"TableName": name, "Item": {"pk": {"S": "t"}, "sk": {"N": "1"}}}},
    {"ConditionCheck": {"TableName": name, "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "ConditionExpression": "attribute_not_exists(pk)"}}]))
assert [r["Code"] for r in canceled["CancellationReasons"]] == ["None", "ConditionalCheckFailed"], canceled
client.transact_write_items(TransactItems=[{"Delete": {"TableName": name, "Key": {"pk": {"S": "many"}, "sk": {"N": "0"}}}}])
assert "Item" not in client.transact_get_items(TransactItems=[{"Get": {"TableName": name, "Key": {"pk": {"S": "many"}, "sk": {"N": "0"}}}}])["Responses"][0]
assert table.delete_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_OLD")["Attributes"]["n"] == 2
client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
assert client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
arn = client.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})["TableDescription"]["TableArn"]
client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "chat"}])
assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "chat"}]
client.untag_resource(ResourceArn=arn, TagKeys=["team"])
try:
    boto3.client("dynamodbstreams").list_streams()
    raise AssertionError("streams are read")
except client.exceptions.ClientError as e:
    assert "ListStreams" in str(e), e
assert name in client.list_tables()["TableNames"] and client.describe_limits()["TableMaxReadCapacityUnits"] > 0
table.delete()
table.wait_until_not_exists()
print("boto3 done")
