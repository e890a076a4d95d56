"""A random walk with losses under limits: what comes back may exceed them, what starts may not."""

from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.store import Store
from tests.support.builders import GROUP, HANDLER
from tests.support.limited_model import LimitedModel
from tests.support.stateful import TENANTS
from tests.support.stateful_loss import StatefulLoss


class LimitedLoss(StatefulLoss):
    """A walk with losses in which limits on what runs at a time come, change and go."""

    def __init__(self, store: Store, seed: int) -> None:
        super().__init__(store, seed)
        self.model: LimitedModel = LimitedModel(now=self.model.now)
        self.limits = GroupLimits()
        self.steps = [step for step in self.steps if step != self.repair]  # it knows no limits
        self.steps += [self.change_limits] * 4

    async def change_limits(self) -> str:
        """Set limits on what runs at a time."""
        tenants = {
            name: TenantLimits(max_concurrency=self.random.choice([0, 1, 2])) for name in TENANTS
        }
        handlers = {HANDLER: 2} if self.random.random() < 0.5 else {}
        self.limits = GroupLimits(tenants=tenants, handlers=handlers)
        return await self.limit()

    async def limit(self) -> str:
        """Publish the limits, once more after a loss."""
        await Limiter(self.store).limit(GROUP, self.limits)
        self.model.limits = self.limits
        return str(self.limits)

    async def lose_writes(self) -> str:
        """Lose writes; the limits are published again."""
        return f"{await super().lose_writes()} {await self.limit()}"

    async def lose_all(self) -> str:
        """Lose all; the limits are published again."""
        return f"{await super().lose_all()} {await self.limit()}"
