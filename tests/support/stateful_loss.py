"""A random walk on a store that loses writes, and whose workers bring back what it has lost."""

from copy import deepcopy

from rota.common.run import Adoption, Claimed
from rota.common.state import TRANSITIONS
from rota.common.store import Store
from tests.support import backup, builders
from tests.support.builders import GROUP
from tests.support.model import GRID_MS, LEASE_MS, Model, Move, ref_of
from tests.support.stateful import HANDLERS, OF_CALLS, OF_FANS, Stateful, Step

_DISASTER = 0.002  # how likely it is that a step loses everything


class StatefulLoss(Stateful):
    """A walk in which a loss takes the model of the store back, and not what workers know."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.reported: list[Claimed] = []
        self.diligent = [*[self.adopt] * 4, self.report_again, self.let_time_pass]
        self.saved: tuple[backup.Backup, Model] | None = None
        self.steps *= 2
        self.steps += [self.change_server, *[self.lose_writes] * 4, self.come_anew]
        self.steps += [*[self.remember] * 4, *[self.adopt] * 4, self.report_again]

    def choose(self) -> Step:
        """Choose the next step: while the gate is open mostly what that is for; all lost rarely."""
        if self.random.random() < _DISASTER:
            return self.lose_all
        if self.model.gated and self.random.random() < 0.6:
            late = self.model.gate % 3 == 0  # every third time workers bring back too late
            return self.let_time_pass if late else self.random.choice(self.diligent)
        return super().choose()

    def lawful(self) -> set[Move]:
        """Return every move that there is."""
        return (
            {
                (before, operation, after)
                for (before, operation), states in TRANSITIONS.items()
                for after in states or (None,)
            }
            - OF_FANS
            - OF_CALLS
        )

    async def change_server(self) -> str:
        """Let the store be served by another process."""
        await builders.change_server(self.store)
        return await self.see_the_gate_open()

    async def see_the_gate_open(self) -> str:
        """Let the store notice that it may have lost writes."""
        assert [] == (await self.store.sweep(GROUP))[0]
        self.model.reopen(await self.drawn_fence())
        return f"fence {self.model.fence}"

    async def remember(self) -> str:
        """Take a copy to go back to."""
        self.saved = await backup.take(self.store.link), deepcopy(self.model)
        return ""

    async def lose_writes(self) -> str:
        """Lose what the store was told since the copy was taken."""
        if not self.saved:
            return ""
        copy, model = self.saved
        await backup.put_back(self.store.link, copy)
        self._go_back(deepcopy(model))
        await self.set_clock()
        return await self.change_server()

    async def lose_all(self) -> str:
        """Come back empty; somebody who has never seen the group may be the first to come."""
        await self.store.link.command("FLUSHALL")
        self._go_back(type(self.model)(now=self.model.now))
        await self.set_clock()
        stranger = self.random.random() < 0.5
        if stranger:
            await Store(self.store.link).sweep(GROUP)
            self.model.fence = await self.drawn_fence()
            await self.compare()
        return f"stranger {stranger}, {await self.see_the_gate_open()}"

    def _go_back(self, model: Model) -> None:
        model.now, model.moves = self.model.now, self.model.moves
        self.model = model

    async def come_anew(self) -> str:
        """Go on as one who has never seen the group: the store needs no witness to be right."""
        self.store = Store(self.store.link)
        return await self.sweep()

    async def adopt(self) -> str:
        """Bring back something that a worker thinks it holds, often beside another run."""
        beside = [held for held in self.held if self._beside_another(held[1].job_id)]
        some = beside if beside and self.random.random() < 0.5 else self.held[-10:]
        return await self.bring_back(*self.random.choice(some)) if some else ""

    def _beside_another(self, job_id: str) -> bool:
        flying = self.model.slots[ref_of(job_id)].run
        return flying not in ("", job_id) and job_id not in self.model.runs

    async def bring_back(self, worker: str, run: Claimed) -> str:
        """Adopt a run, as the worker that holds it."""
        tenant, _, job = ref_of(run.job_id).partition("/")
        adoption = Adoption(run, tenant, job, HANDLERS[job], self.attempts[run.job_id])
        word = self.model.adopt(run, worker, HANDLERS[job], self.attempts[run.job_id])
        lost = await self.store.adopt(worker, GROUP, [adoption], LEASE_MS)

        assert word == ("lost" if lost else "adopted")
        return f"{run.job_id} {run.fence}: {word}"

    async def report(self, run: Claimed) -> str:
        """Report that a run is over, and remember that."""
        self.reported.append(run)
        return await super().report(run)

    async def report_again(self) -> str:
        """Report again that a run is over, of those of late."""
        return (
            await super().report(self.random.choice(self.reported[-40:])) if self.reported else ""
        )

    async def drain(self) -> None:
        """Bring back all that workers hold, then do only what ends runs, until there are none."""
        await self.set_clock()
        await self.register()
        for worker, run in self.random.sample(self.held, len(self.held)):
            await self.bring_back(worker, run)
        self.model.now += 3 * GRID_MS
        await super().drain()
