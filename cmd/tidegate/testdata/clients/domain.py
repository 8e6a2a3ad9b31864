"""Pushes by a custom domain name with boto3: domain.py ENDPOINT CONNECTION-ID."""
import socket
import sys

import boto3

# What a line in the hosts file does.
getaddrinfo = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: getaddrinfo("127.0.0.1" if host == "chat.example.test" else host, *rest, **more)

endpoint, connection = sys.argv[1:]
boto3.client("apigatewaymanagementapi", endpoint_url=endpoint).post_to_connection(ConnectionId=connection, Data=b"from boto3")
