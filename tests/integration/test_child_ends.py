"""A child process ends when its worker does, and when its worker can't tell it to."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from rota.common import message
from rota.common.clock import SystemClock
from rota.common.message import JobRequest
from rota.common.run import Claimed
from rota.common.store import LEASE_MS
from rota.worker import frame
from rota.worker.children import Children, RemoteFailure
from rota.worker.held import HeldRun
from rota.worker.tether import Tether
from tests.integration.test_children import PATIENCE, SUPPORT, context, gone, pool, run, told, until

__all__ = ["pool", "run"]  # for the worker that is started below

SHORT_MS = 400  # a lease
CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def app_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children find the module `child_app`."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)


@pytest.fixture
def lone_child() -> Iterator["subprocess.Popen[bytes]"]:
    """Return a child that is ready, with its pipes in our hands."""
    tether = Tether(LEASE_MS)
    end = tether.child_end
    command = [sys.executable, "-m", "rota.worker.child", "child_app", str(end)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, pass_fds=(end,)) as process:
        assert process.stdout is not None
        ready = process.stdout.read(frame.size(process.stdout.read(frame.HEADER_BYTES)))
        assert isinstance(frame.reply_of(ready), frame.Ready)
        yield process
        process.kill()
    tether.close()
    os.close(end)


def order(child: "subprocess.Popen[bytes]", handler: str, **args: str) -> None:
    """Have a child begin a run."""
    run = frame.Run(
        job_id="acme/import:1",
        group="gold",
        attempt=1,
        due_ms=0,
        fence=1,
        request=JobRequest(
            tenant="acme", job="import", handler=handler, args=msgspec.Raw(message.encode(args))
        ),
    )
    assert child.stdin is not None
    child.stdin.write(frame.pack(run))
    child.stdin.flush()


async def test_input_ends(lone_child: "subprocess.Popen[bytes]") -> None:
    """An idle child ends in peace when its input does."""
    _, code = lone_child.communicate(timeout=PATIENCE), lone_child.returncode

    assert 0 == code


@pytest.mark.parametrize("handler", ["wait", "wait-async"])
async def test_input_ends_while_busy(
    lone_child: "subprocess.Popen[bytes]", handler: str, tmp_path: Path
) -> None:
    """A busy child cleans up and ends when its input does, where no kernel ends it."""
    order(lone_child, handler, told=str(tmp_path / "told"), cleaned=str(tmp_path / "cleaned"))
    await told(tmp_path / "told")
    _, code = lone_child.communicate(timeout=PATIENCE), lone_child.returncode

    assert 0 == code
    assert 1 == await told(tmp_path / "cleaned")


async def test_input_ends_for_a_stubborn_handler(
    lone_child: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    """A child whose handler does not listen ends soon after its input, all the same."""
    order(lone_child, "resist", told=str(tmp_path / "told"))
    await told(tmp_path / "told")
    lone_child.communicate(timeout=5)

    assert 1 == lone_child.returncode


async def test_nonsense(lone_child: "subprocess.Popen[bytes]") -> None:
    """A child that is sent nonsense ends; it does not guess."""
    assert lone_child.stdin is not None
    assert lone_child.stdout is not None
    lone_child.stdin.write(b"\xff" * 64)
    lone_child.stdin.flush()
    lone_child.wait(PATIENCE)

    assert b"" == lone_child.stdout.read()


WORKER = """
import asyncio, sys
import tests.integration.test_child_ends as here

async def main():
    async with here.pool() as children:
        await here.run(children, "resist", told=sys.argv[1])

asyncio.run(main())
"""


async def test_worker_killed(tmp_path: Path) -> None:
    """A busy child dies with its worker, even if that is killed by SIGKILL."""
    root = SUPPORT.parent.parent
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ['PYTHONPATH']}"}
    command = [sys.executable, "-c", WORKER, str(tmp_path / "started")]
    worker = await asyncio.create_subprocess_exec(*command, env=environment)
    pid = await told(tmp_path / "started")
    worker.kill()
    await worker.wait()
    await until(lambda: gone(pid))


def hold() -> HeldRun:
    """Return a run whose lease begins now."""
    now = CLOCK.monotonic()
    return HeldRun(Claimed("gold", "acme/import:1", 1, 1, 0, b""), now, now, 0.0, now)


@pytest.fixture
def children(runner: asyncio.Runner) -> Iterator[Children]:
    """Return children of a worker with short leases."""
    found = Children("child_app", limit=1, log=structlog.get_logger(), lease_ms=SHORT_MS)
    yield found
    runner.run(found.stop())


async def held_run(children: Children, held: HeldRun, handler: str, **args: Any) -> Any:
    """Return the decoded result of a handler whose run is held."""
    packed = msgspec.msgpack.encode(args)
    result = await children.run(context(handler), packed, held=held)
    return msgspec.msgpack.decode(result)


@contextmanager
def renewing(held: HeldRun, more: Callable[[], bool]) -> Iterator[None]:
    """Renew a run from another thread, as the renewer does, while there is more."""
    over = threading.Event()

    def go() -> None:
        while more() and not over.wait(SHORT_MS / 8000):
            held.renew(CLOCK.monotonic())

    thread = threading.Thread(target=go)
    thread.start()
    yield
    over.set()
    thread.join()


async def test_lease_not_renewed(children: Children, tmp_path: Path) -> None:
    """A child ends itself, and what its handler started, before its lease does; this is said."""
    await run(children, "pid")  # it has loaded the app
    held = hold()
    busy = asyncio.create_task(held_run(children, held, "delegate", told=str(tmp_path / "told")))
    program = await told(tmp_path / "told")
    with pytest.raises(RemoteFailure) as caught:
        await busy
    after = CLOCK.monotonic() - held.renewed_at
    await until(lambda: gone(program))

    assert 0.9 * SHORT_MS <= 1000 * after <= 2 * SHORT_MS
    assert "ChildDied" == caught.value.failure.kind
    assert "not renewed in time" in caught.value.failure.message


async def test_lease_renewed(children: Children, tmp_path: Path) -> None:
    """A child goes on while another thread renews its lease, whatever the event loop does."""
    child = await run(children, "pid")
    held = hold()
    began, end = CLOCK.monotonic(), CLOCK.monotonic() + 3 * SHORT_MS / 1000
    with renewing(held, lambda: CLOCK.monotonic() < end), pytest.raises(RemoteFailure):
        await held_run(children, held, "delegate", told=str(tmp_path / "told"))

    assert CLOCK.monotonic() - began > 3 * SHORT_MS / 1000
    assert gone(child)


async def test_idle_child_needs_no_lease(children: Children) -> None:
    """A child whose run is over is used again after that run's lease, even if renewed late."""
    pids = {await run(children, "pid")}  # it has loaded the app
    first = hold()
    pids.add(await held_run(children, first, "pid"))
    first.renew(CLOCK.monotonic() - 1)
    end = CLOCK.monotonic() + 1.5 * SHORT_MS / 1000
    while CLOCK.monotonic() < end:
        pids.add(await run(children, "pid"))
    pids.add(await held_run(children, hold(), "pid"))

    assert 1 == len(pids)


def idle_is_dead(children: Children) -> bool:
    """Tell whether the worker knows that its idle child has died."""
    return not children._idle[0].alive


def pipes() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_pipe_is_left() -> None:
    """Children give their pipes back, however they end."""
    before = pipes()
    for _ in range(2):
        async with pool(limit=1) as children:
            with pytest.raises(RemoteFailure):
                await held_run(children, hold(), "os-exit", code=3)
            os.kill(await run(children, "pid"), signal.SIGKILL)
            await until(partial(idle_is_dead, children))
            await run(children, "pid")

    assert before == pipes()
