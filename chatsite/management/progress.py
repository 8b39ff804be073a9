"""A delivery on the command line: a bar on a terminal, plain lines over a pipe. It decides
nothing."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TextIO
from uuid import UUID

from django.utils.translation import gettext

from chatsite.catalogue import deliveries, troubles
from chatsite.catalogue.models import Delivery

# Seconds between two looks, and between two lines over a pipe where nothing else is new.
PAUSE, QUIET = 0.25, 10.0
BAR = 24
UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(slots=True)
class Progress:
    """`out` gets what was brought, `err` how it goes."""

    err: TextIO
    shown: str = ""
    said: float = 0.0

    def follow(self, pk: UUID) -> Delivery:
        """Until it has ended, or was paused by somebody; its row then."""
        while True:
            row = deliveries.catch_up(pk)
            ended = not row.is_live
            self.show(row, last=ended)
            if ended or row.state == Delivery.State.PAUSED:
                self.leave()
                return row
            time.sleep(PAUSE)

    def show(self, row: Delivery, *, last: bool = False) -> None:
        if self.err.isatty():
            text = line(row)
            padding = " " * max(0, len(self.shown) - len(text))
            self.err.write(f"\r{text}{padding}")
            self.err.flush()
            self.shown = text
            return
        told = plain(row)
        if told != self.shown or last or time.monotonic() - self.said > QUIET:
            self.err.write(line(row, bar=False) + "\n")
            self.err.flush()
            self.shown, self.said = told, time.monotonic()

    def leave(self) -> None:
        """What comes next begins on a line of its own."""
        if self.err.isatty() and self.shown:
            self.err.write("\n")
            self.shown = ""


def plain(row: Delivery) -> str:
    """What is worth a line: each tenth of the way, and each new step."""
    tenth = int(10 * (row.fraction or 0))
    return f"{row.state} {row.phase} {row.file} {tenth}"


def line(row: Delivery, *, bar: bool = True) -> str:
    parts = [row.phase or row.state]
    if row.fraction is not None:
        full = int(BAR * row.fraction)
        drawn = [f"[{'#' * full}{'.' * (BAR - full)}]"] if bar else []
        parts += [*drawn, f"{100 * row.fraction:3.0f} %"]
        parts.append(f"{size(row.done)} of {size(row.total)}")
    if row.speed > 0:
        parts.append(f"{size(row.speed)}/s")
    if (left := row.seconds_left) is not None:
        parts.append(f"{left // 60}:{left % 60:02d} left")
    return "  ".join(parts)


def size(count: float) -> str:
    """As disks are sold: powers of a thousand."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit in UNITS[:2] else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def outcome(row: Delivery) -> str:
    """One sentence about how it ended."""
    if row.state == Delivery.State.DONE:
        if row.model is not None and row.kind != Delivery.Kind.EXPORT:
            told = gettext("%(name)s is ready to use: %(command)s")
            return told % {"name": row.model.name, "command": f"manage.py chat {row.model.name}"}
        return gettext("Done.")
    if row.state == Delivery.State.CANCELLED:
        return gettext("It was cancelled.")
    if row.state == Delivery.State.PAUSED:
        return gettext("It is paused. What has come is kept.")
    return troubles.explain(row.error)


def standard() -> Progress:
    return Progress(sys.stderr)
