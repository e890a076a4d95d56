"""What people, and schedulers for them, do to single runs: cancel, replay, purge."""

from collections.abc import Sequence

from rota.common import keys
from rota.common.link import LONGEST_BLOCK
from rota.common.state import Operation
from rota.common.store import GATED, Answer, Store


class Intervention:
    """The transitions that somebody asks for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def cancel(
        self, runs: Sequence[tuple[str, str]], *, apart: bool = False
    ) -> dict[str, str]:
        """Cancel runs, given as group and job_id; return for each `gated`, or `cancel.lua`'s word.

        A job_id is missing whose server is away while others are not. `apart`: see `Link.attempt`.
        Raises `StoreUnavailable` if no server answers.
        """
        calls = [(Operation.CANCEL, group, (run,)) for group, run in runs]
        answers = await self._store.attempt(calls, apart=apart)
        return {
            run: GATED if answer.wait_ms else answer.words()[0]
            for (_, run), answer in zip(runs, answers, strict=True)
            if isinstance(answer, Answer)
        }

    async def replay(self, group: str, job_id: str) -> tuple[str, str]:
        """Try a dead letter again; return `gated`, or the word of `replay.lua`, and a job_id."""
        answer = await self._ask(Operation.REPLAY, group, job_id)
        if answer.wait_ms:
            return GATED, job_id
        word, *other = answer.words()
        return word, other[0] if other else job_id

    async def purge(self, group: str, job_id: str) -> bool:
        """Delete a dead letter for good; tell whether it was one."""
        return (await self._ask(Operation.PURGE, group, job_id)).words() == ["purged"]

    async def listen(self, group: str, worker: str) -> tuple[str, int] | None:
        """Block until `worker` is to cancel a run, at most 2 s; return its job_id and fence."""
        control = keys.control(group, worker)
        reply = await self._store.link.block("BLPOP", control, LONGEST_BLOCK)
        if not reply:
            return None
        fence, _, job_id = reply[1].decode().partition(" ")
        return job_id, int(fence)

    async def _ask(self, operation: Operation, group: str, job_id: str) -> Answer:
        return (await self._store.ask([(operation, group, (job_id,))]))[0]
