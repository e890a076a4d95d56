import functools
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from rota.worker.arguments import Arguments, BadArguments, HandlerError
from rota.worker.context import Context

EMPTY = b"\x80"


class Line(msgspec.Struct):
    """A part of an order."""

    product: str
    count: int = 1


class Order(msgspec.Struct):
    """A struct that by itself would ignore unknown fields."""

    number: int
    lines: list[Line] = []
    parent: "Order | None" = None


class Renamed(msgspec.Struct, rename="camel", tag="renamed"):
    """A struct whose fields have other names in messages."""

    due_day: date


def named(
    ctx: Context,
    *,
    source: str,
    day: date,
    price: Decimal = Decimal(1),
    mode: Literal["full", "delta"] = "delta",
    share: Annotated[int, msgspec.Meta(ge=0, le=100)] = 50,
    anything: Any = None,
) -> None:
    """Take one of each kind."""


def one_struct(ctx: Context, order: Order) -> None:
    """Take all arguments as one struct."""


def open_ended(ctx: Context, source: str, **options: int) -> None:
    """Take whatever comes."""


def decode(function: Callable[..., Any], args: Any) -> dict[str, Any]:
    """Return what `function` is called with for the arguments of a message."""
    return Arguments(function, "orders.import").decode(msgspec.msgpack.encode(args))


def refusal(function: Callable[..., Any], args: Any) -> str:
    """Return why `args` are refused."""
    with pytest.raises(BadArguments) as caught:
        decode(function, args)
    return str(caught.value)


def test_conversion() -> None:
    """Arguments arrive in the annotated types; what has a default may be left out."""
    least = decode(named, {"source": "ftp", "day": "2026-11-23"})
    most = decode(
        named,
        {"source": "ftp", "day": "2026-11-23", "price": "1.20", "mode": "full", "anything": [1]},
    )

    assert ("ftp", date(2026, 11, 23)) == (least["source"], least["day"])
    assert (Decimal(1), "delta", 50, None) == tuple(least.values())[2:]
    assert (Decimal("1.20"), "full", 50, [1]) == tuple(most.values())[2:]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"day": "2026-11-23"}, "missing argument `source`"),
        ({"source": "ftp", "day": "2026-11-23", "sourse": 1}, "unknown argument `sourse`"),
        ({"source": 1, "day": "2026-11-23"}, "argument `source`: expected `str`, got `int`"),
        ({"source": "ftp", "day": "today"}, "argument `day`: invalid RFC3339"),
        ({"source": "ftp", "day": "2026-11-23", "share": 101}, "argument `share`: expected `int`"),
        ({"source": "ftp", "day": "2026-11-23", "mode": "half"}, "argument `mode`: invalid enum"),
        ({"source": "ftp", "ctx": 1, "day": "2026-11-23"}, "unknown argument `ctx`"),
        ([1], "Expected `object`, got `array`"),
        (None, "Expected `object`, got `null`"),
    ],
)
def test_refusals(args: Any, reason: str) -> None:
    """Arguments that don't fit are refused, naming the argument, the reason and what is taken."""
    told = refusal(named, args)

    assert reason.replace("`null`", "`None`") in told
    assert told.endswith("takes anything, day, mode, price, share, source")


def test_struct() -> None:
    """One parameter that is a struct takes all arguments together, nested types and all."""
    args = {"number": 1, "lines": [{"product": "tea"}], "parent": {"number": 2}}

    assert {"order": Order(1, [Line("tea")], Order(2))} == decode(one_struct, args)
    assert "missing argument `number`" in refusal(one_struct, {})
    assert "argument `lines[0].count`: expected `int`" in refusal(
        one_struct, {"number": 1, "lines": [{"product": "tea", "count": "x"}]}
    )


def test_struct_unknown() -> None:
    """A misspelt argument is refused even if the handler's struct would ignore it."""
    told = refusal(one_struct, {"number": 1, "line": []})

    assert "unknown argument `line`; the handler takes lines, number, parent" == told


def test_struct_renamed() -> None:
    """A struct's own names for messages are the names of the arguments, its tag included."""

    def handler(ctx: Context, args: Renamed) -> None: ...

    args = {"type": "renamed", "dueDay": "2026-11-23"}

    assert {"args": Renamed(date(2026, 11, 23))} == decode(handler, args)
    assert "unknown argument `due_day`" in refusal(handler, args | {"due_day": "x"})


def test_struct_among_others() -> None:
    """A struct beside other parameters is one argument of several."""

    def handler(ctx: Context, line: Line, dry: bool = False) -> None: ...

    decoded = decode(handler, {"line": {"product": "tea", "count": 2}})

    assert {"line": Line("tea", 2), "dry": False} == decoded


def test_open_ended() -> None:
    """`**options` takes arguments of any name, in its annotated type."""
    assert {"source": "a", "x": 1} == decode(open_ended, {"source": "a", "x": 1})
    assert "expected `int`, got `str`" in refusal(open_ended, {"source": "a", "x": "1"}).lower()
    assert "missing argument `source`" in refusal(open_ended, {"x": 1})
    assert "unknown argument `ctx`" in refusal(open_ended, {"source": "a", "ctx": 1})


def test_no_arguments() -> None:
    """A handler without arguments takes none."""

    def handler(ctx: Context) -> None: ...

    assert {} == decode(handler, {})
    assert refusal(handler, {"x": 1}).endswith("takes no arguments")


def test_defaults_are_the_functions_own() -> None:
    """A default may be any object; a call that leaves it out gets that very object."""
    marker = object()

    def handler(ctx: Context, tags: list[str] = ["a"], other: Any = marker) -> None: ...  # noqa: B006 - it is what users write

    assert {} == decode(handler, {})
    assert marker is decode(handler, {"tags": []})["other"]


@pytest.mark.parametrize(
    "raw", [b"", b"\x81", b"\xc1", b"\x81\xa1\xff\x01", b"\x81\xa8anything" + b"\x91" * 60_000]
)
def test_garbage(raw: bytes) -> None:
    """Bytes that are no arguments are refused as bad arguments, never with another error."""
    with pytest.raises(BadArguments):
        Arguments(named, "orders.import").decode(raw)


def test_callables() -> None:
    """Whatever can be called by name may be a handler: methods, partials, callable objects."""

    class Importer:
        def method(self, ctx: Context, count: int) -> None: ...
        def __call__(self, ctx: Context, count: timedelta) -> None: ...

    assert {"count": 1} == decode(Importer().method, {"count": 1})
    assert {"count": timedelta(1)} == decode(Importer(), {"count": "P1D"})
    partial = functools.partial(named, source="ftp")
    assert "argument `day`" in refusal(partial, {"day": 1})


def test_schema() -> None:
    """The schema describes the arguments as one closed object, with nested types beside it."""
    plain = Arguments(named, "orders.import").schema()
    struct = Arguments(one_struct, "orders.import").schema()
    loose = Arguments(open_ended, "orders.import").schema()
    none = Arguments(lambda ctx: None, "orders.import").schema()

    assert ["source", "day"] == plain["required"]
    assert {"enum": ["delta", "full"], "default": "delta"} == plain["properties"]["mode"]
    assert "$defs" not in plain
    assert False is plain["additionalProperties"] is struct["additionalProperties"]
    assert {"Line", "Order"} == set(struct["$defs"])  # an order refers to its parent
    assert "additionalProperties" not in loose
    assert {} == none["properties"]


def _positional(ctx: Context, count: int, /) -> None: ...
def _starred(ctx: Context, *counts: int) -> None: ...
def _nobody() -> None: ...
def _keyword_only(*, ctx: Context) -> None: ...
def _forgotten(source: str) -> None: ...
def _forgotten_struct(order: Order) -> None: ...
def _unsupported(ctx: Context, path: Path) -> None: ...
def _nested_unsupported(ctx: Context, paths: dict[str, list[Path]]) -> None: ...
def _two_structs(ctx: Context, either: Order | Line) -> None: ...
def _unresolved(ctx: Context, order: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the mistake


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_positional, "`count: int` can't be given by name"),
        (_starred, "`*counts: int` can't be given by name"),
        (_nobody, "first parameter must be the context"),
        (_keyword_only, "first parameter must be the context"),
        (_forgotten, "put `ctx` before `source: str`"),
        (_forgotten_struct, "put `ctx` before `order: "),
        (_unsupported, "Path"),
        (_nested_unsupported, "Path"),
        (_two_structs, "multiple Struct types"),
        (_unresolved, "'Missing' is not defined"),
        (int, "no signature"),
    ],
)
def test_bad_signatures(function: Callable[..., Any], reason: str) -> None:
    """A signature that arguments can't be checked against is refused before any call."""
    with pytest.raises(HandlerError) as caught:
        Arguments(function, "orders.import")

    assert reason in str(caught.value)
