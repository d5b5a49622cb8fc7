"""What several test files share."""

import pytest

from house.gateway import Emulator, Gateway
from house.upstream import Upstream


@pytest.fixture(scope="session")
def emulator():
    """The local PingOne."""
    emulator = Emulator()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def recording(emulator):
    """A gateway over TLS with a recording upstream: `(gateway, upstream)`."""
    upstream = Upstream()
    with Gateway(upstream.url, issuer=emulator.issuer) as gateway:
        yield gateway, upstream
    upstream.stop()
