"""The end of the process as an HTTP/2 client sees it: told by GOAWAY, and what is open is finished."""

import signal
import time

import pytest

from house import http2
from house.gateway import Gateway
from house.upstream import BusyUpstream
from hyperframe.frame import DataFrame, GoAwayFrame, WindowUpdateFrame

SIZE = 300_000


@pytest.fixture(scope="module")
def upstream():
    upstream = BusyUpstream(size=SIZE)
    yield upstream
    upstream.stop()


def patient(config):
    config["shutdown"] = {"delay": "0s", "grace": "20s"}


def ends(gateway, seconds):
    """The exit status, which must come in time."""
    return gateway.process.wait(timeout=seconds)


def test_an_idle_connection_is_told_and_closed(upstream):
    with Gateway(upstream.url, edit=patient) as gateway, http2.Connection(gateway) as connection:
        connection.send(http2.headers(1, connection.request()))
        assert connection.outcome().status == 200
        gateway.process.send_signal(signal.SIGTERM)
        begin, goaways = time.monotonic(), []
        while (frame := connection.frame()) is not None:
            if isinstance(frame, GoAwayFrame):
                goaways.append((frame.error_code, frame.last_stream_id))
            elif type(frame).__name__ == "PingFrame":
                connection.send(http2.bare(6, 1, 0, frame.opaque_data))
        assert goaways and all(code == 0 for code, _ in goaways), goaways
        assert ends(gateway, 5) == 0, gateway.logs()
        assert time.monotonic() - begin < 5


def test_streams_that_wait_for_a_window_are_finished_after_the_goaway(upstream):
    with Gateway(upstream.url, edit=patient) as gateway, http2.Connection(gateway, timeout=10) as connection:
        streams = range(1, 20, 2)
        connection.send(*[http2.headers(stream, connection.request()) for stream in streams])
        # As far as the windows go: 65,535 bytes for the whole connection.
        came = dict.fromkeys(streams, 0)
        while sum(came.values()) < 65_535:
            frame = connection.frame()
            if isinstance(frame, DataFrame):
                came[frame.stream_id] += len(frame.data)
        gateway.process.send_signal(signal.SIGTERM)
        while not isinstance(connection.frame(), GoAwayFrame):
            pass
        time.sleep(1)
        assert gateway.is_alive(), "streams are open"
        connection.send(WindowUpdateFrame(0, window_increment=SIZE * 20).serialize())
        connection.send(*[WindowUpdateFrame(s, window_increment=SIZE).serialize() for s in streams])
        ended = set()
        while len(ended) < len(streams):
            frame = connection.frame()
            assert frame is not None, f"cut after {came}"
            if isinstance(frame, DataFrame):
                came[frame.stream_id] += len(frame.data)
                if "END_STREAM" in frame.flags:
                    ended.add(frame.stream_id)
        assert set(came.values()) == {SIZE}
        connection.close()
        assert ends(gateway, 5) == 0, gateway.logs()


def test_a_client_that_reads_slowly_gets_everything(upstream):
    """The answers are out of the proxy's hands and not yet the kernel's: they are finished, too."""
    with Gateway(upstream.url, edit=patient) as gateway:
        connection = http2.Connection(gateway, {4: 2**31 - 1}, timeout=10, receive_buffer=4096)
        streams = range(1, 160, 2)
        connection.send(WindowUpdateFrame(0, window_increment=2**30).serialize())
        connection.send(*[http2.headers(stream, connection.request()) for stream in streams])
        time.sleep(3)  # Nothing is read: 24 MB are more than sockets hold.
        gateway.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        found = connection.outcomes(streams, acknowledge=False)
        lengths = {len(one.body) for one in found.values()}
        connection.close()
        assert lengths == {SIZE}, f"{sum(len(one.body) == SIZE for one in found.values())} of {len(streams)} whole"
        assert ends(gateway, 20) == 0, gateway.logs()
