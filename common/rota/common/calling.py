"""The store's part in calls: it takes them, tells how they ended, and keeps replies in inboxes."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from rota.common import keys, message
from rota.common.errors import StoreUnavailable
from rota.common.job import Priority
from rota.common.link import LONGEST_BLOCK
from rota.common.message import Completion, Failure
from rota.common.scripts import ATTEND, FORGO
from rota.common.state import Operation
from rota.common.store import GATED, Answer, Store

MOST = 250  # calls that one script takes, to keep every script short
_READ = 3 * 500  # elements of an inbox that one read takes: three are a reply
_T = TypeVar("_T")


class CallRun(NamedTuple):
    """A call to place."""

    job_id: str
    tenant: str
    job: str  # `names.call_job` of the handler
    handler: str
    attempts: int
    keep_ms: int  # how long the reply is kept for somebody who asks for it
    body: bytes  # msgpack of `JobRequest`
    priority: Priority = "normal"
    timeout_ms: int = 0  # within which it must have begun; 0 is no limit
    inbox: str = ""  # of the client that waits for the reply, if any does


class Reply(NamedTuple):
    """How a call ended."""

    job_id: str
    completion: Completion
    result: bytes  # msgpack, or empty


class Attended(NamedTuple):
    """What the store knows of calls that somebody waits for."""

    replies: list[Reply]
    waiting: list[str]  # job_ids of those in flight
    unknown: list[str]  # of those that it has lost, or forgotten


class Calling:
    """Calls in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def place(self, group: str, calls: Sequence[CallRun]) -> list[str]:
        """Place calls in one round trip; return for each the word that `call.lua` documents.

        `gated`, too, for all in a script if the group's gate is open: nothing was done. Empty if
        the outcome is unknown. Sent again they change nothing. Raises `StoreUnavailable` if no
        server answers.
        """
        batches = _chunks(calls)
        answers = await self._store.attempt(
            [(Operation.CALL, group, [v for call in batch for v in call]) for batch in batches]
        )
        words: list[str] = []
        for batch, answer in zip(batches, answers, strict=True):
            words += _words(answer) or [GATED if isinstance(answer, Answer) else ""] * len(batch)
        return words

    async def attend(
        self, group: str, inbox: str, job_ids: Sequence[str], keep_ms: int
    ) -> Attended:
        """Let the replies to these calls go to `inbox`; return those that are there already.

        They are kept for `keep_ms` at least. While the group's gate is open none is unknown. Raises
        `StoreUnavailable` if a server is away.
        """
        found = Attended([], [], [])
        batches = _chunks(job_ids)
        answers = await self._store.ask(
            [(ATTEND, group, (inbox, keep_ms, *batch)) for batch in batches]
        )
        for batch, answer in zip(batches, answers, strict=True):
            columns = (answer.values[k::3] for k in range(3))
            for job_id, word, completion, result in zip(batch, *columns, strict=True):
                if word == b"over":
                    found.replies.append(_reply(job_id, completion, result))
                else:
                    lost = word == b"unknown" and not answer.wait_ms
                    (found.unknown if lost else found.waiting).append(job_id)
        return found

    async def forgo(self, group: str, inbox: str, job_ids: Sequence[str]) -> None:
        """Let calls end whose replies go to `inbox`, where nobody wants them; others go on."""
        await self._store.ask([(FORGO, group, (inbox, *batch)) for batch in _chunks(job_ids)])

    async def replies(self, group: str, inbox: str) -> tuple[list[Reply], list[str]]:
        """Block for replies in `inbox`, at most 2 s; return them, and job_ids to `attend` to.

        What was taken from the inbox and did not arrive, as the connection broke, is still told by
        `attend`.
        """
        key = keys.inbox(group, inbox)
        reply = await self._store.link.block(
            "BLMPOP", LONGEST_BLOCK, 1, key, "LEFT", "COUNT", _READ, key=key
        )
        values = reply[1] if reply else []
        told, untold = [], []
        for job_id, completion, result in zip(*(values[k::3] for k in range(3)), strict=True):
            if completion:
                told.append(_reply(job_id.decode(), completion, result))
            else:
                untold.append(job_id.decode())
        return told, untold


def _reply(job_id: str, completion: bytes, result: bytes) -> Reply:
    """Return a reply; one that can't be read is a failure, which keeps nobody else waiting."""
    try:
        told = message.decode_completion(completion)
    except (ValueError, RecursionError) as error:
        unread = Failure(kind="BadReply", message=str(error))
        tenant, _, rest = job_id.partition("/")
        told = Completion(
            job_id=job_id,
            tenant=tenant,
            job=rest.partition(":")[0],
            outcome="dead",
            attempt=0,
            worker="",
            error=unread,
        )
    return Reply(job_id, told, result)


def _words(answer: Answer | StoreUnavailable) -> list[str]:
    return answer.words() if isinstance(answer, Answer) and not answer.wait_ms else []


def _chunks(items: Sequence[_T]) -> list[Sequence[_T]]:
    return [items[start : start + MOST] for start in range(0, len(items), MOST)]
