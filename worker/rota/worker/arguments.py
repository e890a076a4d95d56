"""A handler's arguments: read once from its signature, then decoded and checked for every call."""

import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import msgspec

from rota.common.errors import UsageError

_EMPTY = b"\x80"  # a msgpack map without entries
_PLAIN = (str, int, float, bytes, list, dict, msgspec.Struct)  # what a context never is
_any_map = msgspec.msgpack.Decoder(dict[str, Any])


class HandlerError(UsageError):
    """A function can't be a handler."""


class BadArguments(ValueError):
    """A job's arguments don't fit its handler."""


class Arguments:
    """What a handler takes behind the context: named values, or one struct of them."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        context, *parameters = _parameters(function)
        hints = _hints(function)
        _check_context(context, hints)
        named = [p for p in parameters if p.kind is not Parameter.VAR_KEYWORD]
        rest = [p for p in parameters if p.kind is Parameter.VAR_KEYWORD]
        self._context = context.name
        self._struct = _struct_parameter(named, hints) if not rest else None
        self._rest = hints.get(rest[0].name, Any) if rest else None
        self._model = (
            hints[self._struct] if self._struct else _model(name, named, hints, closed=not rest)
        )
        self._known = _known(self._model)
        self._may_be_empty = not self._struct and all(
            p.default is not Parameter.empty for p in named
        )
        try:
            self._decoder = msgspec.msgpack.Decoder(self._model)
            self._schema = _schema(self._model, closed=not rest)
        except (TypeError, NameError) as error:
            raise HandlerError(f"its arguments can't be checked: {error}") from error

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Return the keyword arguments to call the handler with, converted to its types.

        `raw` is a msgpack map. Raises `BadArguments` naming the argument and what was expected.
        """
        if raw == _EMPTY and self._may_be_empty:
            return {}
        try:
            values = self._decoder.decode(raw)
            if self._struct:
                self._refuse_unknown(raw)
                return {self._struct: values}
            named = msgspec.structs.asdict(values)
            return named if self._rest is None else named | self._others(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadArguments(f"{_reworded(str(error))}{self._expected()}") from None

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments as one object."""
        return self._schema

    def _refuse_unknown(self, raw: bytes) -> None:
        # A struct of the user's may ignore unknown fields; a misspelt argument must not pass.
        for name in _any_map.decode(raw):
            if name not in self._known:
                raise BadArguments(f"unknown argument `{name}`{self._expected()}")

    def _others(self, raw: bytes) -> dict[str, Any]:
        others = {k: v for k, v in _any_map.decode(raw).items() if k not in self._known}
        if self._context in others:
            raise BadArguments(f"unknown argument `{self._context}`{self._expected()}")
        return msgspec.convert(others, dict[str, self._rest])  # type: ignore[name-defined]

    def _expected(self) -> str:
        return f"; the handler takes {', '.join(sorted(self._known)) or 'no arguments'}"


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise HandlerError(f"it has no signature that can be read: {error}") from error
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise HandlerError("its first parameter must be the context, as in `def handler(ctx)`")
    for parameter in parameters[1:]:
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL):
            raise HandlerError(
                f"its parameter `{parameter}` can't be given by name, and arguments come by name"
            )
    return parameters


def _hints(function: Any) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise HandlerError(f"its annotations can't be read: {error}") from error


def _check_context(context: Parameter, hints: dict[str, Any]) -> None:
    hint = hints.get(context.name)
    kind = typing.get_origin(hint) or hint
    if isinstance(kind, type) and issubclass(kind, _PLAIN):
        raise HandlerError(
            f"its first parameter is given the context: put `ctx` before `{context}`"
        )


def _struct_parameter(named: list[Parameter], hints: dict[str, Any]) -> str | None:
    if len(named) != 1:
        return None
    hint = hints.get(named[0].name)
    if not (isinstance(hint, type) and issubclass(hint, msgspec.Struct)):
        return None
    if hint.__struct_config__.array_like:
        raise HandlerError(f"{hint.__name__} is array_like, and arguments come by name")
    return named[0].name


def _model(
    name: str, named: list[Parameter], hints: dict[str, Any], *, closed: bool
) -> type[msgspec.Struct]:
    fields = [(p.name, hints.get(p.name, Any), _default(p)) for p in named]
    try:
        return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=closed)
    except (TypeError, ValueError) as error:
        raise HandlerError(f"its arguments can't be checked: {error}") from error


def _default(parameter: Parameter) -> Any:
    default = parameter.default
    if default is Parameter.empty:
        return msgspec.NODEFAULT
    if default is None or isinstance(default, (bool, int, float, str)):
        return default  # appears in the schema
    return msgspec.field(default_factory=lambda: default)  # the very object, as in any call


def _known(model: type[msgspec.Struct]) -> frozenset[str]:
    tag = model.__struct_config__.tag_field
    return frozenset((*model.__struct_encode_fields__, *([tag] if tag else [])))


def _schema(model: type[msgspec.Struct], *, closed: bool) -> dict[str, Any]:
    """Return the schema with the arguments themselves on top, and only nested types beside them."""
    (top,), parts = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    own = top["$ref"].removeprefix("#/$defs/")
    schema = dict(parts[own])
    if closed:
        schema["additionalProperties"] = False
    if top["$ref"].encode() not in msgspec.json.encode(parts):
        del parts[own]  # nothing refers to it; a recursive type would
    return schema | ({"$defs": parts} if parts else {})


def _reworded(text: str) -> str:
    text = text.replace("Object missing required field", "missing argument")
    text = text.replace("Object contains unknown field", "unknown argument")
    what, at, where = text.partition(" - at `$.")
    return f"argument `{where}: {what[0].lower()}{what[1:]}" if at else text
