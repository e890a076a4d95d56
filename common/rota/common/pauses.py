"""What operators have paused, in the store beside the revisions: no configuration changes it.

One hash for all groups, in the slot of the revisions. Schedulers look at its version once a
second, and nobody asks it for a run. A pause that was ended is kept for 30 days, so that
what fell due in it is told as paused by whoever accounts for it later.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from rota.common import keys, scripts
from rota.common.errors import Refused
from rota.common.link import Link
from rota.common.retention import USUAL

_VERSION = ":version"  # no tenant can have this name
_KEPT_MS = USUAL.ms
_MOST = 20  # pauses that are kept of one tenant or job
_TRIES = 10  # against others who change something at the same moment


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """One pause of a tenant or of a job."""

    by: str  # USER@HOST
    why: str = ""  # in the operator's words
    since_ms: int  # by the store's clock, as `until_ms`
    until_ms: int = 0  # when it was ended; 0 while it lasts

    @property
    def text(self) -> str:
        """Return by whom, and why."""
        return f"by {self.by}{f': {self.why}' if self.why else ''}"


class PauseSet(NamedTuple):
    """All pauses."""

    version: int = 0  # rises with each change; 0: there never was one
    of: Mapping[str, tuple[Pause, ...]] = {}  # by TENANT or TENANT/JOB, the first one first

    def lasting(self, name: str) -> Pause | None:
        """Return the pause of TENANT or TENANT/JOB that lasts, by its own name."""
        last = self.of.get(name, ())[-1:]
        return last[0] if last and not last[0].until_ms else None

    def over(self, ref: str) -> tuple[str, Pause] | None:
        """Return what keeps TENANT/JOB paused: the name that was paused, and the pause."""
        for name in (ref.partition("/")[0], ref):
            if pause := self.lasting(name):
                return name, pause
        return None

    def resumed_ms(self, ref: str) -> int:
        """Return when TENANT/JOB was resumed last; 0 if it never was."""
        pauses = (*self.of.get(ref.partition("/")[0], ()), *self.of.get(ref, ()))
        return max((pause.until_ms for pause in pauses), default=0)

    @property
    def all_lasting(self) -> dict[str, Pause]:
        """Return what is paused, by name."""
        found = ((name, self.lasting(name)) for name in sorted(self.of))
        return {name: pause for name, pause in found if pause}


_pauses = msgspec.msgpack.Decoder(tuple[Pause, ...])


class Pauses:
    """Reads and changes the pauses of one store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def version(self) -> int:
        """Return the version of what is paused. A tiny read."""
        return int(await self._link.command("HGET", keys.pauses(), _VERSION) or 0)

    async def read(self) -> PauseSet:
        """Return all pauses."""
        fields = await self._link.command("HGETALL", keys.pauses())
        version = int(fields.pop(_VERSION.encode(), 0))
        return PauseSet(version, {name.decode(): _pauses.decode(v) for name, v in fields.items()})

    async def pause(self, name: str, *, by: str, why: str) -> tuple[Pause, bool]:
        """Pause TENANT or TENANT/JOB; return its pause, and whether that is new."""
        for _ in range(_TRIES):
            known, now_ms = await self.read(), await self._link.now_ms(keys.pauses())
            if lasting := known.lasting(name):
                return lasting, False
            pause = Pause(by=by, why=why, since_ms=now_ms)
            if await self._change(known, name, (*known.of.get(name, ()), pause), now_ms):
                return pause, True
        raise Refused("not paused: others pause and resume all the time")

    async def resume(self, name: str) -> Pause | None:
        """End the pause of TENANT or TENANT/JOB; return it, None if there is none."""
        for _ in range(_TRIES):
            known, now_ms = await self.read(), await self._link.now_ms(keys.pauses())
            lasting = known.lasting(name)
            if lasting is None:
                return None
            ended = msgspec.structs.replace(lasting, until_ms=max(now_ms, lasting.since_ms + 1))
            if await self._change(known, name, (*known.of[name][:-1], ended), now_ms):
                return ended
        raise Refused("not resumed: others pause and resume all the time")

    async def restore(self, ours: PauseSet) -> None:
        """Give `ours` back to a store that has lost it; nothing if that has a later version."""
        found = await self.read()
        if found.version < ours.version:
            changes = dict.fromkeys(found.of, b"") | _encoded(ours.of)
            await self._send(found.version, ours.version, changes)

    async def _change(
        self, known: PauseSet, name: str, pauses: tuple[Pause, ...], now_ms: int
    ) -> bool:
        """Let `name` have these pauses, and forget what is too old; tell whether that was done."""
        wanted = dict(known.of) | {name: pauses[-_MOST:]}
        recent = {each: _recent(pauses, now_ms) for each, pauses in wanted.items()}
        changed = {each: left for each, left in recent.items() if left != known.of.get(each)}
        version = max(now_ms, known.version + 1)
        return await self._send(known.version, version, _encoded(changed))

    async def _send(self, before: int, version: int, changes: Mapping[str, bytes]) -> bool:
        values = [value for pair in changes.items() for value in pair]
        word = await self._link.command(
            *("EVAL", scripts.plain(scripts.PAUSE), 1, keys.pauses(), before, version, *values),
            key=keys.pauses(),
        )
        return bool(word == b"changed")


def _recent(pauses: tuple[Pause, ...], now_ms: int) -> tuple[Pause, ...]:
    return tuple(p for p in pauses if not p.until_ms or p.until_ms > now_ms - _KEPT_MS)


def _encoded(pauses: Mapping[str, tuple[Pause, ...]]) -> dict[str, bytes]:
    return {name: msgspec.msgpack.encode(each) if each else b"" for name, each in pauses.items()}
