"""Finds, replays and purges dead letters."""

from collections.abc import Sequence

import msgspec

from rota.common.catalog import Catalog
from rota.common.dead_letters import DeadLetter, DeadLetters
from rota.common.errors import NotFound
from rota.common.intervention import Intervention
from rota.common.link import Link
from rota.common.store import GATED, Store

_REFUSED = {
    GATED: "the store was restarted and opens in a few seconds",
    "lost": "its payload is lost",
    "unknown": "it is a dead letter no longer",
}


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; what is empty does not matter."""

    job_ids: tuple[str, ...] = ()
    group: str = ""
    tenant: str = ""
    job: str = ""  # the job's name within its tenant, or TENANT/JOB
    error: str = ""  # the kind of error, such as Timeout
    died_from_ms: int = 0  # not before
    died_until_ms: int = 0  # not after; 0 for no limit

    @property
    def by_name_only(self) -> bool:
        """Tell whether it names runs, and nothing else."""
        return bool(self.job_ids) and self == Filter(job_ids=self.job_ids)

    def takes(self, letter: DeadLetter) -> bool:
        """Tell whether `letter` is meant."""
        return (
            (not self.job_ids or letter.job_id in self.job_ids)
            and self.tenant in ("", letter.tenant)
            and self.job in ("", letter.job, f"{letter.tenant}/{letter.job}")
            and self.error.lower() in ("", letter.error.kind.lower())
            and self.died_from_ms <= letter.died_ms
            and (not self.died_until_ms or letter.died_ms <= self.died_until_ms)
        )


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a dead letter was not replayed."""

    job_id: str
    reason: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the dead letters that were meant."""

    done: list[str]  # job_ids
    refused: list[Refusal]


async def find(wanted: Filter, link: Link) -> list[DeadLetter]:
    """Return the dead letters that are meant, the latest of each group first.

    Raises `NotFound` if one is named that is none.
    """
    groups = await Catalog(link).groups()
    letters = [
        letter
        for group in groups
        if wanted.group in ("", group)
        for letter in await DeadLetters(link).of(group)
        if wanted.takes(letter)
    ]
    missing = set(wanted.job_ids) - {letter.job_id for letter in letters}
    if missing:
        raise NotFound(f"no dead letter {min(missing)} (`sched dead list` lists them)")
    return letters


async def replay(letters: Sequence[DeadLetter], link: Link) -> Done:
    """Try each again, unless another run of its job is in flight: at most one of a job starts."""
    intervention = Intervention(Store(link))
    done: list[str] = []
    refused: list[Refusal] = []
    for letter in letters:
        word, other = await intervention.replay(letter.group, letter.job_id)
        if word == "queued":
            done.append(letter.job_id)
        else:
            reason = f"{other} is not over" if word == "busy" else _REFUSED[word]
            refused.append(Refusal(job_id=letter.job_id, reason=reason))
    return Done(done=done, refused=refused)


async def purge(letters: Sequence[DeadLetter], link: Link) -> Done:
    """Delete each for good."""
    intervention = Intervention(Store(link))
    done: list[str] = []
    refused: list[Refusal] = []
    for letter in letters:
        if await intervention.purge(letter.group, letter.job_id):
            done.append(letter.job_id)
        else:
            refused.append(Refusal(job_id=letter.job_id, reason=_REFUSED["unknown"]))
    return Done(done=done, refused=refused)


def needs_consent(wanted: Filter, letters: Sequence[DeadLetter]) -> bool:
    """Tell whether somebody must agree first: more than one is meant, or not by name."""
    return bool(letters) and (len(letters) > 1 or not wanted.by_name_only)
