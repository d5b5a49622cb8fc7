"""HTTP/2 that no library would send: refused, and nobody behind or beside it notices.

After each stimulus the upstream has seen not a byte of it, and a second client gets its own answer.
"""

import json

import pytest

from house import http2
from house.person import canary, sign_in

CRLF = "\r\nX-Smuggled: 1\r\n\r\n"


def replaced(name, value):
    """The request with this pseudo-header changed."""
    return lambda fields: [(n, value if n == name else v) for n, v in fields]


def without(*names):
    return lambda fields: [(n, v) for n, v in fields if n not in names]


def plus(*more):
    return lambda fields: fields + list(more)


def first(*more):
    return lambda fields: list(more) + fields


# What is changed in a request that is right; which statuses are a refusal, beside a reset.
REFUSED = {
    "a path that goes on as a head": (replaced(":path", "/public/x HTTP/1.1\r\nX-Forwarded-User: admin\r\n\r\n"), {400}),
    "a path with a bare line feed": (replaced(":path", "/public/x\nX-Forwarded-User: admin"), {400}),
    "a path with a NUL": (replaced(":path", "/public/\x00x"), {400}),
    "a path with a blank": (replaced(":path", "/public/x HTTP/1.1"), {400}),
    "a path with a byte beyond ASCII": (replaced(":path", "/public/\xffx"), {400}),
    "a path without a slash": (replaced(":path", "admin"), {400}),
    "a whole address as path": (replaced(":path", "http://evil.test/"), {400}),
    "an empty path": (replaced(":path", ""), {400}),
    "a path of a star": (replaced(":path", "*"), {400}),
    "no path": (without(":path"), {400}),
    "two paths": (plus((":path", "/public/y")), {400}),
    "two paths in a row": (first((":path", "/public/y")), {400}),
    "a method that goes on as a head": (replaced(":method", "GET /private HTTP/1.1\r\nHost: a\r\nX: "), {400}),
    "a method with a blank": (replaced(":method", "GET /private"), {400}),
    "an empty method": (replaced(":method", ""), {400}),
    "no method": (without(":method"), {400}),
    "two methods": (first((":method", "GET")), {400}),
    "an authority with a user": (replaced(":authority", "evil@localhost"), {400}),
    "an authority with a carriage return": (replaced(":authority", "localhost\rX-Smuggled: 1"), {400}),
    "an authority that goes on as a head": (replaced(":authority", "localhost" + CRLF), {400}),
    "an authority with a blank": (replaced(":authority", "local host"), {400}),
    "an authority of another site": (replaced(":authority", "evil.test"), {421}),
    "an authority that is empty": (replaced(":authority", ""), {400}),
    "an authority that is a list": (replaced(":authority", "localhost, evil.test"), {400}),
    "two authorities": (first((":authority", "evil.test")), {400}),
    "neither authority nor host": (without(":authority"), {400}),
    "a host that isn't the authority": (plus(("host", "evil.test")), {400}),
    "a scheme of scripts": (replaced(":scheme", "javascript"), {400}),
    "a scheme that goes on as a head": (replaced(":scheme", "https" + CRLF), {400}),
    "no scheme": (without(":scheme"), {400}),
    "a pseudo-header that isn't known": (first((":evil", "1")), {400}),
    "a pseudo-header of responses": (first((":status", "200")), {400}),
    "a pseudo-header behind a field": (
        lambda fields: [field for field in fields if field[0] != ":path"] + [("x-a", "1"), (":path", "/public/x")],
        {400},
    ),
    "a value that goes on as a head": (plus(("x-a", "a" + CRLF)), {400}),
    "a value with a line feed": (plus(("x-a", "a\nX-Smuggled: 1")), {400}),
    "a value with a carriage return": (plus(("x-a", "a\rX-Smuggled: 1")), {400}),
    "a value with a NUL": (plus(("x-a", "a\x00b")), {400}),
    "a name that goes on as a head": (plus(("x-a: 1\r\nx-smuggled", "1")), {400}),
    "a name with a line feed": (plus(("x-a\nx-smuggled", "1")), {400}),
    "a name with a colon": (plus(("x-a:b", "1")), {400}),
    "a name with a NUL": (plus(("x-a\x00", "1")), {400}),
    "a name with a blank": (plus(("x a", "1")), {400}),
    "a name in capitals": (plus(("X-Forwarded-User", "admin")), {400}),
    "a name that is empty": (plus(("", "1")), {400}),
    "transfer-encoding": (plus(("transfer-encoding", "chunked")), {400}),
    "connection": (plus(("connection", "x-forwarded-user")), {400}),
    "keep-alive": (plus(("keep-alive", "timeout=5")), {400}),
    "proxy-connection": (plus(("proxy-connection", "keep-alive")), {400}),
    "upgrade": (plus(("upgrade", "websocket")), {400}),
    "te other than trailers": (plus(("te", "gzip")), {400}),
    "te that begins with trailers": (plus(("te", "trailers, gzip")), {400}),
    "two lengths": (plus(("content-length", "0"), ("content-length", "1")), {400}),
    "a length that is no number": (plus(("content-length", "0x0")), {400}),
    "a length with a sign": (plus(("content-length", "+0")), {400}),
    "a length without a body": (plus(("content-length", "5")), {400}),
    "a tunnel": (lambda _: [(":method", "CONNECT"), (":authority", "localhost:443")], {400, 405}),
    "a tunnel with a path": (replaced(":method", "CONNECT"), {400, 405}),
    "a tunnel for web sockets": (
        lambda fields: [(":method", "CONNECT"), (":protocol", "websocket"), *fields[1:]], {400, 405},
    ),
    "a trace": (replaced(":method", "TRACE"), {405}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_and_nobody_notices(recording, name):
    gateway, upstream = recording
    change, statuses = REFUSED[name]
    upstream.forget()
    with http2.Connection(gateway) as connection:
        connection.send(http2.headers(1, change(connection.request())))
        outcome = connection.outcome()
    assert outcome.is_refusal(statuses), outcome
    assert upstream.saw_nothing(), upstream.bytes()
    assert canary(gateway, "after")


# Bodies that aren't as long as the head says. The head may be on its way when that shows, but the
# upstream never sees a request that is complete.
LENGTHS = {
    "longer than said": ("3", [b"hello"]),
    "shorter than said": ("9", [b"hello"]),
    "longer than said, in pieces": ("3", [b"he", b"llo"]),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_body_of_another_length_makes_no_whole_request(recording, name):
    gateway, upstream = recording
    length, pieces = LENGTHS[name]
    upstream.forget()
    with http2.Connection(gateway) as connection:
        fields = connection.request("/public/x", ("content-length", length), method="POST")
        frames = [http2.headers(1, fields, end_stream=False)]
        frames += [http2.data(1, piece, end_stream=index + 1 == len(pieces)) for index, piece in enumerate(pieces)]
        connection.send(*frames)
        outcome = connection.outcome()
    assert outcome.is_refusal({400}), outcome
    assert canary(gateway, "after")
    assert all(not request.complete for request in upstream.requests()), upstream.bytes()
    assert b"/private" not in upstream.bytes()


def test_what_comes_behind_a_body_of_no_bytes_reaches_nobody(recording):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        fields = connection.request("/public/x", ("content-length", "0"), method="POST")
        smuggled = b"GET /private HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.send(http2.headers(1, fields, end_stream=False), http2.data(1, smuggled))
        outcome = connection.outcome()
    assert outcome.status == 200 or outcome.is_refusal({400}), outcome
    assert canary(gateway, "after")
    # The head was whole by itself: one request without a body, or none.
    assert [request.target for request in upstream.requests()] in ([], ["/public/x"])
    assert b"/private" not in upstream.bytes()


def test_a_fragment_is_cut_off_before_anything_is_decided(recording):
    gateway, upstream = recording
    for path, status in (("/public/x#/../private", 200), ("/private#/public", 401)):
        upstream.forget()
        with http2.Connection(gateway) as connection:
            connection.send(http2.headers(1, connection.request(path)))
            assert connection.outcome().is_refusal({400, status})
        assert [request.target for request in upstream.requests()] in ([], ["/public/x"])


def test_a_body_without_an_end_is_no_whole_request(recording):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        connection.send(
            http2.headers(1, connection.request("/public/x", method="POST"), end_stream=False),
            http2.data(1, b"hello", end_stream=False),
        )
        assert canary(gateway, "meanwhile")
    assert canary(gateway, "after")
    assert all(not request.complete for request in upstream.requests()), upstream.bytes()


def test_fields_behind_a_body_never_become_fields_of_the_head(recording):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        connection.send(
            http2.headers(1, connection.request("/public/x", method="POST"), end_stream=False),
            http2.data(1, b"hello", end_stream=False),
            http2.headers(1, [("x-forwarded-user", "admin"), ("x-smuggled", "1"), ("content-length", "0")]),
        )
        outcome = connection.outcome()
    assert outcome.status == 200 or outcome.is_refusal({400}), outcome
    assert b"smuggled" not in upstream.bytes().lower() and b"admin" not in upstream.bytes(), upstream.bytes()
    assert len(upstream.requests()) <= 1
    assert canary(gateway, "after")


# What resets a stream that has just been opened, and how often a connection may be that way.
TAKEN_BACK = {
    "by the client": (lambda stream: http2.bare(3, 0, stream, b"\0\0\0\x08"), 15),
    "for too wide a window": (lambda stream: http2.bare(8, 0, stream, b"\x7f\xff\xff\xff"), 90),
    "for depending on itself": (lambda stream: http2.bare(2, 0, stream, stream.to_bytes(4, "big") + b"\x10"), 90),
}


@pytest.mark.parametrize("name", TAKEN_BACK)
def test_a_stream_that_is_reset_in_the_same_breath_goes_nowhere(recording, name):
    gateway, upstream = recording
    reset, times = TAKEN_BACK[name]
    upstream.forget()
    with http2.Connection(gateway) as connection:
        last = 1 + 2 * times
        for stream in range(1, last, 2):
            fields = connection.request("/public/never", method="POST")
            connection.send(http2.headers(stream, fields, end_stream=False) + reset(stream))
        connection.send(http2.headers(last, connection.request("/public/x")))
        assert connection.outcome(last).status == 200
    assert [request.target for request in upstream.requests()] == ["/public/x"]


@pytest.mark.parametrize("name", [name for name in TAKEN_BACK if name.startswith("for")])
def test_a_client_at_fault_on_a_hundred_streams_loses_its_connection_with_the_next(recording, name):
    gateway, upstream = recording
    reset, _ = TAKEN_BACK[name]
    upstream.forget()
    with http2.Connection(gateway) as connection:
        def at_fault(stream):
            fields = connection.request("/public/never", method="POST")
            connection.send(http2.headers(stream, fields, end_stream=False) + reset(stream))

        streams = range(1, 201, 2)
        for stream in streams:
            at_fault(stream)
        assert all(one.reset is not None for one in connection.outcomes(streams).values())
        connection.send(http2.headers(201, connection.request("/public/x")))
        assert connection.outcome(201).status == 200
        at_fault(203)
        assert connection.outcome(203).goaway == 11, "ENHANCE_YOUR_CALM"
    assert [request.target for request in upstream.requests()] == ["/public/x"]
    assert canary(gateway, "after")


@pytest.mark.parametrize("fields", [[(":path", "/private")], [("transfer-encoding", "chunked")], [("X-A", "1")]])
def test_malformed_fields_behind_a_body_end_the_stream(recording, fields):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        connection.send(
            http2.headers(1, connection.request("/public/x", method="POST"), end_stream=False),
            http2.data(1, b"hello", end_stream=False),
            http2.headers(1, fields),
        )
        outcome = connection.outcome()
    # What isn't merged harms nobody; most of these are malformed and end the stream.
    assert outcome.status == 200 or outcome.is_refusal({400}), outcome
    assert len(upstream.requests()) <= 1 and b"/private" not in upstream.bytes(), upstream.bytes()
    assert canary(gateway, "after")


def test_many_pieces_of_cookie_are_one_before_the_session_is_looked_up(recording):
    gateway, upstream = recording
    name, _, value = sign_in(gateway).partition("=")
    upstream.forget()
    with http2.Connection(gateway) as connection:
        crumbs = [("cookie", f"c{number}={number}") for number in range(500)]
        crumbs.insert(250, ("cookie", f"{name}={value}"))
        connection.send(http2.headers(1, connection.request("/private", *crumbs)))
        outcome = connection.outcome()
    assert outcome.status == 200, (outcome, outcome.body)
    (request,) = upstream.requests()
    assert request.all("x-forwarded-user"), request.fields
    assert request.all("cookie") == ["; ".join(f"c{number}={number}" for number in range(500))]


def test_the_limit_of_cookies_counts_them_joined(recording):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        crumbs = [("cookie", f"c{number:03}={'x' * 70}") for number in range(500)]
        connection.send(http2.headers(1, connection.request("/private", *crumbs, ("cookie", "__Host-vestibule=x"))))
        outcome = connection.outcome()
    assert outcome.status == 431, outcome
    assert "__Host-vestibule=;" in outcome.fields.get("set-cookie", ""), outcome.fields
    assert upstream.saw_nothing()


def test_a_head_that_is_too_large_is_refused_over_http2_too(recording):
    gateway, upstream = recording
    upstream.forget()
    for path, more, status in (
        ("/public/x", [("x-large", "x" * 65 * 1024)], 431),
        ("/public/x", [(f"x-{number}", "1") for number in range(101)], 431),
        ("/public/" + "x" * 16 * 1024, [], 414),
    ):
        with http2.Connection(gateway) as connection:
            connection.send(http2.headers(1, connection.request(path, *more)))
            assert connection.outcome().status == status
    assert upstream.saw_nothing()
    assert canary(gateway, "after")


def test_a_body_over_its_limit_is_refused_by_length_and_by_what_comes(emulator):
    from house.gateway import Gateway
    from house.upstream import Upstream

    upstream = Upstream()

    def small(config):
        config["routes"][0]["limits"] = {"body": "1KiB"}

    with Gateway(upstream.url, edit=small) as gateway:
        with http2.Connection(gateway) as connection:
            fields = connection.request("/public/x", ("content-length", "1025"), method="POST")
            connection.send(http2.headers(1, fields, end_stream=False))
            assert connection.outcome().status == 413
        assert upstream.saw_nothing()
        with http2.Connection(gateway) as connection:
            fields = connection.request("/public/x", method="POST")
            connection.send(http2.headers(1, fields, end_stream=False), http2.data(1, b"x" * 1025))
            assert connection.outcome().is_refusal({413})
        assert all(not request.complete for request in upstream.requests())
        assert canary(gateway, "after")
    upstream.stop()


def test_one_connection_carries_many_people_and_each_gets_their_own(recording):
    gateway, upstream = recording
    session = sign_in(gateway)
    upstream.forget()
    with http2.Connection(gateway) as connection:
        encoder_free = []
        for number in range(40):
            stream = 2 * number + 1
            more = [("cookie", session)] if number % 2 else []
            encoder_free.append(http2.headers(stream, connection.request(f"/private/{number}", *more)))
        connection.send(*encoder_free)
        outcomes = connection.outcomes([2 * number + 1 for number in range(40)])
    for number in range(40):
        outcome = outcomes[2 * number + 1]
        assert outcome.status == (200 if number % 2 else 401), (number, outcome)
        if number % 2:
            assert json.loads(outcome.body)["target"] == f"/private/{number}"
    assert all(request.all("x-forwarded-user") for request in upstream.requests())
    assert len(upstream.requests()) == 20


@pytest.mark.parametrize("frame", [
    "data on stream 0", "headers on stream 0", "headers on an even stream", "a stream that goes back",
    "continuation of nothing", "a frame over its size", "settings of a wrong length", "push from a client",
])
def test_frames_that_break_the_protocol_end_the_connection(recording, frame):
    gateway, upstream = recording
    upstream.forget()
    with http2.Connection(gateway) as connection:
        right = connection.request("/public/x")
        assert len(http2.BROKEN) == 8
        connection.send(http2.BROKEN[frame](right))
        outcomes = connection.outcomes([2**31 - 1])
    outcome = outcomes[2**31 - 1]
    assert outcome.goaway or outcome.closed, outcome
    assert all(request.target == "/public/x" for request in upstream.requests())
    assert canary(gateway, "after")
