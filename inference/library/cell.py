"""The process in which a stranger's file is loaded for the first time: a line in, a line out, and
in between nothing but the file. Whatever happens to it happens to nobody else."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

from inference.contract import Finish, Job, Message, ModelSpec, Request, Sampling
from inference.engines.base import LoadError, Setup
from inference.engines.registry import make
from inference.library.jail import Bounds, confine

# Enough to see that it computes; the engine itself decides what else it warms up.
CONTEXT, LENGTH, STEPS = 256, 2, 64


@dataclass(frozen=True, slots=True)
class Trial:
    """What to load and how: the file's whole path, the engine, whether with its fast kernels."""

    path: str
    engine: str
    fast: bool
    memory: int
    computing: int


def main() -> None:
    # It ends with its parent's word or its own, never by a signal that was for the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What native code prints is no word of ours.
    os.dup2(2, 1)
    trial = Trial(**json.loads(sys.stdin.buffer.readline()))
    # ggml starts a debugger to print the stack of an abort.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    engine = make(trial.engine)
    applied = confine(Bounds(trial.memory, trial.computing))
    say(out, defences=applied)
    try:
        compute(engine, trial)
    except LoadError as error:
        say(out, failed="cannot_load", text=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the file is to blame
        say(out, failed="cannot_compute", text=f"{type(error).__name__}: {error}"[:500])
    else:
        say(out, good=True)
    out.flush()
    # What the library would tidy up is not worth a crash.
    os._exit(0)


def say(out: Any, **words: Any) -> None:
    out.write(json.dumps(words) + "\n")
    out.flush()


def compute(engine: Any, trial: Trial) -> None:
    """Load it and let it write two tokens, or make one vector; an exception where it does not."""
    settings = {"context_length": CONTEXT, "slots": 1, "threads": 1}
    spec = ModelSpec("trial", trial.engine, {"path": trial.path}, settings)
    setup = Setup(fast=trial.fast, slots=1, context_length=CONTEXT, gpu_layers=0)
    engine.load(spec, setup, lambda _: None)
    asked: dict[str, Any] = {"inputs": ("Hello",)} if "embed" in trial.engine else {}
    messages = () if asked else (Message("user", "Hello"),)
    sampling = Sampling(temperature=0, max_tokens=LENGTH, ignore_eos=True)
    engine.add(Job(Request("trial", "trial", spec, messages, sampling, **asked)))
    for _ in range(STEPS):
        ends = [event for event in engine.step() if isinstance(event, Finish)]
        if ends and ends[0].error and ends[0].error["kind"] not in HARMLESS:
            raise RuntimeError(json.dumps(asdict(ends[0])["error"]))
        if ends:
            return
    raise RuntimeError(f"No end after {STEPS} steps.")


# A template that does not render, or a model without one: it computes all the same, and who uses it
# is told. A prompt longer than the context is the trial's own fault.
HARMLESS = {"template_failed", "context_length_exceeded"}


if __name__ == "__main__":
    main()
