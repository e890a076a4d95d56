"""Every key in the store, one function each, with its type and lifetime.

All keys of a group share the hash tag `{group}`, so that a group is one slot of a Redis Cluster; so
do the keys of the configuration, which belong to no group.
The scripts get the group's root key and derive the others by the same suffixes.
"""


def groups() -> str:
    """Return the SET of known groups. Kept."""
    return "rota:groups"


def revisions() -> str:
    """Return the HASH of the configuration's revisions, name to msgpack of `Revision`. Kept.

    `current` holds the name of the one that schedulers follow. No group can have its hash tag.
    """
    return "rota:{:revisions}"


def revision(name: str) -> str:
    """Return the LIST of the parts of a revision's content. Kept with it; gone if never current.

    In the same slot of a Redis Cluster as `revisions`, so that one script may touch both.
    """
    return f"{revisions()}:{name}"


def pauses() -> str:
    """Return the HASH of what operators paused, TENANT or TENANT/JOB to msgpack of `Pause`s. Kept.

    No revision has its name: those begin with a number. `:version` rises with each change.
    """
    return f"{revisions()}:pauses"


def root(group: str) -> str:
    """Return the HASH of what the group has one of. Kept.

    Fair shares: v and v_at (virtual time, us, and when it was reckoned, ms), running, weight, and
    share: the group's weight among the groups of a worker, and limited, if anybody has a limit.
    What is kept of each job: ledger_runs (entries) and ledger_ms (how long).
    The gate: server (the process's run_id), epoch, opened and gate (when it did, and when it
    closes, ms), gate_ms (the longest that anybody asked for), and born: the epoch in which the
    group began without a witness, 0 once one has come. The lead: leader, led_until
    (ms) and term. And fence, the highest one given; backfills, how many were begun.
    """
    return f"rota:{{{group}}}"


def jobs(group: str) -> str:
    """Return the HASH of published definitions, TENANT/JOB to msgpack of `Job`. Kept."""
    return f"{root(group)}:jobs"


def slot(group: str, ref: str) -> str:
    """Return the HASH of one job. Kept.

    run (the last one that was accepted, while it is in flight), at (since when the job has been
    busy with it, ms), due (the cursor, ms); of the last end ended (ms), outcome, last and fence;
    how its runs fare: ok (when one succeeded last, ms), failures and failed (how many in a row
    died since, and when the last did, ms); and `pace N`, ms that its tasks took in phase N for each
    unit of their size, if that is to be learnt.
    """
    return f"{root(group)}:s:{ref}"


def ledger(group: str, ref: str) -> str:
    """Return the LIST of msgpack of what became of a job's occurrences. Gone some days after."""
    return f"{root(group)}:l:{ref}"


def backfills(group: str) -> str:
    """Return the HASH of TENANT/JOB to msgpack of its `Backfill`. Gone when empty."""
    return f"{root(group)}:backfills"


def run(group: str, job_id: str) -> str:
    """Return the HASH of one run. Gone when it succeeds, or after the time it is kept for.

    Its handler's own: progress (msgpack of `Mark`), units (of a list of `Tally`), and noted: when
    one of them was written, ms. Of a call: latest (when it must have begun, ms) and reply (the
    inboxes that the reply goes to).
    """
    return f"{root(group)}:j:{job_id}"


def fan(group: str, job_id: str) -> str:
    """Return the HASH of what a run has fanned out into. Gone with it, or a week after its death.

    phase, fence (of its planner), planned, base (their numbers begin behind it), whole (once all
    are planned), and how many tasks have succeeded, are dead and cancelled; handler, attempts,
    request, early, at_once and stagger (ms) of its tasks; next (when one may start, ms), short
    (those queued too few). Where their time is to be learnt pace, as the slot had it, and spent
    (ms) and sized of those that succeeded. All keys of a fan-out live as long as this one.
    """
    return f"{root(group)}:f:{job_id}"


def todo(group: str, job_id: str) -> str:
    """Return the ZSET of tasks that wait to be queued, number and task, largest first. Gone empty.

    The number has eight digits, the task is msgpack; the score is the size, negated.
    """
    return f"{root(group)}:todo:{job_id}"


def again(group: str, job_id: str) -> str:
    """Return the ZSET of dead tasks, as in `todo`, for a replay. Gone with the fan-out."""
    return f"{root(group)}:again:{job_id}"


def live(group: str, job_id: str) -> str:
    """Return the SET of numbers of tasks that are queued, resting or running. Gone when empty."""
    return f"{root(group)}:live:{job_id}"


def over(group: str, job_id: str) -> str:
    """Return the STRING of bits, by number, of tasks that succeeded. Gone with the fan-out."""
    return f"{root(group)}:over:{job_id}"


def died(group: str, job_id: str) -> str:
    """Return the STRING of bits, by number, of tasks that are dead. Gone with the fan-out."""
    return f"{root(group)}:died:{job_id}"


def bad(group: str, job_id: str) -> str:
    """Return the HASH of why tasks are dead, the first 100, by number. Gone with the fan-out."""
    return f"{root(group)}:bad:{job_id}"


def fanned(group: str) -> str:
    """Return the SET of runs that wait for their tasks. Gone when empty."""
    return f"{root(group)}:fanned"


def queue(group: str, tenant: str, ring: str = "", priority: str = "normal") -> str:
    """Return the LIST of a tenant's queued job_ids. Gone when empty.

    There is one for each priority; runs of a handler that has a limit are in lists of their own.
    """
    own = f"@{ring}" if ring else ""
    return f"{root(group)}:q:{tenant}{own}{'' if priority == 'normal' else f'^{priority}'}"


def tenant(group: str, name: str) -> str:
    """Return the HASH of a tenant's fair share and limits. Kept.

    Share: weight, running, vt (virtual time, us), est, busy, owed (what its running runs were
    charged, and when they began, in sum), and used (what all its runs were charged, ms: see
    `usage`). Limits, 0 for none:
    limits (runs at a time, ms between two, burst, queued runs), tat (when all permits have grown
    again, ms). Queues: queues (the rings that it waits in beside the main one, and ^ for other
    priorities), ring (whose turn it is among those), and turn of the priorities in each.
    """
    return f"{root(group)}:t:{name}"


def active(group: str, ring: str = "") -> str:
    """Return the ZSET of tenants that may start a queued run, by virtual time. Gone when empty.

    That is the main ring; each handler that has a limit has one of its own.
    """
    return f"{root(group)}:active{f':{ring}' if ring else ''}"


def limited(group: str) -> str:
    """Return the ZSET of tenants with queued runs that may start none. Gone when empty.

    By the time in ms at which their rates let them; infinite for those at their max_concurrency.
    """
    return f"{root(group)}:limited"


def caps(group: str) -> str:
    """Return the HASH of max_concurrency: of handlers, and under '' of the group. Gone when empty.

    It is 0 for a handler whose limit was removed, while its ring drains.
    """
    return f"{root(group)}:caps"


def running(group: str) -> str:
    """Return the HASH of how many runs of each handler in `caps` are running. Gone with those."""
    return f"{root(group)}:running"


def held(group: str) -> str:
    """Return the SET of handlers that runs are held for. Gone when empty."""
    return f"{root(group)}:held"


def hold(group: str, handler: str) -> str:
    """Return the LIST of job_ids held for a handler that no worker serves. Gone when empty."""
    return f"{root(group)}:hold:{handler}"


def leases(group: str) -> str:
    """Return the ZSET of running job_ids by end of lease, ms. Gone when empty."""
    return f"{root(group)}:leases"


def retries(group: str) -> str:
    """Return the ZSET of retrying job_ids by due time, ms. Gone when empty."""
    return f"{root(group)}:retries"


def dead(group: str) -> str:
    """Return the ZSET of dead letters by time of death, ms; at most 10,000. Kept."""
    return f"{root(group)}:dead"


def repairs(group: str) -> str:
    """Return the HASH of how many repairs there were of each kind. Kept, if there was any."""
    return f"{root(group)}:repairs"


def wake(group: str) -> str:
    """Return the LIST of wake tokens that idle workers block on; at most 64. Gone when empty."""
    return f"{root(group)}:wake"


def wake_worker(group: str, worker_id: str) -> str:
    """Return the LIST of at most one token for one worker by name. Gone after a lease."""
    return f"{root(group)}:wake:{worker_id}"


def control(group: str, worker_id: str) -> str:
    """Return the LIST of fence, job_id of what one worker is to cancel. Gone after a minute."""
    return f"{root(group)}:ctl:{worker_id}"


def schedulers(group: str) -> str:
    """Return the ZSET of live schedulers by end of their registration, ms. Gone when empty."""
    return f"{root(group)}:schedulers"


def done(group: str) -> str:
    """Return the STREAM of completions; about the last 50,000. Kept.

    Each with at (when it came, ms), and of the run queued (see `enqueue.lua`) and claimed (ms).
    """
    return f"{root(group)}:done"


def workers(group: str) -> str:
    """Return the ZSET of workers by end of their registration, ms. Gone when empty."""
    return f"{root(group)}:workers"


def worker(group: str, worker_id: str) -> str:
    """Return the STRING of msgpack of `WorkerInfo`. Gone when its worker is, after 30 s."""
    return f"{root(group)}:w:{worker_id}"


def handlers(group: str, worker_id: str) -> str:
    """Return the SET of handlers that a worker serves. Gone when its worker is, after 30 s."""
    return f"{root(group)}:wh:{worker_id}"


def inbox(group: str, client: str) -> str:
    """Return the LIST of replies to a client: job_id, completion, result. Gone after a minute.

    Both are empty where there are more than 1,000 replies: then the run's record tells.
    """
    return f"{root(group)}:in:{client}"


def claim(group: str, worker_id: str) -> str:
    """Return the STRING of a worker's last claim: request number, job_ids. Gone after a lease."""
    return f"{root(group)}:c:{worker_id}"
