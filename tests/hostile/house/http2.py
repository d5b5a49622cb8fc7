"""HTTP/2 in frames: whatever is written goes out, and what comes back is read frame by frame."""

import socket

import hpack
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame,
)

# What a frame may hold unless a peer allows more.
FRAME = 16_384
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def block(fields, encoder=None):
    """A header block of these fields: no check of any kind."""
    encoder = encoder or hpack.Encoder()
    # Literals, as they are, whatever is in them.
    return encoder.encode([(as_bytes(name), as_bytes(value)) for name, value in fields], huffman=False)


def as_bytes(text):
    """Latin-1, so that every byte can be written in a table."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def headers(stream, fields, *, end_stream=True, encoder=None):
    """A HEADERS frame, and as many CONTINUATION frames as the fields need."""
    return raw_headers(stream, block(fields, encoder), end_stream=end_stream)


def raw_headers(stream, data, *, end_stream=True, end_headers=True):
    """The same around a header block that is there already."""
    flags = ["END_STREAM"] if end_stream else []
    pieces = [data[at:at + FRAME] for at in range(FRAME, len(data), FRAME)]
    if end_headers and not pieces:
        flags.append("END_HEADERS")
    frames = [HeadersFrame(stream, data=data[:FRAME], flags=flags).serialize()]
    frames += [continuation(stream, piece, end_headers=end_headers and piece is pieces[-1]) for piece in pieces]
    return b"".join(frames)


def data(stream, content, *, end_stream=True):
    """A DATA frame."""
    return DataFrame(stream, data=content, flags=["END_STREAM"] if end_stream else []).serialize()


def continuation(stream, block_part, *, end_headers):
    """A CONTINUATION frame."""
    return ContinuationFrame(stream, data=block_part, flags=["END_HEADERS"] if end_headers else []).serialize()


def bare(kind, flags, stream, payload=b"", length=None):
    """A frame of any kind, flags, stream and payload, with a length that may lie."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# Frames by which a connection, not a stream, is at an end; each made of the fields of a right request.
BROKEN = {
    "data on stream 0": lambda _: bare(0, 1, 0, b"x"),
    "headers on stream 0": lambda fields: bare(1, 5, 0, block(fields)),
    "headers on an even stream": lambda fields: bare(1, 5, 2, block(fields)),
    "a stream that goes back": lambda fields: headers(5, fields) + headers(3, fields),
    "continuation of nothing": lambda fields: bare(9, 4, 1, block(fields)),
    "a frame over its size": lambda _: bare(0, 0, 1, b"x" * 20_000, length=2**24 - 1),
    "settings of a wrong length": lambda _: bare(4, 0, 0, b"12345"),
    "push from a client": lambda fields: bare(5, 4, 1, b"\0\0\0\2" + block(fields)),
}


class Outcome:
    """What became of a stream: a status, a reset, or the end of the connection."""

    def __init__(self):
        self.status = None
        self.fields = {}
        self.body = b""
        self.reset = None
        self.goaway = None
        self.closed = False
        self.ended = False

    def __repr__(self):
        if self.status is not None:
            return f"status {self.status}, {len(self.body)} bytes, reset {self.reset}"
        return f"reset {self.reset}, goaway {self.goaway}, closed {self.closed}"

    def is_refusal(self, statuses):
        """One of these statuses, or no answer but a reset or an end."""
        if self.status is not None:
            return self.status in statuses
        return self.reset is not None or self.goaway is not None or self.closed


class Connection:
    """One HTTP/2 connection over TLS."""

    def __init__(self, gateway, settings=None, *, timeout=20, receive_buffer=None):
        self.socket = gateway.connect("h2", timeout=timeout, receive_buffer=receive_buffer)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.authority = gateway.host
        self._decoder = hpack.Decoder()
        self._buffer = b""
        self.send(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    def send(self, *frames):
        """Sends frames. A peer that has closed is no failure: what it said before can be read."""
        try:
            self.socket.sendall(b"".join(frames))
        except OSError:
            pass

    def request(self, path="/public/x", *more, method="GET"):
        """The fields of a request that is right, and more."""
        fields = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)]
        return fields + list(more)

    def frame(self):
        """The next frame; none when the connection has ended or is silent for too long."""
        while True:
            if len(self._buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
                if len(self._buffer) >= 9 + length:
                    frame.parse_body(memoryview(self._buffer[9:9 + length]))
                    self._buffer = self._buffer[9 + length:]
                    return frame
            try:
                read = self.socket.recv(65536)
            except (TimeoutError, socket.timeout):
                raise
            except OSError:
                return None
            if not read:
                return None
            self._buffer += read

    def outcome(self, stream=1):
        """Reads until this stream has ended, whichever way."""
        return self.outcomes([stream])[stream]

    def outcomes(self, streams, *, acknowledge=True):
        """The same for several streams."""
        found = {stream: Outcome() for stream in streams}
        while not all(one.ended for one in found.values()):
            frame = self.frame()
            if frame is None or isinstance(frame, GoAwayFrame):
                for one in found.values():
                    if frame is None:
                        one.closed = one.ended = True
                    else:
                        one.goaway = frame.error_code
                        # Streams up to the last one that it names go on.
                        one.ended = one.ended or frame.error_code != 0
                if frame is None:
                    break
                continue
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                self.send(SettingsFrame(0, flags=["ACK"]).serialize())
            elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
                self.send(PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]).serialize())
            one = found.get(frame.stream_id)
            if isinstance(frame, HeadersFrame):
                fields = dict(self._decoder.decode(frame.data))
                if one is not None and one.status is None:
                    one.status, one.fields = int(fields.get(":status", 0)), fields
            elif isinstance(frame, DataFrame):
                if acknowledge and frame.data:
                    for granted in (0, frame.stream_id):
                        self.send(WindowUpdateFrame(granted, window_increment=len(frame.data)).serialize())
                if one is not None:
                    one.body += frame.data
            elif isinstance(frame, RstStreamFrame) and one is not None:
                one.reset, one.ended = frame.error_code, True
            if one is not None and "END_STREAM" in frame.flags:
                one.ended = True
        return found

    def close(self):
        """Ends it."""
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
