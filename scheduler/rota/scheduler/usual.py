"""The usual occurrence: on time, and nothing keeps it from being run. Most are, so it is told fast.

Pure. It comes to what `finding` and `policy` come to, without the stretches that they reckon with.
"""

from rota.common.job import Job
from rota.scheduler.policy import ON_TIME_MS


def is_usual(job: Job, due_ms: int, now_ms: int, ended_ms: int) -> bool:
    """Tell whether an occurrence runs now whatever the job's rules are; no run is under way.

    `ended_ms` is when the job's last run ended: what fell due before that has overlapped.
    """
    late_ms = now_ms - due_ms
    return (
        late_ms <= min(ON_TIME_MS, job.max_lateness_ms or ON_TIME_MS)
        and (due_ms > ended_ms or job.overlap == "allow")
        and not job.blackouts
        and job.schedule.kind != "after"
    )
