"""A hostile HTTP/2 client: python3 http2_hostile.py PORT

Needs `pip install h2`. Each case opens a connection to bench-server on a plaintext port and violates the protocol. It states
the expected outcome: a reset of the stream, the end of the connection with an error code, or a response. After each case, a
well-behaved client must be served.
"""
import socket
import sys

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import (ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PushPromiseFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

from http2_frames import CALM, CLOSED, COMPRESSION, FLOW, PROTOCOL, REFUSED, SIZE, Client

PORT = int(sys.argv[1])
GET = [(":method", "GET"), (":scheme", "http"), (":path", "/plaintext"), (":authority", "a")]
POST = [(":method", "POST"), (":scheme", "http"), (":path", "/echo"), (":authority", "a"), ("content-type", "application/json")]


def get(client, stream=1):
    client.send(client.headers(stream, GET, "END_HEADERS", "END_STREAM"))


def fields(change):
    result = list(GET)
    change(result)
    return result


def malformed(change, flags=("END_HEADERS", "END_STREAM")):
    def run(client):
        client.send(client.headers(1, fields(change), *flags))
    return run


def frames(*build):
    return lambda client: client.send(*[frame(client) for frame in build])


def flood(frame, count=20000):
    return lambda client: client.send_raw(frame.serialize() * count)


def rapid_reset(client):
    for start in range(1, 4001, 200):
        client.send(*[frame for stream in range(start, start + 200, 2)
                      for frame in (client.headers(stream, GET, "END_HEADERS", "END_STREAM"), RstStreamFrame(stream, 8))])


def continuation_flood(client):
    client.send(client.headers(1, GET))
    client.send_raw(ContinuationFrame(1, b"").serialize() * 50000)


def endless_header(client):
    block = client.encoder.encode(GET + [(f"x-{n}", "y" * 200) for n in range(2000)])
    pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    client.send(HeadersFrame(1, pieces[0]), *[ContinuationFrame(1, piece) for piece in pieces[1:]])


def body_before_headers(client):
    client.send(DataFrame(1, b"hello"))


def data_after_end(client):
    get(client)
    client.send(DataFrame(1, b"hello"))


def over_window(client):
    client.send(client.headers(1, POST, "END_HEADERS"))
    for _ in range(200):
        client.send(DataFrame(1, b"x" * 16384))


def wrong_length(client):
    client.send(client.headers(1, POST + [("content-length", "100")], "END_HEADERS"))
    frame = DataFrame(1, b"{}")
    frame.flags.add("END_STREAM")
    client.send(frame)


def any_of(kinds):
    return lambda outcome: outcome in kinds


def ended(*codes):
    """Expects the connection to end, with one of these codes if the server sends GOAWAY."""
    def expected(outcome):
        return outcome[0] == "closed" or outcome[0] == "goaway" and outcome[1] in codes
    expected.of_connection = True
    return expected


STREAM_ERROR = any_of([("reset", PROTOCOL), ("goaway", PROTOCOL), ("closed", None)])
CASES = {
    "nothing after the preface": (lambda c: None, None),
    "uppercase field name": (malformed(lambda f: f.append(("X-Upper", "1"))), STREAM_ERROR),
    "connection-specific field": (malformed(lambda f: f.append(("connection", "close"))), STREAM_ERROR),
    "transfer-encoding": (malformed(lambda f: f.append(("transfer-encoding", "chunked"))), STREAM_ERROR),
    "TE other than trailers": (malformed(lambda f: f.append(("te", "gzip"))), STREAM_ERROR),
    "repeated pseudo-header field": (malformed(lambda f: f.append((":path", "/x"))), STREAM_ERROR),
    "pseudo-header fields after a regular field": (malformed(lambda f: f.insert(0, ("x", "y"))), STREAM_ERROR),
    "unknown pseudo-header field": (malformed(lambda f: f.insert(0, (":admin", "1"))), STREAM_ERROR),
    "no method": (malformed(lambda f: f.pop(0)), STREAM_ERROR),
    "no scheme": (malformed(lambda f: f.pop(1)), STREAM_ERROR),
    "no path": (malformed(lambda f: f.pop(2)), STREAM_ERROR),
    "two authorities": (malformed(lambda f: f.insert(0, (":authority", "b"))), STREAM_ERROR),
    "empty path": (malformed(lambda f: f.__setitem__(2, (":path", ""))), STREAM_ERROR),
    "line break in a value": (malformed(lambda f: f.append(("x", "a\r\nb: c"))), STREAM_ERROR),
    ":status in a request": (malformed(lambda f: f.insert(0, (":status", "200"))), STREAM_ERROR),
    "signed content-length": (malformed(lambda f: f.append(("content-length", "+0"))), STREAM_ERROR),
    "two content-lengths": (malformed(lambda f: f.extend([("content-length", "0"), ("content-length", "0")])), STREAM_ERROR),
    "host other than :authority": (malformed(lambda f: f.append(("host", "b"))), STREAM_ERROR),
    "incorrect content-length": (wrong_length, STREAM_ERROR),
    "DATA before HEADERS": (body_before_headers, ended(PROTOCOL, CLOSED)),
    "DATA after END_STREAM": (data_after_end, any_of([("answer", "200"), ("reset", CLOSED), ("goaway", CLOSED)])),
    "even stream number": (lambda c: get(c, 2), ended(PROTOCOL)),
    "decreasing stream number": (lambda c: (get(c, 5), get(c, 3)), any_of([("answer", "200"), ("goaway", PROTOCOL), ("goaway", CLOSED)])),
    "PUSH_PROMISE": (frames(lambda c: PushPromiseFrame(1, 2, b"")), ended(PROTOCOL)),
    "SETTINGS on a stream": (lambda c: c.send_raw(b"\0\0\0\4\0\0\0\0\1"), ended(PROTOCOL)),
    "SETTINGS of invalid length": (lambda c: c.send_raw(b"\0\0\5\4\0\0\0\0\0hello"), ended(SIZE)),
    "window overflow": (frames(lambda c: WindowUpdateFrame(0, 2**31 - 1)), ended(FLOW)),
    "window increment of 0": (lambda c: c.send_raw(b"\0\0\4\x08\0\0\0\0\0\0\0\0\0"), ended(PROTOCOL)),
    "PING of invalid length": (lambda c: c.send_raw(b"\0\0\4\6\0\0\0\0\0ping"), ended(SIZE)),
    "frame beyond the maximum size": (lambda c: c.send_raw(b"\x10\0\0\0\0\0\0\0\1" + bytes(70000)), ended(SIZE, PROTOCOL)),
    "padding longer than the frame": (lambda c: c.send_raw(b"\0\0\1\0\x08\0\0\0\1\x09"), ended(PROTOCOL, CLOSED)),
    "malformed header block": (frames(lambda c: HeadersFrame(1, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"])), ended(COMPRESSION)),
    "frame between header fragments": (lambda c: c.send(c.headers(1, GET), PingFrame(0, b"12345678")), ended(PROTOCOL)),
    "body beyond the window": (over_window, any_of([("reset", FLOW), ("goaway", FLOW), ("closed", None), ("answer", "413")])),
    "endless header": (endless_header, any_of([("answer", "431"), ("goaway", PROTOCOL), ("goaway", CALM), ("reset", REFUSED), ("closed", None)])),
    "rapid reset": (rapid_reset, ended(CALM)),
    "PING flood": (flood(PingFrame(0, b"12345678")), ended(CALM)),
    "SETTINGS flood": (flood(SettingsFrame(0)), ended(CALM)),
    "CONTINUATION flood": (continuation_flood, ended(CALM, PROTOCOL)),
    "HTTP/1.1 after the preface": (lambda c: c.send_raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10), ended(PROTOCOL, SIZE)),
}


def well_behaved():
    client = socket.create_connection(("127.0.0.1", PORT), timeout=8)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.send_headers(1, GET, end_stream=True)
    client.sendall(connection.data_to_send())
    body = b""
    while True:
        for event in connection.receive_data(client.recv(65536)):
            if isinstance(event, h2.events.DataReceived):
                body += event.data
            if isinstance(event, h2.events.StreamEnded):
                return body == b"Hello, World!"


failures = 0
for name, (run, expected) in CASES.items():
    client = Client(PORT)
    run(client)
    outcome = client.outcome(hasattr(expected, "of_connection")) if expected else None
    client.socket.close()
    good = (expected is None or expected(outcome)) and well_behaved()
    failures += not good
    print(("ok  " if good else "FAIL"), name, "" if outcome is None else outcome)
print(f"{len(CASES)} cases, {failures} failed")
sys.exit(bool(failures))
