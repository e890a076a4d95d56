"""What worker and child process say to each other: length-prefixed msgpack, never a pickle."""

import msgspec

from rota.common.message import Failure, JobRequest

MAX_BYTES = 1024 * 1024  # of one frame; far above a request, a result or a failure
HEADER_BYTES = 4  # the length of what follows, big-endian


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """Worker to child: call a handler."""

    job_id: str
    group: str
    attempt: int  # 1 for the first
    due_ms: int  # 0 if it stands for no occurrence
    fence: int
    request: JobRequest
    deadline_ms: int = 0  # since 1970, UTC, when the attempt must have ended


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """Worker to child: clean up and leave."""

    seconds: float  # how long that may take before you are killed


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """Worker to child: the store's answer to a note."""

    number: int
    word: str
    units: bytes  # what was asked for, msgpack


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Child to worker: the app is loaded."""


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """Child to worker: what the handler tells of its run."""

    number: int  # different for each note of the child
    fence: int  # of the run: it may have ended meanwhile
    asked: bool
    progress: bytes  # this and `units` as in `rota.common.noting.Note`
    units: bytes


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """Child to worker: the handler returned."""

    result: bytes  # msgpack, empty for None


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Child to worker: the handler raised, or the app could not be loaded."""

    failure: Failure
    fatal: bool = False  # trying again would not help
    kinds: tuple[str, ...] = ()  # the names of its class and those above it


Order = Run | Told | End
Reply = Ready | Note | Done | Failed

_encoder = msgspec.msgpack.Encoder()
_order: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def pack(content: Order | Reply) -> bytes:
    """Return `content` as a frame; raises `ValueError` if it is too big."""
    body = _encoder.encode(content)
    if len(body) > MAX_BYTES:
        raise ValueError(f"a frame of {len(body):,} bytes is more than {MAX_BYTES:,}")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def size(header: bytes) -> int:
    """Return how many bytes follow `header`; raises `ValueError` if they are too many."""
    length = int.from_bytes(header, "big")
    if length > MAX_BYTES:
        raise ValueError(f"a frame of {length:,} bytes is more than {MAX_BYTES:,}")
    return length


def order_of(body: bytes) -> Order:
    """Return the order in the body of a frame; raises `ValueError` if it is none."""
    return _order.decode(body)


def reply_of(body: bytes) -> Reply:
    """Return the reply in the body of a frame; raises `ValueError` if it is none."""
    return _reply.decode(body)
