"""Heads that are small on the wire and large in memory, and answers that nobody takes: fifty
connections at once fit into 512 MiB, and others are served.

The gateway runs in a cgroup of that size where one can be made; its peak of resident memory is held
against the same number in any case, which is the stricter one.
"""

import time

import pytest

from house import FULL, http2
from house.attacks import Door
from house.bystander import served_anew
from house.gateway import Gateway
from house.memory import cgroup_of
from house.upstream import BusyUpstream

CAP = 512 * 1024 * 1024
CONNECTIONS = 50
STREAMS = 100
SECONDS = 35 if FULL else 6

# A literal that is kept as entry 62 of the table, and the one byte that means it from then on.
KEPT, AGAIN = b"\x40", b"\xbe"


def entry(name, value):
    """A field that is kept in the table (RFC 7541 §6.2.1)."""
    return KEPT + bytes([len(name)]) + name + bytes([len(value)]) + value


def bombs(authority):
    """Header blocks by name: the first of a connection, then each that follows."""
    head = http2.block([(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", "/public/x")])
    # hpack has put two entries into the table: what comes after is the newest all the same.
    return {
        # Below what makes the library give up: all of it is kept until the answer is out.
        "a field of two bytes 100 times": (head + entry(b"a", b"") + AGAIN * 90, head + AGAIN * 90),
        "a field of two bytes 4,000 times": (head + entry(b"a", b"") + AGAIN * 3_900, None),
        "a field of two bytes 16,000 times": (head + entry(b"a", b"") + AGAIN * 16_000, None),
        "a field of 4,000 bytes 30 times": (head + entry(b"a", b"x" * 120) + AGAIN * 900, None),
        "a crumb of cookie 3,000 times": (head + entry(b"cookie", b"a=1") + AGAIN * 2_900, None),
        "a crumb of cookie 100,000 times": (head + entry(b"cookie", b"a=1") + AGAIN * 100_000, None),
    }


NAMES = list(bombs("localhost"))


@pytest.fixture(scope="module")
def busy():
    # Each answer is larger than a window of nothing.
    upstream = BusyUpstream(size=100_000)
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("name", NAMES)
def test_fifty_connections_fit_into_half_a_gibibyte_and_others_are_served(busy, note, name):
    cgroup = cgroup_of(CAP)
    with Gateway(busy.url, cgroup=cgroup) as gateway:
        door, before = Door(gateway), gateway.memory()
        block, _ = bombs(gateway.host)[name]
        attackers = []
        for _ in range(CONNECTIONS):
            connection = door.connect(receive_buffer=4096)
            # SETTINGS_INITIAL_WINDOW_SIZE 0: no answer may have a body.
            settings = http2.bare(4, 0, 0, b"\0\x04\0\0\0\0")
            heads = b"".join(http2.raw_headers(stream, block) for stream in range(1, 2 * STREAMS, 2))
            try:
                connection.sendall(http2.PREFACE + settings + heads)
            except OSError:
                pass  # It is cut off: all the better.
            attackers.append(connection)
        meanwhile = served_anew(gateway, SECONDS)
        peak = gateway.memory("VmHWM")
        note(f"{name} on {CONNECTIONS} connections: {before // 1024} MiB before, {peak // 1024} MiB at most, "
             f"{'in a cgroup' if cgroup else 'without a cgroup'}; others {meanwhile}")
        assert gateway.is_alive(), gateway.logs()
        assert peak * 1024 < CAP
        assert meanwhile.at(99) < 5
        for connection in attackers:
            connection.close()
        time.sleep(0.5)
        assert served_anew(gateway, 1)
    if cgroup:
        cgroup.remove()
