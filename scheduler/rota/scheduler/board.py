"""What `sched dev` shows: who completed what, tenant by tenant. Pure state, no terminal."""

from collections import deque
from dataclasses import dataclass

from rota.common.message import Completion


@dataclass(slots=True)
class TenantLine:
    """One tenant's line."""

    group: str
    tenant: str
    succeeded: int = 0
    failed: int = 0  # attempts that failed, whether another follows or not
    last: str = ""  # the job that ended last
    outcome: str = ""
    took_ms: int = 0
    at_ms: int = 0


class Board:
    """Counts completions by tenant and keeps the last lines that were logged."""

    def __init__(self, tenants: dict[str, str]) -> None:
        self.lines = {
            tenant: TenantLine(group=group, tenant=tenant) for tenant, group in tenants.items()
        }
        self.succeeded = 0
        self.failed = 0
        self.notes: deque[str] = deque(maxlen=5)

    def heard(self, group: str, completion: Completion, at_ms: int) -> None:
        """Take note of one completion."""
        line = self.lines.setdefault(
            completion.tenant, TenantLine(group=group, tenant=completion.tenant)
        )
        if completion.outcome == "succeeded":
            line.succeeded += 1
            self.succeeded += 1
        elif completion.outcome != "cancelled":
            line.failed += 1
            self.failed += 1
        line.last, line.outcome = completion.job, completion.outcome
        line.took_ms, line.at_ms = completion.whole_ms, at_ms

    @property
    def tenants_seen(self) -> int:
        """Return how many tenants have had a completion."""
        return sum(1 for line in self.lines.values() if line.at_ms)

    def recent(self, count: int) -> list[TenantLine]:
        """Return the `count` tenants that completed something last, newest first."""
        return sorted(self.lines.values(), key=lambda line: (-line.at_ms, line.tenant))[:count]

    def write(self, text: str) -> int:
        """Keep a log line; makes the board a stream that logs can be written to."""
        if text.strip():
            self.notes.append(text.rstrip())
        return len(text)

    def flush(self) -> None:
        """Do nothing: a stream must have it."""
