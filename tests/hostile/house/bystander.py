"""Somebody who does nothing wrong and wants to be served, and how long that takes."""

import statistics
import time

from .person import connected


class Times:
    """Latencies in seconds."""

    def __init__(self, seconds):
        self.all = sorted(seconds)

    def __str__(self):
        return f"p50 {self.median * 1000:.1f} ms, p99 {self.at(99) * 1000:.1f} ms, {len(self.all)} requests"

    @property
    def median(self):
        """The median."""
        return statistics.median(self.all)

    def at(self, percent):
        """A percentile."""
        return self.all[min(len(self.all) - 1, len(self.all) * percent // 100)]


def served(gateway, seconds, path="/public/bystander", pause=0.004):
    """Asks again and again for this long; every answer must be right."""
    end, times, connection = time.monotonic() + seconds, [], connected(gateway)
    while time.monotonic() < end:
        begin = time.monotonic()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        times.append(time.monotonic() - begin)
        assert response.status == 200, response.status
        if response.getheader("connection", "") == "close":
            connection = connected(gateway)
        time.sleep(pause)
    connection.close()
    assert times
    return Times(times)


def served_anew(gateway, seconds, path="/public/bystander", pause=0.05):
    """The same with a new connection for each request."""
    end, times = time.monotonic() + seconds, []
    while time.monotonic() < end:
        begin = time.monotonic()
        connection = connected(gateway)
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        connection.close()
        times.append(time.monotonic() - begin)
        assert response.status == 200, response.status
        time.sleep(pause)
    return Times(times)


