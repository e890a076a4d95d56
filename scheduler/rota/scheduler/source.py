"""The file or directory that a scheduler's configuration is read from, and when that changes."""

import os
from pathlib import Path

from rota.scheduler import config as configs
from rota.scheduler.config import Config

Mark = tuple[tuple[str, int, int, int], ...]  # name, time of change, size and inode of each file


class Source:
    """Where to read the configuration; `watch` tells whether to read it again when it changes."""

    def __init__(self, path: Path, *, watch: bool = False) -> None:
        self.path = path
        self.watch = watch
        self.read: Mark | None = None  # how the files were when they were read last

    def load(self) -> Config:
        """Return the configuration as it is now; raises `InvalidConfig`."""
        self.read = self.mark()  # before: what changes while we read is read again
        return configs.load(self.path)

    def mark(self) -> Mark:
        """Return what differs when a file has been written, added or removed."""
        if not self.path.is_dir():
            return tuple(_mark(self.path))
        marks: list[tuple[str, int, int, int]] = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if not name.startswith("."):
                    marks += _mark(Path(folder, name))
        return tuple(sorted(marks))


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return ()
    return ((str(path), found.st_mtime_ns, found.st_size, found.st_ino),)
