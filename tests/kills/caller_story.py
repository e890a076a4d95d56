"""A caller is killed while it calls, waits and gives up; another one calls again under its keys."""

import asyncio
from collections import Counter
from itertools import count

from tests.kills import conversation, victims
from tests.kills.checkpoint import Checkpoint, Point
from tests.kills.trial import PATIENCE, Lane, Trial
from tests.kills.victims import Victim
from tests.support import builders, recount

_numbers = count(1)


async def play(lane: Lane, point: Point | None) -> Trial:
    """Let a caller live, be killed at `point`, and another one say the same."""
    tenant = f"c{next(_numbers)}"
    trial = Trial(lane, tenant, lane.folder / "audit")
    async with Checkpoint(lane.url, point) as checkpoint:
        trial.checkpoint = checkpoint
        victim = Victim("caller", victims.caller, checkpoint.url, trial.folder, tenant)
        checkpoint.guard(victim.kill)
        try:
            await victim.gone(PATIENCE)
        finally:
            victim.end()
    if not checkpoint.struck and victim.code != 0:
        trial.complaints.append(f"the caller ended with {victim.code}")
    async with asyncio.timeout(PATIENCE):
        replies = await conversation.converse(lane.url, tenant)
    if replies != conversation.REPLIES:
        trial.complaints.append(f"replies: {replies}")
    await trial.idle()
    return trial


async def against(trial: Trial) -> list[str]:
    """Return what was done twice, or not at all, and what the store should not hold."""
    begun = Counter(line["job_id"] for line in trial.lines() if line["event"] == "start")
    made = {job_id: times for job_id, times in begun.items() if "/@double:" in job_id}
    wrong = [f"{job_id} was made {times} times" for job_id, times in made.items() if times != 1]
    if len(made) != len(conversation.REPLIES):
        wrong.append(f"made: {sorted(made)}")
    left = recount.states(await builders.snapshot(trial.store))
    wrong += [f"left: {left}"] if left else []
    differences = await recount.differences(trial.store)
    return [*trial.complaints, *wrong, *(f"counters: {each}" for each in differences.items())]
