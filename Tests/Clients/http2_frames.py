"""An HTTP/2 client that can send arbitrary frames. Needs `pip install h2`."""
import socket

import hpack
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_ERROR, PROTOCOL, INTERNAL, FLOW, _, CLOSED, SIZE, REFUSED, _, COMPRESSION, _, CALM = range(12)


class Client:
    def __init__(self, port, timeout=8):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.encoder = hpack.Encoder()
        self.buffer = b""
        self.send_raw(PREFACE + SettingsFrame(0).serialize())

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # The server has closed the connection. What it sent before is read later.

    def send(self, *frames):
        self.send_raw(b"".join(frame.serialize() for frame in frames))

    def headers(self, stream, fields, *flags):
        frame = HeadersFrame(stream, self.encoder.encode(fields))
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def frames(self):
        while True:
            while len(self.buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self.buffer)[:9])
                if len(self.buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self.buffer)[9:9 + length])
                self.buffer = self.buffer[9 + length:]
                yield frame
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, TimeoutError, socket.timeout):
                return
            if not data:
                return
            self.buffer += data

    def outcome(self, of_connection):
        """Returns the outcome: GOAWAY or, unless of_connection, the first reset or response of any stream."""
        for frame in self.frames():
            if isinstance(frame, GoAwayFrame):
                return ("goaway", frame.error_code)
            if of_connection:
                continue
            if isinstance(frame, RstStreamFrame):
                return ("reset", frame.error_code)
            if isinstance(frame, HeadersFrame):
                return ("answer", dict(hpack.Decoder().decode(frame.data))[":status"])
        return ("closed", None)
