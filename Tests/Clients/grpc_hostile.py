"""A hostile client of gRPC: grpc_hostile.py PORT PID GENERATED_CODE

Calls interop-server with what no good client sends: each case says which status must come. Then come floods of streams, and
readers that do not read, while the memory of the server's process is watched. Needs `pip install h2 grpcio protobuf`.
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
    """The status of HTTP and that of gRPC, or how the stream ended otherwise."""
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
    "a call as it should be": (call(head(UNARY), GOOD), (200, OK)),
    "no content type": (call(head(UNARY, content_type=None), GOOD), (415, None)),
    "JSON": (call(head(UNARY, content_type="application/json"), b"{}"), (415, None)),
    "gRPC's name, and another form": (call(head(UNARY, content_type="application/grpc+json"), GOOD), (415, None)),
    "a name that begins like gRPC's": (call(head(UNARY, content_type="application/grpcx"), GOOD), (415, None)),
    "another method of HTTP": (call(head(UNARY, verb="PUT"), GOOD), (200, UNIMPLEMENTED)),
    "no such method": (call(head("Nothing"), GOOD), (200, UNIMPLEMENTED)),
    "no such service": (call(head("", path="/a.B/C"), GOOD), (200, UNIMPLEMENTED)),
    "percent-encoding that is none": (call(head("", path="/apus.test.Interop/%ZZ"), GOOD), (200, INVALID)),
    "a path of percent-encoded nothing": (call(head("", path="/%00/%00"), GOOD), (200, UNIMPLEMENTED)),
    "no message": (call(head(UNARY), b""), (200, INTERNAL)),
    "a body of one byte": (call(head(UNARY), b"\0"), (200, INTERNAL)),
    "half a prefix": (call(head(UNARY), b"\0\0\0"), (200, INTERNAL)),
    "a prefix alone": (call(head(UNARY), framed(b"", length=5)), (200, INTERNAL)),
    "less than the length": (call(head(UNARY), framed(b"abc", length=5)), (200, INTERNAL)),
    "more than the length": (call(head(UNARY), GOOD + b"\0\0"), (200, INTERNAL)),
    "two messages": (call(head(UNARY), GOOD + GOOD), (200, INTERNAL)),
    "a length past the limit": (call(head(UNARY), framed(b"abc", length=5 << 20)), (200, EXHAUSTED)),
    "a negative length": (call(head(UNARY), framed(b"abc", length=0xFFFFFFFF)), (200, EXHAUSTED)),
    "the smallest negative length": (call(head(UNARY), framed(b"abc", length=0x80000000)), (200, EXHAUSTED)),
    "a flag of 2": (call(head(UNARY), framed(b"abc", flag=2)), (200, INTERNAL)),
    "a flag of 255": (call(head(UNARY), framed(b"abc", flag=255)), (200, INTERNAL)),
    "compressed without an encoding": (call(head(UNARY), framed(GZIPPED, flag=1)), (200, INTERNAL)),
    "compressed by identity": (call(named("grpc-encoding", "identity"), framed(GZIPPED, flag=1)), (200, INTERNAL)),
    "gzip that is none": (call(named("grpc-encoding", "gzip"), framed(b"abc", flag=1)), (200, INTERNAL)),
    "half of gzip": (call(named("grpc-encoding", "gzip"), framed(GZIPPED[:-9], flag=1)), (200, INTERNAL)),
    "gzip as it should be": (call(named("grpc-encoding", "gzip"), framed(GZIPPED, flag=1)), (200, OK)),
    "a bomb": (call(named("grpc-encoding", "gzip"), framed(gzip.compress(bytes(40 << 20)), flag=1)), (200, EXHAUSTED)),
    "an encoding that nobody knows": (call(named("grpc-encoding", "middle-out"), GOOD), (200, UNIMPLEMENTED)),
    "not Protocol Buffers": (call(head(UNARY), framed(b"\xff\xff\xff")), (200, INVALID)),
    "nested too deep": (call(head(UNARY), framed(b"\x0b" * 50000)), (200, INVALID)),
    "a length within that is past the end": (call(head(UNARY), framed(b"\x12\xff\xff\xff\xff\x0f")), (200, INVALID)),
    "a timeout that is none": (call(named("grpc-timeout", "soon"), GOOD), (200, INTERNAL)),
    "a timeout of nine digits": (call(named("grpc-timeout", "999999999S"), GOOD), (200, INTERNAL)),
    "a negative timeout": (call(named("grpc-timeout", "-1S"), GOOD), (200, INTERNAL)),
    "a timeout that is over": (call(named("grpc-timeout", "0n"), framed(request(sleep_ms=1000))), (200, DEADLINE)),
    "a binary value that is no base64": (call(named("x-bin", "!"), GOOD), (200, INTERNAL)),
    "a binary value of nothing": (call(named("x-bin", ""), GOOD), (200, OK)),
    "a status of the client's": (call(named("grpc-status", "0"), GOOD), (200, OK)),
    "a message of the client's that is no percent-encoding": (call(named("grpc-message", "%ZZ%"), GOOD), (200, OK)),
    "101 fields of metadata": (call(head(UNARY, *[(f"x-{n}", "1") for n in range(101)]), GOOD), (431, None)),
    "a flood of metadata": (call(head(UNARY, *[("x", "y" * 4000) for _ in range(3)], ("x", "z" * 8000)), GOOD), ("goaway", 11)),
    "a stream cut within a message": (call(head(DUPLEX), framed(b"") + b"\0\0"), (200, INTERNAL)),
    "a stream of a wrong flag": (call(head(DUPLEX), framed(b"", flag=9)), (200, INTERNAL)),
    "a stream that is not Protocol Buffers": (call(head(STREAM), framed(b"\xff\xff")), (200, INVALID)),
    "gRPC-Web in text that is no base64": (call(head(UNARY, content_type="application/grpc-web-text"), b"!!!!"), (200, INTERNAL)),
    "gRPC-Web in half of base64": (call(head(UNARY, content_type="application/grpc-web-text"), b"AAA"), (200, INTERNAL)),
    "gRPC-Web as it should be": (
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
    """As many streams, each with a call that waits for more, and each reset; sixty on a connection."""
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
check("100,000 streams opened and reset", is_served() and after < before + 60, f"{connections} connections, {before} MiB → {after} MiB")

before = memory()
readers = []
wanted = pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=1 << 20) for _ in range(100)]).SerializeToString()
for _ in range(20):
    client = Client(PORT)
    for stream in range(1, 21, 2):
        client.send(client.headers(stream, head(STREAM), "END_HEADERS"), *data(stream, framed(wanted)))
    readers.append(client)
check("others are served beside 200 streams that nobody reads", is_served())
time.sleep(2)
after = memory()
# Each of them would take 100 MiB: what waits is a message and a window.
check("nobody's stream is kept in memory", after < before + 800, f"{before} MiB → {after} MiB")
for client in readers:
    client.socket.close()
time.sleep(2)
final = memory()
check("readers that left leave nothing", is_served(), f"{final} MiB")

client = Client(PORT)
client.send(client.headers(1, head(STREAM), "END_HEADERS"), *data(1, framed(
    pb.OutputRequest(response_parameters=[pb.ResponseParameters(size=100000)]).SerializeToString())))
client.send(*[WindowUpdateFrame(1, 1) for _ in range(200)], WindowUpdateFrame(0, 1 << 20), WindowUpdateFrame(1, 1 << 20))
check("a window that opens byte by byte", answer(client) == (200, OK))
client.socket.close()

print(f"{len(CASES) + 5} cases, {failures} failed")
sys.exit(bool(failures))
