"""A PostgreSQL of its own for tests: on a free port, in a folder that goes with it."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rota.common.embedded import die_with_parent, free_port
from tests.support import waits

_DEBIAN = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")  # who it runs as if we are root, which it refuses to be
_START_SECONDS = 30.0

Process = subprocess.Popen[bytes]


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, the newest there is; None if there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    return max(folders, key=lambda path: int(path.parent.name), default=None)


class Postgres:
    """A server that anybody on this machine may use; its commits wait for the disk, as usual."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None, "there is no PostgreSQL here"
        self._programs = found
        self._port = free_port()
        self._folder = Path()
        self._user = _unprivileged()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Return the address of its database."""
        return f"postgresql://billing@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="rota-postgres-"))
        try:
            self._start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def _start(self) -> None:
        if self._user is not None:
            os.chown(self._folder, *self._user)
        data, log = self._folder / "data", self._folder / "log"
        init = ("-D", data, "-U", "billing", "--auth", "trust", "--no-sync", "-E", "UTF8")
        with log.open("wb") as said:
            code = self._popen("initdb", *init, "--locale", "C", said=said).wait(_START_SECONDS)
            assert code == 0, log.read_text()
            listen = ("-p", self._port, "-h", "127.0.0.1", "-k", "")
            self._process = self._popen("postgres", "-D", data, *listen, said=said)
        waits.until(self._ready, _START_SECONDS)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        return b"ready to accept connections" in (self._folder / "log").read_bytes()

    def _popen(self, program: str, *words: str | Path | int, said: IO[bytes]) -> Process:
        user, group = self._user or (None, None)
        return subprocess.Popen(
            [self._programs / program, *map(str, words)],
            cwd=self._folder,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - as the store is started
        )

    def _remove(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # at once: nobody will read its files again
            self._process.wait(_START_SECONDS)
        shutil.rmtree(self._folder)


def _unprivileged() -> tuple[int, int] | None:
    """Return whom to run as, user and group; None if we are not root."""
    if os.getuid() != 0:
        return None
    known = {each.pw_name: each for each in pwd.getpwall()}
    found = next(known[name] for name in _UNPRIVILEGED if name in known)
    return found.pw_uid, found.pw_gid
