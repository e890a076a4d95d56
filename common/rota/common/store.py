"""The store's transitions and reads as typed methods; the scripts' words become values here."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import getrandbits
from typing import Any, NamedTuple, cast

import msgspec

from rota.common import exchange, keys, message
from rota.common.epochs import Epochs
from rota.common.errors import StoreUnavailable
from rota.common.link import LONGEST_BLOCK, Call, Link
from rota.common.message import Completion
from rota.common.run import Adoption, Claim, Claimed, Ended, Lead, Occurrence, Rescued, Resting
from rota.common.scripts import LEAD
from rota.common.state import Operation

GATED = "gated"  # the word for a group whose gate is open: nothing was done
LEASE_MS = 15_000  # a worker that is silent for so long has lost its runs
_SWEEP_LIMIT = 500  # the most runs that one script moves, to keep every script short


class Answer(NamedTuple):
    """What a script answered, behind the epoch."""

    wait_ms: int  # until the group's gate closes; 0 if it is closed
    values: list[Any]

    def words(self) -> list[str]:
        """Return the values as text."""
        return [value.decode() for value in self.values]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the values as pairs of words."""
        words = self.words()
        return list(zip(words[::2], words[1::2], strict=True))


class Store:
    """One store, as scheduler, workers and commands see it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.epochs = Epochs()
        self._requests: dict[str, int] = {}  # number of the next claim in each group

    async def ask(self, calls: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Answer]:
        """Run scripts on groups in one round trip, each with the epoch that we know."""
        answers = await self.attempt(calls)
        for answer in answers:
            if isinstance(answer, StoreUnavailable):
                raise answer
        return cast("list[Answer]", answers)

    async def attempt(
        self, calls: Sequence[tuple[str, str, Sequence[Any]]], *, apart: bool = False
    ) -> list[Answer | StoreUnavailable]:
        """Ask as `ask` does; where a group's server is away, the answer is the error.

        Raises `StoreUnavailable` if no server answers. `apart`: see `Link.attempt`.
        """
        replies = await self.link.attempt(
            [
                Call(operation, keys.root(group), (self.epochs.known(group), *args))
                for operation, group, args in calls
            ],
            apart=apart,
        )
        answers: list[Answer | StoreUnavailable] = []
        for (_, group, _), reply in zip(calls, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                answers.append(reply)
            else:
                self.epochs.note(group, reply[0], reply[1])
                answers.append(Answer(reply[1], reply[2:]))
        return answers

    async def enqueue(
        self,
        runs: Mapping[str, Sequence[Occurrence]],
        terms: Mapping[str, int] | None = None,
        *,
        apart: bool = False,
    ) -> dict[str, list[tuple[str, str]]]:
        """Enqueue runs, by group; return for each the word and job_id that `enqueue.lua` documents.

        All groups travel in one round trip. A group is missing whose server is away while others
        are not: send it again. So do for the word `gated`: the group's gate is open and nothing was
        done. `terms` tells the term in which the caller leads each group; the word `deposed` means
        that another leads it now. Without, nobody needs to lead. `apart`: see `Link.attempt`.
        Raises `StoreUnavailable` if no server answers.
        """
        terms = terms or {}
        calls = [
            (Operation.ENQUEUE, group, [terms.get(group, 0), *(v for run in batch for v in run)])
            for group, batch in runs.items()
        ]
        answers = await self.attempt(calls, apart=apart)
        return {
            group: [(GATED, "")] * len(runs[group]) if answer.wait_ms else answer.pairs()
            for group, answer in zip(runs, answers, strict=True)
            if isinstance(answer, Answer)
        }

    async def exchange(
        self,
        worker: str,
        ended: Iterable[Ended],
        resting: Iterable[Resting],
        wanted: Mapping[str, int],
        *,
        lease_ms: int = LEASE_MS,
        request: int | None = None,
        apart: bool = False,
    ) -> tuple[dict[str, str], dict[str, Claim]]:
        """Report what ended and claim what is wanted, all in one round trip.

        `wanted` tells how many runs to claim from each group. A claim whose answer did not come is
        asked for again under the same `request` number, and answered with the same runs. Returns
        the word for each reported job_id, and the claim of each group; without those of groups
        whose server is away while others are not. `apart`: see `Link.attempt`. Raises
        `StoreUnavailable` if no server answers.
        """
        claims = {
            group: (worker, n, lease_ms, request or self._request(group))
            for group, n in wanted.items()
        }
        parts = exchange.parts(ended, resting, claims)
        # What one server has claimed for us must not be dropped because another one is away.
        answers = await self.attempt([part[:3] for part in parts], apart=apart)
        words: dict[str, str] = {}
        claimed: dict[str, Claim] = {}
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, Answer):
                behind = len(part.job_ids)
                told = (word.decode() for word in answer.values[:behind])
                words.update(zip(part.job_ids, told, strict=True))
                if part.claims:
                    wait_s, values = answer.wait_ms / 1000, answer.values[behind:]
                    claimed[part.group] = exchange.claim(part.group, wait_s, values)
        for group in (g for g, c in claimed.items() if wanted[g] and c.registered and not c.wait_s):
            self._requests[group] = self._request(group) + 1
        return words, claimed

    def _request(self, group: str) -> int:
        """Return the number of our next claim in `group`.

        From anywhere on: the claims of a process before us that had our name are not ours.
        """
        return self._requests.setdefault(group, getrandbits(48))

    async def renew(
        self,
        runs: Iterable[Claimed],
        lease_ms: int = LEASE_MS,
        cancel: Callable[[Claimed], None] | None = None,
    ) -> tuple[list[Claimed], list[Claimed]]:
        """Lengthen leases; return the runs that are lost, and to adopt; `cancel` those to end."""
        grouped = _by_group(runs)
        fences = {g: [value for run in held for value in run[1:3]] for g, held in grouped.items()}
        answers = await self.ask(
            [(Operation.RENEW, group, (lease_ms, *values)) for group, values in fences.items()]
        )
        words = [
            (run, word)
            for held, answer in zip(grouped.values(), answers, strict=True)
            for run, word in zip(held, answer.words(), strict=True)
        ]
        for run, word in words:
            if cancel and word == "cancel":
                cancel(run)
        lost = [run for run, word in words if word == "lost"]
        return lost, [run for run, word in words if word == "unknown"]

    async def adopt(
        self, worker: str, group: str, runs: Sequence[Adoption], lease_ms: int = LEASE_MS
    ) -> list[Claimed]:
        """Bring back claims that the store has lost; return those that can't be."""
        args: list[Any] = [worker, lease_ms]
        for run, tenant, job, handler, attempts in runs:
            args += (run.job_id, run.fence, tenant, job, handler, run.due_ms, run.attempt)
            args += (attempts, run.body)
        answer = (await self.ask([(Operation.ADOPT, group, args)]))[0]
        return [each.run for each, word in zip(runs, answer.words(), strict=True) if word == "lost"]

    async def lead(
        self, group: str, scheduler: str, ttl_ms: int, *, wanted: bool, led_last: bool = False
    ) -> Lead:
        """Lead `group` for `ttl_ms`, or go on to; if not `wanted`, only hear who does.

        While the gate is open only who led last can come to lead.
        """
        wish = (2 if led_last else 1) if wanted else 0
        answer = (await self.ask([(LEAD, group, (scheduler, ttl_ms, wish))]))[0]
        term, leader, schedulers = answer.values
        return Lead(term, leader.decode(), schedulers, answer.wait_ms / 1000)

    async def resign(self, group: str, scheduler: str) -> None:
        """Lead `group` no more; harmless if somebody else does."""
        await self.ask([(LEAD, group, (scheduler, 0, 0))])

    async def release(self, runs: Iterable[Claimed], rest_ms: int = 0) -> None:
        """Give runs back, uncounted; nobody claims them for `rest_ms`."""
        await self.ask(
            [
                (
                    Operation.RELEASE,
                    group,
                    [value for run in held for value in (run.job_id, run.fence, rest_ms)],
                )
                for group, held in _by_group(runs).items()
            ]
        )

    async def sweep(self, group: str) -> tuple[list[Rescued], float]:
        """Promote rested runs and rescue abandoned ones; return those, and seconds to the next."""
        promoted, rescued = await self.ask(
            [
                (Operation.PROMOTE, group, (_SWEEP_LIMIT,)),
                (Operation.RESCUE, group, (_SWEEP_LIMIT,)),
            ]
        )
        waits = [wait for wait in (promoted.values[1], rescued.values[0]) if wait >= 0]
        fields = rescued.values[1:]
        taken = [
            Rescued(i.decode(), w.decode(), int(a), s.decode())
            for i, w, a, s in zip(*(fields[k::4] for k in range(4)), strict=True)
        ]
        return taken, min(waits) / 1000 if waits else 60.0

    async def listen(self, group: str, worker: str) -> bool:
        """Block until there may be something to claim, at most 2 s; tell whether a token came."""
        reply = await self.link.block(
            "BLPOP", keys.wake_worker(group, worker), keys.wake(group), LONGEST_BLOCK
        )
        return reply is not None

    async def ring(self, group: str) -> None:
        """Wake one idle worker of the group."""
        await self.link.command("RPUSH", keys.wake(group), "1")

    async def completions(self, group: str, after: str) -> tuple[str, list[tuple[Completion, int]]]:
        """Block for completions behind stream id `after`, at most 2 s.

        Returns the id to go on from, and each completion with the store's time in ms.
        """
        block = int(LONGEST_BLOCK * 1000)
        reply = await self.link.block(
            *("XREAD", "COUNT", 1000, "BLOCK", block, "STREAMS", keys.done(group), after),
            key=keys.done(group),
        )
        if not reply:
            return after, []
        entries = reply[keys.done(group).encode()] if isinstance(reply, dict) else reply[0][1]
        return entries[-1][0].decode(), [_completion(fields) for _, fields in entries]

    async def last_completion(self, group: str) -> str:
        """Return the id of the stream's last entry, to listen from."""
        entries = await self.link.command("XREVRANGE", keys.done(group), "+", "-", "COUNT", 1)
        return entries[0][0].decode() if entries else "0-0"

    async def ping(self) -> None:
        """Return if the store answers; raises `StoreUnavailable` if it does not."""
        await self.link.command("PING")


def _by_group(runs: Iterable[Claimed]) -> dict[str, list[Claimed]]:
    grouped: dict[str, list[Claimed]] = {}
    for run in runs:
        grouped.setdefault(run.group, []).append(run)
    return grouped


def _completion(fields: dict[bytes, bytes]) -> tuple[Completion, int]:
    told, at_ms = message.decode_completion(fields[b"completion"]), int(fields[b"at"])
    if b"first" in fields and told.outcome != "retrying":
        told = msgspec.structs.replace(told, run_ms=max(0, at_ms - int(fields[b"first"])))
    return told, at_ms
