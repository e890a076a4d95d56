"""A contract is checked when a proxy is made of it, not when a call fails."""

from typing import Any

import pytest

from rota.client.contract import Contract
from rota.common import names
from rota.common.errors import UsageError


class OrderImports:
    """A sound contract."""

    async def load(self, source: str, limit: int = 100) -> int:
        """Load orders."""
        raise NotImplementedError

    async def _own(self) -> None:
        """Be no part of it."""


class NoTypes:
    """A contract that does not say what it takes."""

    async def load(self, source) -> None:  # type: ignore[no-untyped-def]
        """Load orders."""


class NoResult:
    """A contract that does not say what it gives."""

    async def load(self, source: str):  # type: ignore[no-untyped-def]
        """Load orders."""


class Loose:
    """A contract that takes anything."""

    async def load(self, **options: str) -> int:
        """Load orders."""
        raise NotImplementedError


class Blocking:
    """A contract for threads."""

    def load(self) -> int:
        """Load orders."""
        raise NotImplementedError


class Empty:
    """A contract without methods."""


async def asked(handler: str, args: dict[str, Any], returns: Any) -> Any:
    """Return what a method asks for."""
    return handler, args, returns


async def test_method_calls_its_handler() -> None:
    """A method calls the handler of its name in the service, with all arguments by name."""
    proxy: Any = Contract(OrderImports).proxy(asked)
    other: Any = Contract(OrderImports, "eu").proxy(asked)

    assert ("order_imports.load", {"source": "web", "limit": 100}, int) == await proxy.load("web")
    assert "eu.load" == (await other.load("web", limit=1))[0]
    assert not hasattr(proxy, "_own")


@pytest.mark.parametrize(
    ("contract", "trouble"),
    [
        (NoTypes, r"NoTypes\.load has no type for source"),
        (NoResult, r"NoResult\.load has no type for its result"),
        (Loose, r"Loose\.load takes `\*\*options: str`"),
        (Blocking, r"Blocking\.load must be async def"),
        (Empty, "Empty has no methods"),
        (7, "7 is not a class"),
    ],
    ids=str,
)
def test_unsound_contract(contract: object, trouble: str) -> None:
    """A contract that can't be kept is refused, with the method and what it lacks."""
    with pytest.raises(UsageError, match=trouble):
        Contract(contract)


def test_blocking_contract() -> None:
    """The contract of the sync door has methods that are not async."""
    assert ["load"] == list(Contract(Blocking, is_async=False).methods)
    with pytest.raises(UsageError, match="must be def"):
        Contract(OrderImports, is_async=False)


@pytest.mark.parametrize("handler", ["orders.import", "a:b", "h" * 128])
def test_job_of_calls(handler: str) -> None:
    """Whatever a handler's name, its calls have an id that commands take, and that no job has."""
    job_id = f"acme/{names.call_job(handler)}:call-1"

    assert (f"acme/{names.call_job(handler)}", "call-1") == names.split_job_id(job_id)
    assert names.is_call(job_id)
    assert not names.is_name(names.call_job(handler))
