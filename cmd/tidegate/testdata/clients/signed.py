"""Connects with websockets as botocore signs, in the query and in headers, and as a
role's session: signed.py URL ROOM ROLE. Prints for each the subprotocol and the answer."""
import asyncio
import os
import sys
import urllib.parse

import boto3
import websockets
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest

url, room, role = sys.argv[1:]
target = url + "?" + urllib.parse.urlencode({"room": room}, quote_via=urllib.parse.quote)
root = boto3.Session().get_credentials()
session = boto3.client("sts", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).assume_role(RoleArn=role, RoleSessionName="ana")["Credentials"]
ana = boto3.Session(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]).get_credentials()


async def say(request):
    headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
    async with websockets.connect(request.url.replace("http", "ws", 1), subprotocols=["chat.v1", "chat.v2"], extra_headers=headers) as socket:
        await socket.send("hello")
        print(socket.subprotocol, await socket.recv())


for credentials in root, ana:
    for auth in SigV4QueryAuth(credentials, "execute-api", "us-east-1", expires=60), SigV4Auth(credentials, "execute-api", "us-east-1"):
        request = AWSRequest("GET", target)
        auth.add_auth(request)
        asyncio.run(say(request))
