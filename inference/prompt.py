"""Chat templates of model files: rendered in a sandbox, bounded in time and size. They are code of
strangers."""

from __future__ import annotations

import ctypes
import json
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jinja2 import TemplateError, Undefined
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

from inference.contract import Message

# Used where a model file carries no template of its own.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SECONDS = 2.0
# Characters of template output beyond the messages' own; no real template comes near.
EXTRA = 200_000
# Memory that a template may take beyond what the process has, in bytes.
MEMORY = 256 << 20
# Above this many bits or elements, arithmetic would take seconds in which no thread can be stopped.
BIGGEST = 1_000_000
Result = TypeVar("Result")


class PromptError(Exception):
    """The template cannot be rendered for these messages. `kind` is stable."""

    kind = "template_failed"


class TooSlowError(PromptError):
    """Raised inside the rendering thread when its time is up."""


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox, and arithmetic that cannot hold the interpreter for long."""

    # Those that grow their operands; the rest is bounded by the memory and the time.
    intercepted_binops = frozenset({"*", "**"})

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        # The sandbox would print nothing in its place: no honest template asks for such a thing.
        raise SecurityError(f"{attribute!r} is not for templates.")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (_bits(left) * abs(right) <= BIGGEST):
            raise PromptError("The chat template of this model computes too much.")
        if operator == "*" and _bits(left) + _bits(right) > BIGGEST:
            raise PromptError("The chat template of this model computes too much.")
        return super().call_binop(context, operator, left, right)


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


class Template:
    """A compiled chat template; `render` may be called again and again."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """Compile; raises PromptError where the source is no template."""
        environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.filters["tojson"] = _tojson
        environment.globals = {"raise_exception": _raise, "strftime_now": _now, "range": safe_range}
        environment.globals["namespace"] = Namespace
        self._tokens = {"bos_token": bos, "eos_token": eos}
        # Bounded, too: Jinja computes constant expressions when it compiles.
        self._template = _bounded(lambda: environment.from_string(source))

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for these messages, ending where the answer begins; raises PromptError."""
        turns = [{"role": m.role, "content": m.content} for m in messages]
        limit = sum(len(m.content) for m in messages) * 2 + EXTRA
        return _bounded(lambda: self._generate(turns, limit))

    def _generate(self, turns: list[dict[str, str]], limit: int) -> str:
        parts: list[str] = []
        size = 0
        for part in self._template.generate(
            messages=turns, add_generation_prompt=True, **self._tokens
        ):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise PromptError("The chat template of this model writes without end.")
        return "".join(parts)


def _bounded(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread of its own and stop it when its time or its memory is up."""
    result: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with _short_of_memory():
        thread.start()
        thread.join(SECONDS)
    if thread.is_alive():
        _interrupt(thread)
        raise PromptError("The chat template of this model takes too long.")
    if failure:
        if isinstance(failure[0], PromptError):
            raise failure[0]
        raise PromptError("The chat template of this model refuses these messages.") from failure[0]
    return result[0]


@contextmanager
def _short_of_memory() -> Iterator[None]:
    """Let the whole process grow by no more than MEMORY for a while: 'x' doubled forty times is a
    terabyte. The engine child computes nothing else meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    limit = pages * resource.getpagesize() + MEMORY
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _interrupt(thread: threading.Thread) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TooSlowError)
    )


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)


def _tojson(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
