"""The engine child: one model, one pipe in, one pipe out, JSON lines. It ends when its pipe closes.

In: {"load": spec, "setup": setup} once, then {"add": job}, {"cancel": id} and {"close": true}.
Out: {"loading": fraction}, then {"ready": info} or {"failed": error}, then {"events": […]} for each
step and {"stats": {…}} about once a second; {"closed": true} at last.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from inference.contract import Event, Finish, Job, ModelSpec, Request, Tokens, pack
from inference.descent import die_with_parent, end_group, lead
from inference.engines.base import Engine, Setup
from inference.engines.registry import make

log = logging.getLogger("inference.engine")
# Seconds between two reports of the figures.
PULSE = 1.0
# Seconds that commands may take between two steps.
HEARING = 0.02
# Seconds for which tokens are held back, at most, beside the step at work.
HELD = 0.05


class Pipe:
    """The parent's end of the world: commands come in by a thread, messages go out by lines."""

    def __init__(self) -> None:
        # Native code prints to fd 1: it gets the log, and the pipe a number of its own.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._commands.put(json.loads(line))
        # The parent is gone; native code may be in the middle of a step, so no clean-up. What the
        # engine has started goes with it, where it leads a group.
        if os.getpgrp() == os.getpid():
            end_group(os.getpid())
        os._exit(0)

    def get(self, *, wait: bool) -> dict[str, Any] | None:
        try:
            return self._commands.get(block=wait)
        except queue.Empty:
            return None

    def send(self, **message: Any) -> None:
        self._out.write(json.dumps(message, ensure_ascii=False) + "\n")
        self._out.flush()


def main() -> None:
    # Both reach whole process groups, and this one ends when its pipe closes, not before its parent
    # has heard of the stop and given back what is in work. They were held back until here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s engine %(message)s")
    lead()
    pipe = Pipe()
    engine = start(pipe)
    if engine:
        serve(engine, pipe)


def serve(engine: Engine, pipe: Pipe) -> None:
    """Steps while there is work, then what can wait, then sleep until somebody asks."""
    told, more, outbox = 0.0, True, Outbox(pipe)
    while True:
        until = time.monotonic() + HEARING
        # Those who write get their step even where questions come without end.
        while (not engine.busy() or time.monotonic() < until) and (
            command := pipe.get(wait=not engine.busy() and not more)
        ):
            if "close" in command:
                engine.close()
                pipe.send(closed=True)
                return
            obey(engine, command, outbox)
        if engine.busy():
            more = True
            outbox.put(engine.step(), last=not engine.busy())
        else:
            more = engine.rest()
        if time.monotonic() - told > PULSE or not (more or engine.busy()):
            told = time.monotonic()
            pipe.send(stats=engine.stats())


class Outbox:
    """Events on their way out. What everybody awaits goes at once; further tokens of quick steps
    are held for a moment and go together, since each message costs the processors that compute."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._tokens: dict[str, Tokens] = {}
        self._others: list[Event] = []
        # Those whose first token is out.
        self._begun: set[str] = set()
        self._sent = 0.0

    def put(self, events: list[Event], *, last: bool) -> None:
        """`last`: nothing follows that could take it along."""
        for event in events:
            if isinstance(event, Tokens):
                held = self._tokens.get(event.id)
                self._tokens[event.id] = held.joined(event) if held else event
            else:
                self._others.append(event)
        awaited = self._others or self._tokens.keys() - self._begun
        if awaited or last or time.monotonic() - self._sent > HELD:
            self._send()

    def _send(self) -> None:
        self._sent = time.monotonic()
        # An end comes after its tokens.
        events = [*self._tokens.values(), *self._others]
        self._begun |= self._tokens.keys()
        self._begun -= {event.id for event in events if isinstance(event, Finish)}
        self._tokens, self._others = {}, []
        if events:
            self._pipe.send(events=[pack(event) for event in events])


def start(pipe: Pipe) -> Engine | None:
    """The engine that the first command asks for, loaded; None where it cannot be."""
    command = pipe.get(wait=True)
    assert command is not None
    spec = ModelSpec.from_dict(command["load"])
    try:
        engine = make(spec.engine)
        info = engine.load(
            spec, Setup.from_dict(command["setup"]), lambda fraction: pipe.send(loading=fraction)
        )
    except Exception as error:
        # Whatever it was: a model that cannot be loaded is no reason to try five times.
        log.exception("%s cannot be loaded.", spec.name)
        facts = getattr(error, "facts", {})
        pipe.send(failed={"kind": getattr(error, "kind", "model_load_failed"), **facts})
        return None
    pipe.send(ready=asdict(info))
    return engine


def obey(engine: Engine, command: dict[str, Any], outbox: Outbox) -> None:
    if "add" in command:
        request = Request.from_json(command["add"]["request"])
        if request.task:
            outbox.put([answer(engine, request)], last=True)
        else:
            given = command["add"]
            known = (given["text"], given["reasoning"])
            engine.add(Job(request, tuple(given["tokens"]), given["attempt"], *known))
    elif "cancel" in command:
        engine.cancel(command["cancel"])


def answer(engine: Engine, request: Request) -> Finish:
    """What a task found. Whatever is wrong with it must not end the engine that others use."""
    try:
        return Finish(request.id, "stop", found=engine.answer(request))
    except Exception as error:
        log.exception("A question about tokens has no answer.")
        kind = getattr(error, "kind", "task_failed")
        return Finish(request.id, "error", error={"kind": kind})


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    # An engine has started this process, and multiprocessing reads the engine's main module first.
    die_with_parent()
