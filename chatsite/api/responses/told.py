"""One generation read into a response's events: live, from a log that has ended, or from its row.
It makes no event itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatsite.api.calls import Choice, Piece
from chatsite.api.responses.events import Events
from chatsite.api.responses.frame import Ending
from chatsite.gateway import order
from chatsite.gateway.growth import plain
from chatsite.gateway.nouns import CallDelta, End, Entry


@dataclass(slots=True)
class Told(Choice):
    """How far a log has been read, and what it says. `torn`: the log was put back and goes on in a
    way that does not continue what was read; it has to be read again from its beginning, by another
    of these with the same events, which tells nothing twice."""

    events: Events = field(kw_only=True)
    torn: bool = False
    # Of what the log said from its beginning: the order, the characters, the names of its calls.
    runs: order.Runs = field(default_factory=list)
    said: int = 0
    names: dict[int, str] = field(default_factory=dict)

    def read(self, entries: Sequence[Entry]) -> Piece:
        """What was said goes to the events; the piece stays empty."""
        for entry in entries:
            if not (self.ended or self.torn):
                self._take(entry)
        return Piece(self.number)

    def _take(self, entry: Entry) -> None:
        if entry.tokens is not None and entry.position > self.position:
            self._grow(Piece(self.number), entry)
        elif entry.end is not None:
            self._end(entry.position, entry.end)
        elif entry.phase and entry.phase != "waiting":
            self.events.begin()

    def _grow(self, piece: Piece, entry: Entry) -> None:
        begin = entry.position - len(entry.tokens or ())
        if begin == 0:
            self.runs, self.said = [], 0
        elif begin != self.position:
            self.torn = True
            return
        self.position = entry.position
        self.events.begin()
        if entry.logprobs:
            self.events.hear(list(entry.logprobs[self.events.heard - begin :]))
        calls = cleaned(entry.calls)
        text, reasoning = plain(entry.text), plain(entry.reasoning)
        if entry.runs:
            self.runs = order.read(entry.runs)
            self.names |= {call.index: call.name for call in calls}
            arguments = [call.arguments for call in calls]
            self._tell(list(order.unroll(self.runs, text, reasoning, arguments)))
        else:
            self._add(text, reasoning, calls)

    def _end(self, position: int, end: End) -> None:
        if position > self.position:
            self.torn = True
            return
        finish = end.finish
        self._add(plain(finish.text), plain(finish.reasoning), cleaned(finish.calls))
        self.ended = True
        thought = order.tokens(self.runs, order.REASONING)
        self.events.end(Ending(finish.reason, finish.error, end.stats, thought))

    def _add(self, text: str, reasoning: str, calls: Sequence[CallDelta]) -> None:
        self.names |= {call.index: call.name for call in calls if call.name}
        self._tell(order.extend(self.runs, self.position, text, reasoning, calls))

    def _tell(self, parts: Sequence[tuple[int, str]]) -> None:
        """Tell what was not told yet: a log that was put back says it once more."""
        for lane, words in parts:
            known = max(0, min(len(words), self.events.told - self.said))
            self.said += len(words)
            self.events.tell(lane, words[known:], self.names.get(lane, ""))


def cleaned(calls: Sequence[CallDelta]) -> list[CallDelta]:
    return [CallDelta(each.index, plain(each.name), plain(each.arguments)) for each in calls]
