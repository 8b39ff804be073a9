"""The use of many days as bars: where each stands, in the units of a drawing. It reads no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatsite.metering.figures import Day

# Units of the drawing: a day's column, its bar, and the height of all.
COLUMN, BAR, HEIGHT = 20, 14, 200


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: the answer's tokens stand on the prompt's."""

    day: Day
    left: int
    x: int
    prompt_y: int
    prompt_height: int
    written_y: int
    written_height: int


@dataclass(frozen=True, slots=True)
class Chart:
    bars: Sequence[Bar]
    # What the upper edge stands for.
    top: int
    width: int
    height: int = HEIGHT
    column: int = COLUMN
    bar: int = BAR


def draw(days: Sequence[Day]) -> Chart:
    top = ceiling(max((day.tokens for day in days), default=0))
    bars = [_bar(number, day, top) for number, day in enumerate(days)]
    return Chart(bars, top, len(days) * COLUMN)


def _bar(number: int, day: Day, top: int) -> Bar:
    prompt, written = _height(day.prompt_tokens, top), _height(day.completion_tokens, top)
    left = number * COLUMN
    return Bar(
        day=day,
        left=left,
        x=left + (COLUMN - BAR) // 2,
        prompt_y=HEIGHT - prompt,
        prompt_height=prompt,
        written_y=HEIGHT - prompt - written,
        written_height=written,
    )


def _height(tokens: int, top: int) -> int:
    """What was used at all is seen, however little it is."""
    return max(1, tokens * (HEIGHT - 2) // top) if tokens else 0


def ceiling(most: int) -> int:
    """The next round number: one digit with zeros."""
    step = 1
    while step * 10 < most:
        step *= 10
    return max(1, -(-most // step) * step)
