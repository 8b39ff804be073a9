"""How a model is loaded so that it fits: slots, context and shelf from the file's header and the
memory that is free. It measures nothing and reserves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.engines.base import Setup
from inference.gguf import Header
from inference.library.forecast import margin

MIB = 1 << 20
# f16 or bf16
NUMBER_BYTES = 2
# Without a wish of the admin: the tokens of a conversation, and how far that gives way to slots.
CONTEXT, SHORT_CONTEXT, LEAST_CONTEXT = 8192, 4096, 2048
# Fewer streams than this are helped by a shorter context, then by sharing the cells.
ENOUGH, MOST_SLOTS, MOST_SHARING = 4, 32, 16
# Streams beyond what is enough take no more than this, or than twice the weights: their memory is
# cleared at each load, and a small model is not to need what a big one does.
LIGHT = 2048 * MIB
# Cells that a sequence should have on average where all share them.
SHARE = 1024
SHELF = (64 * MIB, 2048 * MIB)


class TooLargeError(Exception):
    """Not even one short conversation fits beside the weights."""

    kind = "model_too_large"

    def __init__(self, needed: int, free: int) -> None:
        super().__init__(f"The model needs {needed} bytes of memory and {free} are free.")
        self.needed = needed
        self.free = free


@dataclass(frozen=True, slots=True)
class Plan:
    """What is loaded, what it takes, and whether more memory would have made it better.

    `away`: it is computed elsewhere and has no part in the memory of this machine.
    """

    setup: Setup
    bytes: int
    cramped: bool = False
    away: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an admin has set for the model, 0 where nothing."""

    slots: int = 0
    context: int = 0
    gpu_layers: int = -1

    @classmethod
    def of(cls, settings: Mapping[str, Any], slots: int = 0) -> Wishes:
        """From the model's settings, or else the worker's number of slots."""
        layers = settings.get("gpu_layers")
        return cls(
            slots=whole(settings.get("slots")) or slots,
            context=whole(settings.get("context_length")),
            gpu_layers=layers if type(layers) is int else -1,
        )


def plan(header: Header, free: int, wishes: Wishes) -> Plan:
    """As many streams of the context as fit, else a shorter context, else a shared pool; or
    TooLargeError."""
    needs = Needs.of(header)
    rest = free - needs.fixed
    trained = header.context_length or CONTEXT
    wanted = min(trained, wishes.context or CONTEXT)
    least = min(trained, LEAST_CONTEXT, wanted)
    smallest = needs.stream(least)
    if rest < smallest:
        raise TooLargeError(needs.fixed + smallest, max(0, free))
    shelf = min(SHELF[1], max(SHELF[0], rest // 10))
    shelf = shelf if rest - shelf >= smallest else 0
    room = rest - shelf
    streams = _streams(needs, room, wanted, wishes) or _shared(needs, room, wanted, least, wishes)
    used = needs.fixed + shelf + needs.total(streams)
    setup = Setup(
        slots=streams.slots,
        context_length=streams.context,
        shared_cells=streams.cells,
        gpu_layers=wishes.gpu_layers,
        shelf_bytes=shelf,
    )
    enough = streams.slots >= (wishes.slots or ENOUGH) and streams.context == wanted
    return Plan(setup, used, cramped=not enough or bool(streams.cells))


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes: of the weights, of them with all that is there once, of a cell, of a sequence's
    state."""

    weights: int
    fixed: int
    cell: int
    state: int

    @classmethod
    def of(cls, header: Header) -> Needs:
        more = margin(header.vocab_size, header.embedding_length)
        cell = NUMBER_BYTES * header.cell_values
        return cls(header.file_bytes, header.file_bytes + more, cell, header.state_bytes)

    def stream(self, context: int) -> int:
        return context * self.cell + self.state

    def total(self, streams: Streams) -> int:
        cells = streams.cells or streams.slots * streams.context
        return cells * self.cell + streams.slots * self.state


@dataclass(frozen=True, slots=True)
class Streams:
    """`cells`: what all slots share, 0 where each has `context` of its own."""

    slots: int
    context: int
    cells: int = 0


def _streams(needs: Needs, room: int, wanted: int, wishes: Wishes) -> Streams | None:
    """Each with cells of its own, the fastest way. The context gives way where nobody set it."""
    enough = wishes.slots or ENOUGH
    context = wanted
    while needs.stream(context) * enough > room:
        if wishes.context or context // 2 < SHORT_CONTEXT:
            return None
        context //= 2
    stream = max(1, needs.stream(context))
    many = min(room // 2, max(LIGHT, 2 * needs.weights))
    slots = wishes.slots or min(MOST_SLOTS, max(ENOUGH, many // stream))
    return Streams(slots, context)


def _shared(needs: Needs, room: int, wanted: int, least: int, wishes: Wishes) -> Streams:
    """One pool, in which one conversation at least has its whole context."""
    context = wanted if wishes.context else min(wanted, SHORT_CONTEXT)
    slots, cells = 1, least
    for count in [wishes.slots] * bool(wishes.slots) + list(range(MOST_SHARING, 0, -1)):
        found = (room - count * needs.state) // max(1, needs.cell) // 256 * 256
        if found >= max(least, 0 if count == wishes.slots else count * SHARE):
            slots, cells = count, found
            break
    context = min(context, cells)
    alone = slots == 1 or cells >= slots * context
    return Streams(slots, context, 0 if alone else cells)


def whole(value: Any) -> int:
    """A setting as a number above zero; 0 for everything else."""
    return value if type(value) is int and value > 0 else 0
