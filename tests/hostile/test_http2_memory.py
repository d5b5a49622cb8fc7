"""Heads that are small on the wire and large in memory, and answers that nobody takes: fifty
connections at once fit into 512 MiB, and others are served.

The gateway runs in a cgroup of that size where one can be made; its peak of resident memory is held
against the same number in any case, which is the stricter one.
"""

import contextlib
import time

import hpack
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
# What a stream may cost, so that 50 times 100 of them fit beside what the gateway takes anyway.
EACH = (CAP - 64 * 1024 * 1024) // (CONNECTIONS * STREAMS)
SECONDS = 35 if FULL else 2

# The one byte that means the newest entry of the table (RFC 7541 §6.1).
AGAIN = b"\xbe"


def bomb(authority, path, name, value, times):
    """A head with a field that is written once and then named by one byte."""
    encoder = hpack.Encoder()
    request = [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)]
    return http2.block([*request, (name, value)], encoder) + AGAIN * (times - 1)


# Path, name, value, how often. Pages of our own wait for a window, too, and cost no upstream. Thousands
# of fields take a debug build long to read: unless the run is a full one, there are fewer such streams.
BOMBS = {
    "as many fields as may be": ("/.vestibule/x", b"a", b"", 90),
    "a field of one byte 3,900 times": ("/public/x", b"a", b"", 3_900),
    "a field of one byte 8,000 times": ("/public/x", b"a", b"", 8_000),
    "a field of 3,900 bytes 30 times": ("/.vestibule/x", b"a", b"x" * 3_900, 30),
    "a crumb of cookie 500 times": ("/.vestibule/x", b"cookie", b"a=1", 500),
    "a crumb of cookie 2,900 times": ("/public/x", b"cookie", b"a=1", 2_900),
    "a crumb of cookie 16,000 times": ("/public/x", b"cookie", b"a=1", 16_000),
}


@contextlib.contextmanager
def ended(cgroup):
    """Removes the group, if there is one, once its processes have ended."""
    try:
        yield
    finally:
        if cgroup:
            cgroup.remove()


@pytest.fixture(scope="module")
def busy():
    upstream = BusyUpstream()
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("name", BOMBS)
def test_fifty_connections_fit_into_half_a_gibibyte_and_others_are_served(busy, note, name):
    cgroup = cgroup_of(CAP)
    with ended(cgroup), Gateway(busy.url, cgroup=cgroup) as gateway:
        door, before = Door(gateway), gateway.memory()
        block = bomb(gateway.host, *BOMBS[name])
        streams = STREAMS if FULL or BOMBS[name][3] <= 500 else 10
        attackers = []
        for _ in range(CONNECTIONS):
            connection = door.connect(receive_buffer=4096)
            # SETTINGS_INITIAL_WINDOW_SIZE 0: no answer may have a body.
            settings = http2.bare(4, 0, 0, b"\0\x04\0\0\0\0")
            heads = b"".join(http2.raw_headers(stream, block) for stream in range(1, 2 * streams, 2))
            try:
                connection.sendall(http2.PREFACE + settings + heads)
            except OSError:
                pass  # It is cut off: all the better.
            attackers.append(connection)
        # The newest bytes are still on their way through: what follows is asked meanwhile.
        meanwhile = served_anew(gateway, SECONDS)
        peak = gateway.memory("VmHWM")
        note(f"{name} on {CONNECTIONS} connections of {streams} streams: {before // 1024} MiB before, {peak // 1024} MiB at most, "
             f"{'in a cgroup' if cgroup else 'without a cgroup'}; others {meanwhile}")
        assert gateway.is_alive(), gateway.logs()
        assert peak * 1024 < CAP
        assert (peak - before) * 1024 < EACH * CONNECTIONS * streams + 32 * 1024 * 1024
        assert meanwhile.at(99) < (1 if FULL else 15), "others are served, if slowly"
        for connection in attackers:
            connection.close()
        time.sleep(0.5)
        assert served_anew(gateway, 1)


@pytest.fixture(scope="module")
def generous():
    upstream = BusyUpstream(size=4_000_000)
    yield upstream
    upstream.stop()


def hasty(config):
    config.setdefault("limits", {})["write"] = "3s"


# What Pingora reads ahead for one answer, and what the stream holds of it.
READ_AHEAD = 640 * 1024


def test_answers_that_nobody_takes_cost_their_connection_however_wide_the_windows_are(generous, note):
    with Gateway(generous.url, edit=hasty) as gateway:
        door, before, attackers = Door(gateway), gateway.memory(), []
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", gateway.host), (":path", "/public/x")]
        # Every window as wide as it can be: only TCP holds the answers up.
        settings = http2.bare(4, 0, 0, b"\0\x04\x7f\xff\xff\xff")
        window = http2.bare(8, 0, 0, (2**31 - 1 - 65_535).to_bytes(4, "big"))
        heads = b"".join(http2.raw_headers(stream, http2.block(fields)) for stream in range(1, 2 * STREAMS, 2))
        for _ in range(2):
            connection = door.connect(receive_buffer=4096)
            connection.sendall(http2.PREFACE + settings + window + heads)
            attackers.append(connection)
        end = time.monotonic() + 60
        while gateway.closed("write_timeout") < len(attackers):
            assert time.monotonic() < end, "they are still there"
            time.sleep(0.2)
        peak = gateway.memory("VmHWM")
        note(f"wide windows, {STREAMS} answers on each of {len(attackers)} connections: {before // 1024} MiB before, {peak // 1024} MiB at most")
        assert (peak - before) * 1024 < READ_AHEAD * STREAMS * len(attackers) + 32 * 1024 * 1024
        assert served_anew(gateway, 1)
        for connection in attackers:
            connection.close()
