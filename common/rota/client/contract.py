"""A service as its callers see it: a class or Protocol whose methods are handlers."""

import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from rota.common import names
from rota.common.errors import UsageError

# Calls a handler with arguments by name; the result is to be of the type that comes last.
Ask = Callable[[str, dict[str, Any], Any], Any]


class Method(NamedTuple):
    """One method, and the handler that it calls."""

    handler: str
    signature: Signature  # without `self`
    returns: Any

    def arguments(self, args: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, with the contract's defaults; raises `TypeError`."""
        bound = self.signature.bind(*args, **named)
        bound.apply_defaults()
        return bound.arguments


class Contract:
    """The methods of a contract, checked once; private names are no part of it."""

    def __init__(self, contract: object, name: str | None = None, *, is_async: bool = True) -> None:
        if not isinstance(contract, type):
            raise UsageError(f"contract {contract!r} is not a class")
        service = name or _snake(contract.__name__)
        self._name = contract.__name__
        found = {
            key: function
            for kind in reversed(contract.__mro__)
            for key, function in vars(kind).items()
            if not key.startswith("_") and inspect.isfunction(function)
        }
        if not found:
            raise UsageError(f"contract {self._name} has no methods")
        self.methods = {
            key: _method(f"{self._name}.{key}", f"{service}.{key}", function, is_async=is_async)
            for key, function in found.items()
        }

    def proxy(self, ask: Ask) -> object:
        """Return an object of which each method calls its handler through `ask`."""
        return _Proxy(self._name, self.methods, ask)


class _Proxy:
    def __init__(self, name: str, methods: dict[str, Method], ask: Ask) -> None:
        self._name = name
        for key, method in methods.items():
            setattr(self, key, _bound(method, ask))

    def __repr__(self) -> str:
        return f"<{self._name} by calls>"


def _bound(method: Method, ask: Ask) -> Callable[..., Awaitable[Any]]:
    def call(*args: Any, **named: Any) -> Any:
        return ask(method.handler, method.arguments(args, named), method.returns)

    return call


def _method(where: str, handler: str, function: Any, *, is_async: bool) -> Method:
    if inspect.iscoroutinefunction(function) is not is_async:
        raise UsageError(f"contract: {where} must be {'async def' if is_async else 'def'}")
    if not names.is_handler(handler):
        raise UsageError(f"contract: {where} would call {handler!r}, which no handler can be named")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise UsageError(f"contract: the types of {where} can't be read: {error}") from None
    _, *parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise UsageError(f"contract: {where} takes `{parameter}`; name each argument")
    missing = [p.name for p in parameters if p.name not in hints]
    if missing or "return" not in hints:
        raise UsageError(f"contract: {where} has no type for {', '.join(missing) or 'its result'}")
    return Method(handler, Signature(parameters), hints["return"])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
