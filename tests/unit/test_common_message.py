"""Messages: what one version writes another reads, and nothing foreign gets through."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.common import message
from rota.common.job import Job, Phase, Retry, Schedule
from rota.common.message import Completion, Failure, JobRequest, Task

JOB = Job(
    tenant="acme",
    name="import",
    group="gold",
    handler="orders.import",
    schedule=Schedule(kind="every", period_ms=1_000),
    args={"source": "ftp", "limit": 3, "deep": {"list": [1, None, True, 1.5, "ü"]}},
    timeout_ms=5_000,
    retry=Retry(attempts=5, backoff_ms=7, max_backoff_ms=70),
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_request_there_and_back() -> None:
    """A worker reads what the scheduler wrote: job, arguments, timeout and retries."""
    request = message.decode_request(message.encode(message.request_for(JOB)))

    assert ("acme", "import", "orders.import") == (request.tenant, request.job, request.handler)
    assert (JOB.timeout_ms, JOB.retry) == (request.timeout_ms, request.retry)
    assert JOB.args == msgspec.msgpack.decode(request.args)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_any_arguments_there_and_back(args: dict[str, object]) -> None:
    """Arguments of any shape arrive as they were written."""
    request = message.request_for(msgspec.structs.replace(JOB, args=args))

    assert args == msgspec.msgpack.decode(message.decode_request(message.encode(request)).args)


def test_no_arguments() -> None:
    """A request without arguments is one with an empty map."""
    body = message.encode({"tenant": "acme", "job": "import", "handler": "h"})

    assert {} == msgspec.msgpack.decode(message.decode_request(body).args)


def test_unknown_version() -> None:
    """A request of another version is refused, and the message names both versions."""
    body = message.encode(JobRequest(v=2, tenant="acme", job="import", handler="h"))
    with pytest.raises(ValueError, match="version 2; this worker knows version 1"):
        message.decode_request(body)


def test_unknown_field() -> None:
    """A field that a later release added is ignored."""
    known = {"tenant": "acme", "job": "import", "handler": "h"}

    assert message.decode_request(message.encode(known)) == message.decode_request(
        message.encode(known | {"colour": "blue"})
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x80",
        b'{"tenant": "acme"}',
        b"\x80\x04\x95\x00",  # a pickle's first bytes
        msgspec.msgpack.encode({"tenant": 1, "job": "import", "handler": "h"}),
        msgspec.msgpack.encode({"tenant": "acme", "job": "import", "handler": "h"})[:-1],
        msgspec.msgpack.encode(["acme", "import", "h"]),
        b"\x81\xa4args" + b"\x91" * 60_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_malformed_request(body: bytes) -> None:
    """Whatever is no request is refused with one kind of error, whatever it is instead."""
    with pytest.raises(ValueError, match=r".+"):
        message.decode_request(body)


@given(st.binary(max_size=200))
def test_random_bytes(body: bytes) -> None:
    """Random bytes are refused, or are a request, but nothing else happens."""
    try:
        request = message.decode_request(body)
    except ValueError:
        return

    assert isinstance(request, JobRequest)


@pytest.mark.parametrize("outcome", ["succeeded", "retrying", "dead"])
def test_completion_there_and_back(outcome: message.Outcome) -> None:
    """Whoever waits reads what the worker wrote."""
    written = Completion(
        job_id="acme/import:20261123T020000Z",
        tenant="acme",
        job="import",
        outcome=outcome,
        attempt=2,
        worker="w1",
        took_ms=12,
        next_ms=34,
        error=Failure(kind="KeyError", message="'x'", traceback="..."),
    )

    assert written == message.decode_completion(message.encode(written))
    assert "acme/import" == written.ref


@pytest.mark.parametrize("body", [b"", b"\x80", msgspec.msgpack.encode({"outcome": "fine"})])
def test_malformed_completion(body: bytes) -> None:
    """Whatever is no completion is refused."""
    with pytest.raises(ValueError, match=r".+"):
        message.decode_completion(body)


def test_messages_are_small() -> None:
    """Fields that say nothing are not sent: a plain request fits into 100 bytes."""
    plain = Job(tenant="t", name="j", group="g", handler="h", schedule=Schedule(kind="every"))

    assert len(message.encode(message.request_for(plain))) < 100


PHASES = msgspec.structs.replace(
    JOB,
    phases=(Phase(handler="second", retry=Retry(attempts=2), retry_on=("OSError",)),),
    on_failure=Phase(handler="mend", timeout_ms=7),
)


@pytest.mark.parametrize(
    ("phase", "handler", "attempts"), [(1, "orders.import", 5), (2, "second", 2), (3, "mend", 3)]
)
def test_phases(phase: int, handler: str, attempts: int) -> None:
    """A worker reads of the request what holds for the phase that its run is in."""
    body = message.encode(message.request_for(PHASES))
    if phase > 1:
        body = b"\x92" + body + bytes([phase])  # as `phases.lua` puts it together
    request = message.decode_request(body)

    assert (phase, handler, attempts) == (request.phase, request.handler, request.retry.attempts)
    assert JOB.args == msgspec.msgpack.decode(request.args)


def test_unknown_phase() -> None:
    """A request has no phase behind that for failures."""
    body = b"\x92" + message.encode(message.request_for(PHASES)) + b"\x04"
    with pytest.raises(ValueError, match="request without a phase 4"):
        message.decode_request(body)


def test_task() -> None:
    """A task is a request with arguments of its own, as `tasks.lua` puts it together."""
    task = Task(msgspec.Raw(message.encode({"parts": [1]})), "shard", 2.5)
    body = b"\x93" + message.encode(message.request_for(JOB)) + b"\x02" + message.encode(task)
    request = message.decode_request(body)

    assert request.task
    assert ("shard", 2.5, 2) == (request.task.key, request.task.size, request.phase)
    assert {"parts": [1]} == msgspec.msgpack.decode(request.args)
