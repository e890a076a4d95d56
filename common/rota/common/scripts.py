"""Loads the transitions in `lua/` by name. Each is one atomic script on the store."""

from functools import cache
from hashlib import sha1
from importlib import resources

from rota.common import retention
from rota.common.state import Operation

LEAD = "lead"  # these scripts move no run
RECONCILE = "reconcile"
RECOUNT = "recount"
RECORD = "record"
REGISTER = "register"
LIMITS = "limits"
TURN = "turn"  # two operations in one
SWITCH = "switch"  # without the library: see `plain`
PAUSE = "pause"  # the same
BACKFILL = "backfill"  # the same
ATTEND = "attend"
FORGO = "forgo"
# In this order in front of the scripts.
LIBRARY = ("lib", "fair", "ledger", "calls", "runs", "tasks", "phases", "fills", "ends", "turns")
GATE_MS = 10_000  # two renewals: time for live workers to report what they hold

# At maxmemory the store refuses new work, while the work that it has can still be drained.
_NEEDS_MEMORY = {Operation.ENQUEUE, Operation.CALL, Operation.PLAN}
_ONLY: dict[str, set[str]] = {
    "fills": {Operation.ENQUEUE},
    "ends": {Operation.COMPLETE, TURN},
    "turns": {Operation.CLAIM, Operation.PROMOTE, TURN},
}
_BEHIND = {TURN: (Operation.CLAIM,)}
# To make a library's functions costs a script 5 us each time: where only runs that have tasks or
# phases need them, they are made when the first one does, through `far`.
_FAR = ("tasks", "phases")
_NEAR = {
    *(Operation.ADOPT, Operation.ADVANCE, Operation.CANCEL, Operation.PLAN, Operation.PURGE),
    *(Operation.REPLAY, RECONCILE, FORGO),
}
_OPEN = "local function open()\n"
_OPENED = """end
setmetatable(far, {__index = function(_, name)
  setmetatable(far, nil)
  open()
  return far[name]
end})
"""


def source(name: str) -> str:
    """Return the text of `lua/NAME.lua`."""
    return (resources.files("rota.common") / "lua" / f"{name}.lua").read_text("utf-8")


def libraries(operation: str) -> tuple[str, ...]:
    """Return what is put in front of the script: what all share, and what only some need."""
    return tuple(name for name in LIBRARY if name not in _ONLY or operation in _ONLY[name])


@cache
def script(operation: str, gate_ms: int = GATE_MS) -> tuple[bytes, str]:
    """Return the script of `operation` as the store gets it, and its SHA-1 in hex.

    `gate_ms` is how long the gate stays open after the store may have lost writes.
    """
    shebang = "#!lua\n" if operation in _NEEDS_MEMORY else "#!lua flags=allow-oom\n"
    kept = retention.USUAL
    constants = f"local GATE, LEDGER_RUNS, LEDGER_MS = {gate_ms}, {kept.runs}, {kept.ms}\n"
    names = (*libraries(operation), operation, *_BEHIND.get(operation, ()))
    far = () if operation in _NEAR else _FAR
    texts = [_OPEN * (n in far[:1]) + source(n) + _OPENED * (n in far[-1:]) for n in names]
    text = "".join([shebang, constants, *texts]).encode()
    return text, sha1(text, usedforsecurity=False).hexdigest()


def plain(name: str) -> str:
    """Return a script that stands without the library, to be sent as a whole: it runs seldom."""
    return source(name)
