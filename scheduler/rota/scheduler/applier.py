"""Applies configurations: makes them the store's current revision, if they say something new."""

import getpass
import os
import socket
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common.errors import Refused
from rota.common.link import Link
from rota.common.revisions import Moved, Revision, Revisions, Unreadable
from rota.scheduler import applied as contents
from rota.scheduler.applied import Applied
from rota.scheduler.config import Config

_TRIES = 10  # against others who apply at the same moment


class Standing(NamedTuple):
    """A revision and what it holds."""

    revision: Revision
    applied: Applied


class Applier:
    """Reads what is applied to a store, and applies what somebody gave to `command`."""

    def __init__(self, link: Link, *, command: str) -> None:
        self._command = command
        self.revisions = Revisions(link)

    async def current(self) -> Standing | None:
        """Return the current revision; None if there is none. Raises `Unreadable`."""
        revision = await self.revisions.current()
        return None if revision is None else await self.read(revision)

    async def read(self, revision: Revision) -> Standing:
        """Return what a revision holds. Raises `Unreadable`."""
        return Standing(revision, contents.decode(await self.revisions.content(revision)))

    async def readable(self, revision: Revision, log: FilteringBoundLogger) -> Standing | None:
        """Return what a revision holds; None, and an error in the log, if it can't be read."""
        try:
            return await self.read(revision)
        except Unreadable as error:
            reason = str(error)
        log.error("revision_unreadable", revision=revision.number, error=reason)
        return None

    async def apply(self, config: Config, before: Standing | Revision | None) -> Revision:
        """Make `config` the revision after `before`, unless that says the same; return which it is.

        A `Revision` alone is one whose content can't be read. Raises `Moved` if `before` is no
        longer the current one.
        """
        known = before.revision if isinstance(before, Standing) else before
        digest = contents.digest(config)
        now_ms = await self.revisions.now_ms()
        if known is not None:
            # A clock that was set back must not make what is applied older than what was.
            now_ms = max(now_ms, known.at_ms + 1)
        if isinstance(before, Standing):
            if before.revision.digest == digest:
                return before.revision
            new = before.applied.followed_by(config, now_ms)
        else:
            new = contents.first(config, now_ms)
        return await self.revisions.make_current(
            contents.encode(new),
            known,
            at_ms=now_ms,
            by=user(),
            command=self._command,
            digest=digest,
            groups=len(config.groups),
            tenants=len(config.tenants),
            jobs=len(config.jobs),
        )

    async def ensure(self, config: Config, log: FilteringBoundLogger) -> Revision:
        """Make `config` current whatever was so before, unless that says the same."""
        for _ in range(_TRIES):
            known = await self.revisions.current()
            if known is not None and known.digest == contents.digest(config):
                return known
            before = await self.readable(known, log) if known else None
            try:
                made = await self.apply(config, before or known)
            except Moved:
                continue  # by another one that starts with us, most likely with the same
            log.info("config_applied", revision=made.number, jobs=made.jobs, by=made.by)
            return made
        raise Refused("not applied: others apply other configurations all the time")


def user() -> str:
    """Return who we are, as USER@HOST."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user that has no name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
