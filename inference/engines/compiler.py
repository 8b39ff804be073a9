"""Shapes of answers, each tried in a fork first, which may crash, fill its memory or never end:
what comes back as a grammar is harmless. It knows no grammar itself: the engine lends a judge."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from inference.contract import Shape
from inference.engines.trial import Trial

# Made of a shape in the fork: {"gbnf"}, or {"kind", "detail"} of what is wrong with it.
Judge = Callable[[Shape], dict[str, str]]
# Characters of a schema or a grammar as it comes.
SOURCE = 64_000
# Grammars that are remembered, and trials at once.
KEPT, TRIALS = 128, 2
# Seconds that a trial may take, where others have the processor most of the time; of computing it
# gets two at most.
TRIAL = 6.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a grammar is not used. `kind`: bad_schema, bad_grammar or grammar_too_complex."""

    kind: str
    detail: str = ""


def bad(shape: Shape) -> str:
    """The kind of a refusal that is the shape's own fault."""
    return "bad_grammar" if shape.kind in {"grammar", "regex", "choice"} else "bad_schema"


class Compilation:
    """A trial that runs, waits for its turn, or has ended."""

    def __init__(self, compiler: Compiler, shape: Shape) -> None:
        self.shape = shape
        self.trial: Trial | None = None
        self.result: str | Refusal | None = None
        self._compiler = compiler

    def poll(self) -> str | Refusal | None:
        """The grammar, or why there is none; None while it is not known. Never waits."""
        if self.result is None:
            self._compiler.proceed()
        return self.result

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if self.result is None:
            self.result = Refusal("grammar_too_complex", "Nobody waits for it.")
            if self.trial:
                self.trial.kill()

    def begin(self, judge: Judge) -> None:
        try:
            self.trial = Trial(partial(judge, self.shape), TRIAL)
        except OSError:
            # No memory for a copy, or too many processes.
            self.result = Refusal("grammar_too_complex", "There is no room for a trial.")

    def look(self) -> None:
        if self.trial and self.result is None and (said := self.trial.poll()) is not None:
            if "gbnf" in said:
                self.result = said["gbnf"]
            else:
                kind = said.get("kind", "grammar_too_complex")
                self.result = Refusal(kind, said.get("detail", "The trial died."))


class Compiler:
    """Tries shapes in forks, few at a time, and remembers what came out."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._known: OrderedDict[Shape, str | Refusal] = OrderedDict()
        self._waiting: deque[Compilation] = deque()
        self._running: list[Compilation] = []

    def start(self, shape: Shape) -> Compilation:
        compilation = Compilation(self, shape)
        if shape in self._known:
            self._known.move_to_end(shape)
            compilation.result = self._known[shape]
        elif len(shape.value) > SOURCE:
            compilation.result = Refusal(bad(shape), "It is too long.")
        else:
            self._waiting.append(compilation)
            self.proceed()
        return compilation

    def proceed(self) -> None:
        """Take in what has ended, start what may start."""
        for each in self._running:
            each.look()
            # A trial that was cut short says nothing of the next.
            if each.result and each.trial and not each.trial.late:
                self._remember(each.shape, each.result)
        self._running = [each for each in self._running if each.result is None]
        while self._waiting and len(self._running) < TRIALS:
            each = self._waiting.popleft()
            each.result = each.result or self._known.get(each.shape)
            if each.result is None:
                each.begin(self._judge)
                self._running.append(each)

    def _remember(self, shape: Shape, result: str | Refusal) -> None:
        self._known[shape] = result
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
