"""A cap on what a process may use, where the machine lets us set one."""

import itertools
import os
from pathlib import Path

NUMBERS = itertools.count()
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class Cgroup:
    """A group of processes with a limit of memory, swap included where that is counted."""

    def __init__(self, folder, limit_file, limit):
        self._folder = folder
        folder.mkdir()
        (folder / limit_file).write_text(str(limit))

    def add(self, pid):
        """Moves a process into it."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self):
        """Removes it; its processes have ended."""
        self._folder.rmdir()


def cgroup_of(limit):
    """A group with this limit in bytes; none where groups can't be made."""
    name = f"vestibule-hostile-{os.getpid()}-{next(NUMBERS)}"
    for folder, limit_file in ((V1 / name, "memory.limit_in_bytes"), (V2 / name, "memory.max")):
        if not (folder.parent / "cgroup.procs").exists():
            continue
        try:
            return Cgroup(folder, limit_file, limit)
        except OSError:
            if folder.exists():
                folder.rmdir()
    return None
