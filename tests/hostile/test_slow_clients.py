"""Clients that take their time, by `slowhttptest`: each is closed when its time is over, and others are
served meanwhile.

`HOSTILE=full` is the size of the contract: 2,000 connections, and the write time-out as it is by
default.
"""

import resource
import threading
import time

import pytest

from house import FULL
from house.bystander import served
from house.gateway import Gateway
from house.slowhttptest import slowhttptest
from house.upstream import BusyUpstream

CONNECTIONS = 2_000 if FULL else 300
# Heads, and bodies below their rate: 10 s.
HEAD = BODY = 10
WRITE = 30 if FULL else 5
# Until the tool has opened all connections, and until it notices a close; on a busy machine.
OPENING = 10 if FULL else 5
SLACK = 3
# What nobody but one in a hundred may wait.
CEILING = 0.2 if FULL else 2.0


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    """As many open files as the machine grants, to us and to what we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert most > 3 * CONNECTIONS, f"ulimit -n is {most}"


def limits(config):
    """All of the tool's connections come from one address."""
    if FULL:
        config["limits"] = {"connections": {"per_address": 4_000}}
    else:
        config["limits"] = {"write": f"{WRITE}s"}


class Tool(threading.Thread):
    """The tool under way."""

    def __init__(self, *arguments):
        super().__init__(daemon=True)
        self.arguments, self.statistics = arguments, None
        self.start()

    def run(self):
        self.statistics = slowhttptest(*self.arguments)

    def end(self):
        """What it says, once it is over."""
        self.join()
        assert self.statistics, "slowhttptest failed"
        return self.statistics


@pytest.mark.parametrize(("what", "options", "limit"), [
    ("heads", ["-H", "-i", 2, "-x", 24], HEAD),
    ("bodies", ["-B", "-i", 2, "-s", 8192, "-x", 10], BODY),
])
def test_slow_requests_are_closed_in_time_and_others_are_served(tmp_path, note, what, options, limit):
    upstream = BusyUpstream()
    with Gateway(upstream.url, tls=False, edit=limits) as gateway:
        seconds = OPENING + limit + SLACK
        tool = Tool(tmp_path, gateway.origin + "/public/slow", CONNECTIONS, seconds + 5, *options)
        meanwhile = served(gateway, seconds)
        open_after = gateway.sockets()
        statistics = tool.end()
        note(f"slow {what}: {statistics}; others {meanwhile}")
        assert statistics.connected() > CONNECTIONS * 9 // 10, "the tool has opened them"
        assert statistics.none_is_left(), str(statistics)
        assert statistics.ended() <= seconds
        assert open_after < 100, f"{open_after} sockets are open"
        assert meanwhile.at(99) < CEILING
        assert not statistics.says_that_the_service_was_down()
    upstream.stop()


def test_slow_readers_are_closed_in_time_and_others_are_served(tmp_path, note):
    # More than the kernel takes off our hands.
    upstream, small = BusyUpstream(size=8_000_000), BusyUpstream()
    readers = 200 if FULL else 60

    def two(config):
        limits(config)
        config["routes"].append(
            {"id": "small", "match": {"path": "/public/small"}, "auth": "public", "upstream": small.url})

    with Gateway(upstream.url, tls=False, edit=two) as gateway:
        before = gateway.sockets()
        tool = Tool(
            tmp_path, gateway.origin + "/public/slow", readers, OPENING + WRITE + SLACK + 8,
            "-X", "-w", 10, "-y", 20, "-n", 5, "-z", 32,
        )
        first = served(gateway, OPENING, "/public/small/x")
        held = gateway.sockets()
        second = served(gateway, WRITE + SLACK, "/public/small/x")
        # Seen from our side: the kernel still has bytes that the reader doesn't take, and goes on alone.
        left = gateway.sockets()
        statistics = tool.end()
        note(f"slow readers: {before} sockets before, {held} held, {left} left; others {first}; {second}")
        assert held > before + readers, "they were reading"
        assert left < before + 20, f"{left} sockets are still open"
        assert max(first.at(99), second.at(99)) < CEILING
        assert not statistics.says_that_the_service_was_down()
    upstream.stop()
    small.stop()


def test_a_connection_that_only_waits_is_closed_in_time():
    upstream = BusyUpstream()

    def impatient(config):
        config["limits"] = {"idle": "2s"}
        config["http2"] = {"idle": "2s"}

    with Gateway(upstream.url, edit=impatient) as gateway:
        from house import http2
        from house.person import connected

        kept = connected(gateway)
        kept.request("GET", "/public/x")
        kept.getresponse().read()
        with http2.Connection(gateway) as waiting:
            waiting.send(http2.headers(1, waiting.request()))
            assert waiting.outcome().status == 200
            begin = time.monotonic()
            assert kept.sock.recv(1) == b""
            while waiting.frame() is not None:
                pass
            assert 1 < time.monotonic() - begin < 8
    upstream.stop()
