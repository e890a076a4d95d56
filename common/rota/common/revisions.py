"""The applied configuration in the store: numbered revisions, of which one is the current one.

A revision's content is written in small parts first, where nobody looks for it. One script then
makes it the current one, if the revision that it was made from still is: who comes second is
refused, and what crashes half-way has changed nothing. Its parts are gone after an hour.
"""

import hashlib
import secrets
import zlib
from typing import Any, Final

import msgspec

from rota.common import keys, scripts
from rota.common.errors import Refused, RotaError
from rota.common.link import Link

KEPT: Final = 20  # revisions
_PART = 256 * 1024  # bytes of one part, to keep every command short
_UNUSED_MS = 3_600_000  # how long parts are kept that never became current
_LEVEL = 3  # of compression: most of the gain, at little cost


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a revision beside its content."""

    number: int  # rises by one each time
    token: str  # tells it from another one of the same number, on a store that was emptied
    at_ms: int  # when it was applied, by the store's clock
    by: str  # USER@HOST
    command: str  # what applied it
    digest: str  # of the configuration; two that are alike have the same
    checksum: str  # of the content as it lies in the store
    groups: int  # how many there are
    tenants: int
    jobs: int

    @property
    def name(self) -> str:
        """Return the name by which the store keeps it."""
        return f"{self.number}:{self.token}"


class Unreadable(RotaError):
    """The content of a revision is not what was written, or can't be understood."""


class Moved(Refused):
    """Another revision has become the current one meanwhile."""


_headers = msgspec.msgpack.Decoder(Revision)


class Revisions:
    """Reads and writes the revisions of one store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def current_name(self) -> str:
        """Return the name of the current revision, empty if there is none. A tiny read."""
        name = await self._link.command("HGET", keys.revisions(), "current")
        return name.decode() if name else ""

    async def current(self) -> Revision | None:
        """Return the current revision, None if there is none."""
        name = await self.current_name()
        header = await self._link.command("HGET", keys.revisions(), name) if name else None
        return _headers.decode(header) if header else None

    async def kept(self) -> list[Revision]:
        """Return the revisions that are kept, the newest first."""
        fields = await self._link.command("HGETALL", keys.revisions())
        found = [_headers.decode(v) for name, v in fields.items() if name != b"current"]
        return sorted(found, key=lambda revision: revision.number, reverse=True)

    async def now_ms(self) -> int:
        """Return the time by the clock that revisions are stamped with."""
        return await self._link.now_ms(keys.revisions())

    async def content(self, revision: Revision) -> bytes:
        """Return the content of a revision; raises `Unreadable` if it is not there as written."""
        key = keys.revision(revision.name)
        count = await self._link.command("LLEN", key)
        parts = [await self._link.command("LINDEX", key, i) or b"" for i in range(count)]
        packed = b"".join(parts)
        if _checksum(packed) != revision.checksum:
            raise Unreadable(f"revision {revision.number}: the store has lost its content")
        return zlib.decompress(packed)

    async def make_current(self, content: bytes, before: Revision | None, **told: Any) -> Revision:
        """Make `content` the current revision, the next after `before`, and return it.

        `told` are the fields of `Revision` that the caller knows. Raises `Moved` if `before` is no
        longer the current one.
        """
        packed = zlib.compress(content, _LEVEL)
        revision = Revision(
            number=before.number + 1 if before else 1,
            token=secrets.token_hex(4),
            checksum=_checksum(packed),
            **told,
        )
        await self._write(revision, packed, before)
        return revision

    async def restore(self, revision: Revision, content: bytes, found: Revision | None) -> Revision:
        """Give `revision` back to a store that has lost it and has `found` instead.

        It keeps its number and its time, and is returned. Raises `Moved` if somebody was first.
        """
        packed = zlib.compress(content, _LEVEL)
        # Under a name of its own: others may be writing the same.
        restored = msgspec.structs.replace(
            revision, token=secrets.token_hex(4), checksum=_checksum(packed)
        )
        await self._write(restored, packed, found)
        return restored

    async def _write(self, revision: Revision, packed: bytes, before: Revision | None) -> None:
        key = keys.revision(revision.name)
        parts = [packed[i : i + _PART] for i in range(0, len(packed), _PART)]
        for part in parts:
            commands = [("RPUSH", key, part), ("PEXPIRE", key, _UNUSED_MS)]
            await self._link.pipeline(commands)
        word = await self._link.command(
            *("EVAL", scripts.plain(scripts.SWITCH), 1, keys.revisions()),
            *(before.name if before else "", revision.name),
            *(msgspec.msgpack.encode(revision), KEPT),
            key=keys.revisions(),
        )
        if word != b"current":
            raise Moved(await self._refusal(before))

    async def _refusal(self, before: Revision | None) -> str:
        made = f"revision {before.number}" if before else "no revision"
        other = await self.current()
        if other is None:
            return f"not applied: made from {made}, and the store has lost it; plan again"
        return (
            f"not applied: made from {made}, and revision {other.number} was applied meanwhile"
            f" by {other.by} ({other.command}); plan again"
        )


def _checksum(packed: bytes) -> str:
    return hashlib.sha256(packed).hexdigest()[:32]
