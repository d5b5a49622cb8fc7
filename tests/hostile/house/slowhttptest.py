"""`slowhttptest`, and what its statistics say: how many connections it had and which of them were
closed when."""

import csv
import subprocess
from pathlib import Path


class Statistics:
    """Connections second by second, as the tool wrote them."""

    def __init__(self, file, said):
        rows = [row for row in csv.reader(file.read_text().splitlines()) if row]
        head = [name.strip().lower() for name in rows[0]]
        self.seconds = [dict(zip(head, map(int, row))) for row in rows[1:] if row[0].strip().isdigit()]
        self.said = said

    def connected(self):
        """How many were open at most at once."""
        return max(second["connected"] for second in self.seconds)

    def none_is_left(self):
        """Whether it ended because everything had been closed, before its time was over."""
        return "No open connections left" in self.said

    def ended(self):
        """The second at which it ended."""
        return self.seconds[-1]["seconds"]

    def says_that_the_service_was_down(self):
        """Whether its own probe found nobody there."""
        return any(second["service available"] == 0 for second in self.seconds)

    def __str__(self):
        left = "none left" if self.none_is_left() else f"{self.seconds[-1]['connected']} left"
        return f"{self.connected()} at once, {left} after {self.ended()} s"


def slowhttptest(folder, url, connections, seconds, *options):
    """Runs it to its end."""
    prefix = Path(folder) / "slow"
    command = [
        "slowhttptest", "-c", str(connections), "-r", str(connections), "-l", str(seconds),
        "-p", "5", "-u", url, "-g", "-o", str(prefix), *map(str, options),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    file = prefix.with_suffix(".csv")
    assert file.exists(), ran.stdout + ran.stderr
    return Statistics(file, ran.stdout + ran.stderr)
