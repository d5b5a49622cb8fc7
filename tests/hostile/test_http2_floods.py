"""HTTP/2 used to exhaust: the attacker is cut off or held back, others are served meanwhile, and
what one attacking connection costs is bounded.

Each attack comes at 10,000 units a second, then as fast as it can. `HOSTILE=full` is the length of
the contract (30 s each) and its bound on how long others wait, which is meant for a release build on
a machine that does nothing else; otherwise each takes a few seconds.
"""

import pytest

from house import FULL
from house.attacks import ATTACKS, Attack
from house.bystander import served
from house.gateway import Gateway
from house.upstream import BusyUpstream

SECONDS = 30 if FULL else 2
RATE = 10_000
# What one attacking connection may cost, in KiB.
GROWTH = 64 * 1024
# Others wait at most twice as long as before. Attacker, gateway, upstream and bystander share the cores
# here: below this, in seconds, twice is noise; of a build that isn't optimised, on two cores, the more.
ROOM = 0.030 if FULL else 0.100
# What no request of others but one in a hundred may take.
CEILING = 2 * ROOM if FULL else 3

# These can't be held back without ending the connection.
ENDED = [name for name in ATTACKS if name.startswith(("streams that", "requests that", "a head that"))]


@pytest.fixture(scope="module")
def busy():
    upstream = BusyUpstream()
    with Gateway(upstream.url) as gateway:
        served(gateway, 2)
        yield gateway
    upstream.stop()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attacker_is_bounded_and_others_are_served(busy, note, name):
    before = served(busy, 1)
    busy.forget_peak()
    memory = busy.memory()
    attack = Attack(name, busy, SECONDS, RATE)
    meanwhile = served(busy, SECONDS)
    found = attack.result()
    grown = busy.memory("VmHWM") - memory
    note(f"{name}: before {before}; meanwhile {meanwhile}; +{grown // 1024} MiB; {found}")
    assert found["units"] > 0
    if name in ENDED:
        assert found["goaways"] or found["connections"] > 1, "the connection is ended"
    assert grown < GROWTH, f"+{grown} KiB"
    assert meanwhile.median < 2 * before.median + ROOM
    assert meanwhile.at(99) < max(2 * before.at(99), CEILING)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attacker_without_a_pause_is_bounded_too(busy, note, name):
    busy.forget_peak()
    memory = busy.memory()
    attack = Attack(name, busy, SECONDS)
    meanwhile = served(busy, SECONDS)
    found = attack.result()
    grown = busy.memory("VmHWM") - memory
    note(f"{name}, without a pause: meanwhile {meanwhile}; +{grown // 1024} MiB; {found}")
    assert grown < GROWTH, f"+{grown} KiB"
    assert meanwhile.at(99) < 5
    assert busy.is_alive()
