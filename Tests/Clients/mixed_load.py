"""Runs REST, gRPC and WebSocket clients concurrently on one port while the server shuts down.

Usage: mixed_load.py PORT PID GENERATED_CODE

Checks that the server completes every accepted call and truncates no response. Needs `pip install grpcio protobuf
websockets`.
"""
import asyncio
import http.client
import os
import signal
import sys
import threading
import time

import grpc
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, sys.argv[3])
import interop_pb2 as pb
import interop_pb2_grpc

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
counts, problems, lock = {}, [], threading.Lock()
stopping = threading.Event()


def note(kind, problem=None):
    with lock:
        counts[kind] = counts.get(kind, 0) + 1
        if problem:
            problems.append(f"{kind}: {problem}")


def rest():
    while not stopping.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        try:
            connection.connect()
        except OSError:
            return  # The server no longer listens, so the request was not accepted.
        try:
            for number in range(100):
                connection.request("GET", "/hello")
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or body != b"hello":
                    return note("rest", f"{response.status} {body[:80]}")
                note("rest")
                if response.getheader("Connection") == "close":
                    break
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            # During shutdown the server may close an idle connection: the request was not accepted.
            if not stopping.is_set():
                note("rest", repr(error))
        finally:
            connection.close()


def unary(channel):
    stub = interop_pb2_grpc.InteropStub(channel)
    while True:
        try:
            stub.UnaryCall(pb.SimpleRequest(response_size=1000, sleep_ms=20), timeout=20)
            note("unary")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or not stopping.is_set():
                note("unary", f"{error.code()} {error.details()}")
            elif "Connection refused" not in error.details() and "GOAWAY" not in error.details():
                note("unary", error.details())
            return


def duplex(channel):
    stub = interop_pb2_grpc.InteropStub(channel)
    request = pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=1000, interval_us=1000)] * 20)
    while not stopping.is_set():
        try:
            answers = list(stub.FullDuplexCall(iter([request] * 3), timeout=20))
            note("duplex", None if len(answers) == 60 else f"{len(answers)} messages")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or not stopping.is_set():
                note("duplex", f"{error.code()} {error.details()}")
            return


def socket():
    try:
        with websockets.sync.client.connect(f"ws://127.0.0.1:{PORT}/echo") as connection:
            while True:
                connection.send("there")
                answer = connection.recv(timeout=20)
                note("socket", None if answer == "there" else answer)
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code not in (1001, 1012):
            note("socket", f"closed with {closed.rcvd}")
    except OSError as error:
        if not stopping.is_set():
            note("socket", repr(error))


channels = [grpc.insecure_channel(f"127.0.0.1:{PORT}", options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
threads = [threading.Thread(target=rest) for _ in range(4)]
threads += [threading.Thread(target=work, args=(channel,)) for channel in channels for work in (unary, unary, duplex)]
threads += [threading.Thread(target=socket) for _ in range(4)]
for thread in threads:
    thread.start()
time.sleep(3)
stopping.set()
os.kill(PID, signal.SIGTERM)
for thread in threads:
    thread.join(timeout=60)
    if thread.is_alive():
        problems.append("A client is still waiting after 60 s.")
print(counts)
for problem in problems[:20]:
    print(problem)
complete = {"rest", "unary", "duplex", "socket"} == set(counts)
print("mixed load through SIGTERM:", "every accepted call was completed" if complete and not problems else "FAIL")
sys.exit(not complete or bool(problems))
