"""Pushes with boto3 and prints how each failure is typed: manage.py ENDPOINT CONNECTION-ID."""
import json
import sys

import boto3
from botocore.config import Config

endpoint, connection = sys.argv[1:]
api = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint, config=Config(retries={"max_attempts": 0}))
out = {}

api.post_to_connection(ConnectionId=connection, Data=b"from boto3")
info = api.get_connection(ConnectionId=connection)
out["get"] = [type(info["ConnectedAt"]).__name__, type(info["LastActiveAt"]).__name__, info["Identity"]["SourceIp"]]
for name, call in {
    "gone": lambda: api.post_to_connection(ConnectionId="AAAAAAAAAAAAAAA=", Data=b"x"),
    "large": lambda: api.post_to_connection(ConnectionId=connection, Data=b"x" * 131073),
    "malformed": lambda: api.get_connection(ConnectionId="nonsense"),
}.items():
    try:
        call()
    except Exception as err:
        out[name] = [type(err).__name__, err.response["ResponseMetadata"]["HTTPStatusCode"]]
wrong = boto3.client("apigatewaymanagementapi", endpoint_url=endpoint, aws_access_key_id="tidegate", aws_secret_access_key="wrong")
try:
    wrong.post_to_connection(ConnectionId=connection, Data=b"x")
except Exception as err:
    out["wrong"] = [type(err).__name__, err.response["ResponseMetadata"]["HTTPStatusCode"], err.response["Error"]["Code"]]
api.delete_connection(ConnectionId=connection)
print(json.dumps(out))
