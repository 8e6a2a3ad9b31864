"""Pushes to a client with the AWS SDK: python3 announce.py CONNECTION-ID TEXT"""
import os
import sys

import boto3

client = boto3.client(
    "apigatewaymanagementapi",
    endpoint_url=os.environ.get("GATEWAY", "http://127.0.0.1:8421/prod"),
    region_name="us-east-1",
    aws_access_key_id="announcer",
    aws_secret_access_key=os.environ["ANNOUNCER_SECRET"],
)
client.post_to_connection(ConnectionId=sys.argv[1], Data=sys.argv[2].encode())
