"""A chat: who is connected lies in a table, one item a client."""

import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def connect(event, context):
    table.put_item(Item={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}


def disconnect(event, context):
    table.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}


def sendmessage(event, context):
    """{"action":"sendmessage","data":"hello"}: everyone gets data."""
    request = event["requestContext"]
    broadcast("https://%s/%s" % (request["domainName"], request["stage"]), str(json.loads(event["body"]).get("data", "")))
    return {"statusCode": 200}


def hello(event, context):
    """Fired by a rule: there is no event of a client, so the endpoint is configured."""
    broadcast(os.environ["ENDPOINT"], "Hello from Lambda")


def broadcast(endpoint, text):
    """Sends text to every client; one that is gone leaves the table."""
    api = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint)
    for item in table.scan(ProjectionExpression="connectionId")["Items"]:
        try:
            api.post_to_connection(ConnectionId=item["connectionId"], Data=text.encode())
        except api.exceptions.GoneException:
            table.delete_item(Key=item)
