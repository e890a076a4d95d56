"""The scenarios, as data: a store, what happens to it and to the services, how often, and limits.

`python -m tests.chaos --list` prints them.
"""

from collections.abc import Mapping
from typing import NamedTuple

from tests.chaos import crowds, faults, layouts
from tests.chaos.checker import Limits
from tests.chaos.faults import Fault
from tests.chaos.layouts import Layout
from tests.chaos.limited import LimitedWorkload
from tests.chaos.workload import Workload

LEASE = 15.0  # seconds: the default
_TAKE_OVER = 10.0  # seconds within which a scheduler takes over from another
_CHURN = {"kill-worker": (faults.kill_worker, 4), "stop-worker": (faults.stop_worker, 3)}
_WATCH = 15.0  # seconds in which limits are seen to be used to the full again
_MAX_LAG = 10.0  # seconds: min-replicas-max-lag in strict mode


class Scenario(NamedTuple):
    """One way to make trouble."""

    name: str
    about: str  # what it does, for the list
    layout: type[Layout]
    faults: Mapping[str, tuple[Fault, int]]  # by name: what to do, and its weight in the draw
    total: int  # faults in the long tier
    pause: tuple[float, float]  # seconds between two faults
    strict: bool = False  # whether the store refuses writes when it has no replica
    workload: type[Workload] = Workload
    watch: float = 0.0  # seconds to look on after the faults, when all goes on again
    sides: int = 1  # 2: half of the workers reach the store by another way

    def limits(self, lease: float) -> Limits:
        """Return how long each kind of recovery may take; forever where jobs wait for limits."""
        if self.workload is LimitedWorkload:
            return Limits(*3 * [float("inf")])
        gate = _MAX_LAG + lease + 2 if self.strict else 2 * lease / 3
        return Limits(worker=lease + 2, sched=_TAKE_OVER + 2, store=gate + 5)


SCENARIOS = {
    each.name: each
    for each in (
        Scenario(
            "workers",
            "SIGKILL, and SIGSTOP for half a lease up to three, of random workers",
            layouts.Single,
            {"kill-worker": (faults.kill_worker, 1), "stop-worker": (faults.stop_worker, 1)},
            total=200,
            pause=(0.5, 2.5),
        ),
        Scenario(
            "schedulers",
            "SIGKILL of one of two schedulers, sometimes of both",
            layouts.Single,
            {"kill-sched": (faults.kill_sched, 1)},
            total=50,
            pause=(1, 8),
        ),
        Scenario(
            "redis-aof",
            "kill -9 of the server, which comes back with its append-only file",
            layouts.Single,
            {"restart": (faults.restart, 1)},
            total=20,
            pause=(1, 20),
        ),
        Scenario(
            "redis-empty",
            "kill -9 of the server, which comes back empty",
            layouts.Volatile,
            {"restart-empty": (faults.restart_empty, 1)},
            total=10,
            pause=(10, 30),
        ),
        Scenario(
            "failover",
            "a replica is promoted that lacks the last 0.8 s of acknowledged writes",
            layouts.Replicated,
            {"fail-over": (faults.fail_over, 1)},
            total=10,
            pause=(10, 30),
        ),
        Scenario(
            "split-brain",
            "half of the workers stay with an isolated old master, in strict mode",
            layouts.Strict,
            {"split": (faults.split, 1)},
            total=5,
            pause=(30, 45),
            strict=True,
            sides=2,
        ),
        Scenario(
            "clients",
            "CLIENT KILL of every connection each second",
            layouts.Single,
            {"kill-clients": (faults.kill_clients, 1)},
            total=60,
            pause=(1, 1),
        ),
        Scenario(
            "slow",
            "a link of 50 to 300 ms each way and 8 to 32 kB/s",
            layouts.Wired,
            {"slow": (faults.slow_down, 1)},
            total=10,
            pause=(3, 6),
        ),
        Scenario(
            "maxmemory",
            "the server's memory is used up for some seconds",
            layouts.Single,
            {"fill": (faults.fill_memory, 1)},
            total=10,
            pause=(3, 8),
        ),
        Scenario(
            "sentinel",
            "kill -9 of the master under three real sentinels",
            crowds.Sentinels,
            {"lose-master": (faults.lose_master, 1)},
            total=10,
            pause=(5, 20),
        ),
        Scenario(
            "cluster",
            "kill -9 of one master after the other in a real Cluster of six nodes",
            crowds.Cluster,
            {"lose-master": (faults.lose_master, 1)},
            total=10,
            pause=(5, 20),
        ),
        Scenario(
            "limits",
            "as `workers`, `schedulers` and `redis-aof`, under limits that are always in use",
            layouts.Single,
            _CHURN | {"kill-sched": (faults.kill_sched, 1), "restart": (faults.restart, 1)},
            total=100,
            pause=(0.5, 4),
            workload=LimitedWorkload,
            watch=_WATCH,
        ),
        Scenario(
            "limits-failover",
            "as `failover` and `workers`, under such limits",
            layouts.Replicated,
            _CHURN | {"fail-over": (faults.fail_over, 3)},
            total=30,
            pause=(1, 8),
            workload=LimitedWorkload,
            watch=_WATCH,
        ),
        Scenario(
            "limits-sentinel",
            "as `sentinel` and `workers`, under such limits",
            crowds.Sentinels,
            _CHURN | {"lose-master": (faults.lose_master, 3)},
            total=30,
            pause=(1, 8),
            workload=LimitedWorkload,
            watch=_WATCH,
        ),
        Scenario(
            "limits-cluster",
            "as `cluster` and `workers`, under such limits",
            crowds.Cluster,
            _CHURN | {"lose-master": (faults.lose_master, 3)},
            total=30,
            pause=(1, 8),
            workload=LimitedWorkload,
            watch=_WATCH,
        ),
    )
}
