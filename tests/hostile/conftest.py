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


NOTES = []


@pytest.fixture
def note():
    """Keeps a line of figures for the end of the run."""
    return NOTES.append


def pytest_terminal_summary(terminalreporter):
    """Says what was measured, whether it passed or not."""
    if NOTES:
        terminalreporter.section("measured")
        for line in NOTES:
            terminalreporter.write_line(line)
