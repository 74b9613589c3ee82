"""Prints a bearer token for a role of the delivery tracker."""
import json
import sys
import urllib.request
import uuid


def post(url, value=None):
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(url, body or b"", {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


base, role = sys.argv[1:]
if role == "dispatcher":
    print(post(f"{base}/v1/simulator/session")["token"])
else:
    account = {"email": f"{uuid.uuid4()}@example.org", "password": "correct horse battery"}
    post(f"{base}/v1/accounts", {**account, "name": role, "role": role})
    print(post(f"{base}/v1/sessions", account)["token"])
