"""A hostile gRPC client.

Usage: grpc_hostile.py PORT PID GENERATED_CODE [RESET_COUNT]

Sends invalid calls to interop-server and checks the status of each response. Then opens floods of streams and streams that
are never read, while monitoring the memory of the server process. Needs `pip install h2 grpcio protobuf`.
"""
import base64
import gzip
import struct
import sys
import time

import hpack
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from http2_frames import Client

sys.path.insert(0, sys.argv[3])
import interop_pb2 as pb

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
UNARY, STREAM, DUPLEX = "UnaryCall", "StreamingOutputCall", "FullDuplexCall"
OK, INVALID, DEADLINE, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 4, 8, 12, 13


def memory():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) >> 10 for line in status if line.startswith("VmRSS"))


def head(method, *more, content_type="application/grpc", path=None, verb="POST"):
    fields = [(":method", verb), (":scheme", "http"), (":path", path or f"/apus.test.Interop/{method}"),
              (":authority", "a"), ("te", "trailers")]
    return fields + ([("content-type", content_type)] if content_type else []) + list(more)


def framed(message, flag=0, length=None):
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


def request(**fields):
    return pb.SimpleRequest(**fields).SerializeToString()


def data(stream, body, is_end=True):
    frames = [DataFrame(stream, body[at:at + 16000]) for at in range(0, len(body), 16000)] or [DataFrame(stream, b"")]
    if is_end:
        frames[-1].flags.add("END_STREAM")
    return frames


def answer(client, stream=1):
    """Returns the HTTP and gRPC status, or how the stream ended without a response."""
    decoder, fields = hpack.Decoder(), {}
    for frame in client.frames():
        if isinstance(frame, GoAwayFrame):
            return ("goaway", frame.error_code)
        if frame.stream_id != stream:
            continue
        if isinstance(frame, RstStreamFrame):
            return ("reset", frame.error_code)
        if isinstance(frame, HeadersFrame):
            fields.update(decoder.decode(frame.data))
        if "END_STREAM" in frame.flags:
            status = fields.get("grpc-status")
            return (int(fields[":status"]), None if status is None else int(status))
    return ("closed", None)


def call(fields, body):
    def run(client):
        client.send(client.headers(1, fields, "END_HEADERS"), *data(1, body))
        return answer(client)
    return run


def named(name, value):
    return head(UNARY, (name, value))


GOOD = framed(request(response_size=3))
GZIPPED = gzip.compress(request(response_size=3))
CASES = {
    "valid call": (call(head(UNARY), GOOD), (200, OK)),
    "missing content type": (call(head(UNARY, content_type=None), GOOD), (415, None)),
    "JSON content type": (call(head(UNARY, content_type="application/json"), b"{}"), (415, None)),
    "unsupported gRPC content subtype": (call(head(UNARY, content_type="application/grpc+json"), GOOD), (415, None)),
    "content type with a gRPC prefix": (call(head(UNARY, content_type="application/grpcx"), GOOD), (415, None)),
    "other HTTP method": (call(head(UNARY, verb="PUT"), GOOD), (200, UNIMPLEMENTED)),
    "unknown method": (call(head("Nothing"), GOOD), (200, UNIMPLEMENTED)),
    "unknown service": (call(head("", path="/a.B/C"), GOOD), (200, UNIMPLEMENTED)),
    "invalid percent-encoding in the path": (call(head("", path="/apus.test.Interop/%ZZ"), GOOD), (200, INVALID)),
    "percent-encoded NUL bytes in the path": (call(head("", path="/%00/%00"), GOOD), (200, UNIMPLEMENTED)),
    "missing message": (call(head(UNARY), b""), (200, INTERNAL)),
    "one-byte body": (call(head(UNARY), b"\0"), (200, INTERNAL)),
    "truncated prefix": (call(head(UNARY), b"\0\0\0"), (200, INTERNAL)),
    "prefix without a message": (call(head(UNARY), framed(b"", length=5)), (200, INTERNAL)),
    "message shorter than its length": (call(head(UNARY), framed(b"abc", length=5)), (200, INTERNAL)),
    "message longer than its length": (call(head(UNARY), GOOD + b"\0\0"), (200, INTERNAL)),
    "two messages in a unary call": (call(head(UNARY), GOOD + GOOD), (200, INTERNAL)),
    "length over the limit": (call(head(UNARY), framed(b"abc", length=5 << 20)), (200, EXHAUSTED)),
    "length of 0xFFFFFFFF": (call(head(UNARY), framed(b"abc", length=0xFFFFFFFF)), (200, EXHAUSTED)),
    "length of 0x80000000": (call(head(UNARY), framed(b"abc", length=0x80000000)), (200, EXHAUSTED)),
    "compressed flag of 2": (call(head(UNARY), framed(b"abc", flag=2)), (200, INTERNAL)),
    "compressed flag of 255": (call(head(UNARY), framed(b"abc", flag=255)), (200, INTERNAL)),
    "compressed without grpc-encoding": (call(head(UNARY), framed(GZIPPED, flag=1)), (200, INTERNAL)),
    "compressed with grpc-encoding identity": (call(named("grpc-encoding", "identity"), framed(GZIPPED, flag=1)), (200, INTERNAL)),
    "invalid gzip": (call(named("grpc-encoding", "gzip"), framed(b"abc", flag=1)), (200, INTERNAL)),
    "truncated gzip": (call(named("grpc-encoding", "gzip"), framed(GZIPPED[:-9], flag=1)), (200, INTERNAL)),
    "valid gzip": (call(named("grpc-encoding", "gzip"), framed(GZIPPED, flag=1)), (200, OK)),
    "gzip bomb": (call(named("grpc-encoding", "gzip"), framed(gzip.compress(bytes(40 << 20)), flag=1)), (200, EXHAUSTED)),
    "unknown encoding": (call(named("grpc-encoding", "middle-out"), GOOD), (200, UNIMPLEMENTED)),
    "invalid Protocol Buffers": (call(head(UNARY), framed(b"\xff\xff\xff")), (200, INVALID)),
    "nested too deeply": (call(head(UNARY), framed(b"\x0b" * 50000)), (200, INVALID)),
    "field length past the end of the message": (call(head(UNARY), framed(b"\x12\xff\xff\xff\xff\x0f")), (200, INVALID)),
    "malformed timeout": (call(named("grpc-timeout", "soon"), GOOD), (200, INTERNAL)),
    "timeout of nine digits": (call(named("grpc-timeout", "999999999S"), GOOD), (200, INTERNAL)),
    "negative timeout": (call(named("grpc-timeout", "-1S"), GOOD), (200, INTERNAL)),
    "zero timeout": (call(named("grpc-timeout", "0n"), framed(request(sleep_ms=1000))), (200, DEADLINE)),
    "binary metadata that is not base64": (call(named("x-bin", "!"), GOOD), (200, INVALID)),
    "binary metadata with padding only": (call(named("x-bin", "===="), GOOD), (200, INVALID)),
    "binary metadata with padding inside": (call(named("x-bin", "qg=g"), GOOD), (200, INVALID)),
    "empty binary metadata": (call(named("x-bin", ""), GOOD), (200, OK)),
    "grpc-status in the request": (call(named("grpc-status", "0"), GOOD), (200, OK)),
    "invalid grpc-message in the request": (call(named("grpc-message", "%ZZ%"), GOOD), (200, OK)),
    "101 metadata fields": (call(head(UNARY, *[(f"x-{n}", "1") for n in range(101)]), GOOD), (431, None)),
    "oversized metadata": (call(head(UNARY, *[("x", "y" * 4000) for _ in range(3)], ("x", "z" * 8000)), GOOD), ("goaway", 11)),
    "stream truncated within a message": (call(head(DUPLEX), framed(b"") + b"\0\0"), (200, INTERNAL)),
    "stream with an invalid compressed flag": (call(head(DUPLEX), framed(b"", flag=9)), (200, INTERNAL)),
    "stream of invalid Protocol Buffers": (call(head(STREAM), framed(b"\xff\xff")), (200, INVALID)),
    "invalid base64 in gRPC-Web text": (call(head(UNARY, content_type="application/grpc-web-text"), b"!!!!"), (200, INTERNAL)),
    "truncated base64 in gRPC-Web text": (call(head(UNARY, content_type="application/grpc-web-text"), b"AAA"), (200, INTERNAL)),
    "valid gRPC-Web text": (
        call(head(UNARY, content_type="application/grpc-web-text"), base64.b64encode(GOOD)), (200, None)),
}


def is_served():
    client = Client(PORT)
    outcome = call(head(UNARY), GOOD)(client)
    client.socket.close()
    return outcome == (200, OK)


failures = 0


def check(name, good, outcome=""):
    global failures
    failures += not good
    print(("ok  " if good else "FAIL"), name, outcome, flush=True)


for name, (run, expected) in CASES.items():
    client = Client(PORT)
    outcome = run(client)
    client.socket.close()
    good = outcome == expected
    check(name, good and is_served(), "" if good else outcome)


def open_and_reset(count):
    """Opens streams with incomplete calls and resets each of them, sixty per connection; returns the number of connections."""
    left, connections = count, 0
    fields = head(DUPLEX, ("grpc-timeout", "1H"))
    while left > 0:
        client = Client(PORT)
        connections += 1
        stream = 1
        while left > 0 and stream < 120:
            client.send(client.headers(stream, fields, "END_HEADERS"), RstStreamFrame(stream, 8))
            stream += 2
            left -= 1
        client.socket.close()
    return connections


open_and_reset(10_000)
before = memory()
connections = open_and_reset(int(sys.argv[4]) if len(sys.argv) > 4 else 100_000)
time.sleep(1)
after = memory()
check("streams opened and reset", is_served() and after < before + 60, f"{connections} connections, {before} MiB → {after} MiB")

before = memory()
readers = []
wanted = pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=1 << 20) for _ in range(100)]).SerializeToString()
for _ in range(20):
    client = Client(PORT)
    for stream in range(1, 21, 2):
        client.send(client.headers(stream, head(STREAM), "END_HEADERS"), *data(stream, framed(wanted)))
    readers.append(client)
check("other clients are served during 200 unread streams", is_served())
time.sleep(2)
after = memory()
# Each stream has 100 MiB of responses; at most a message and a flow-control window of it may be buffered.
check("unread responses are not buffered in memory", after < before + 800, f"{before} MiB → {after} MiB")
for client in readers:
    client.socket.close()
time.sleep(2)
final = memory()
check("calls are served after the unread streams have closed", is_served(), f"{final} MiB")

client = Client(PORT)
client.send(client.headers(1, head(STREAM), "END_HEADERS"), *data(1, framed(
    pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=100000)]).SerializeToString())))
client.send(*[WindowUpdateFrame(1, 1) for _ in range(200)], WindowUpdateFrame(0, 1 << 20), WindowUpdateFrame(1, 1 << 20))
check("window that opens byte by byte", answer(client) == (200, OK))
client.socket.close()

print(f"{len(CASES) + 5} cases, {failures} failed")
sys.exit(bool(failures))
