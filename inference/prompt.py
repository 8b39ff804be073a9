"""Chat templates of model files: rendered in a sandbox, bounded in time and size. They are code of
strangers."""

from __future__ import annotations

import ctypes
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace

from inference.contract import Message
from inference.turns import RefusalError, adapt, merged, turn_of

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
# Where a message that is to be continued ends; characters that mean nothing to anybody, that no
# filter strips and that are spelled the same in JSON.
END = "\ue000\ue001\ue000"
EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
# What a caller may tell a template, and which values of it; anything else could be anything.
KWARGS: dict[str, Callable[[Any], bool]] = {
    "enable_thinking": lambda value: isinstance(value, bool),
    "thinking": lambda value: isinstance(value, bool),
    "clear_thinking": lambda value: isinstance(value, bool),
    "reasoning_effort": lambda value: isinstance(value, str) and value in EFFORTS,
    "thinking_budget": lambda value: type(value) is int and -1 <= value <= 1_000_000,
}


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


class KwargsError(PromptError):
    """A template was to be told what it may not be told; `key` names it."""

    kind = "template_kwargs_refused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The chat template cannot be told {key[:64]!r}, or not this value of it.")
        self.key = key


class Generation(Extension):
    """{% generation %} marks what a model is trained on; for a prompt it means nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Template:
    """A compiled chat template; `render` may be called again and again."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """Compile; raises PromptError where the source is no template."""
        environment = Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
        )
        environment.filters["tojson"] = _tojson
        environment.globals = {"raise_exception": _raise, "strftime_now": _now, "range": safe_range}
        environment.globals["namespace"] = Namespace
        self._tokens = {"bos_token": bos, "eos_token": eos}
        # Bounded, too: Jinja computes constant expressions when it compiles.
        self._template = _bounded(lambda: environment.from_string(source), SECONDS)
        # A template that never looks at tools would leave them out without a word.
        self.takes_tools = "tools" in source
        self._heard: bool | None = None

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        template_kwargs: Mapping[str, Any] = MappingProxyType({}),
        continue_last: bool = False,
        opened: bool = True,
    ) -> str:
        """The prompt for these messages, ending where the answer begins, or with `continue_last`
        where the last message does, or behind it (not `opened`); raises PromptError."""
        given: dict[str, Any] = dict(_checked(template_kwargs))
        # None where there are none: templates ask for that as well as for `is defined`.
        given |= {"tools": [dict(tool) for tool in tools] or None, "documents": None}
        turns = [turn_of(message) for message in messages]
        if continue_last:
            _mark_end(turns)
        given["add_generation_prompt"] = opened and not continue_last
        text = self._attempt(turns, given)
        if not continue_last:
            return text
        text, mark, _ = text.rpartition(END)
        if not mark:
            raise PromptError("The chat template of this model does not show the last message.")
        return text

    def _attempt(self, turns: list[dict[str, Any]], given: dict[str, Any]) -> str:
        """Render, and again in the form that the template asks for where it refuses this one; all
        within one time limit."""
        deadline = time.monotonic() + SECONDS
        while True:
            left = deadline - time.monotonic()
            try:
                text = _bounded(partial(self._generate, turns, given), left)
            except PromptError as error:
                adapted = adapt(turns, error.__cause__)
                if adapted is None:
                    raise
                turns = adapted
                continue
            if turns == merged(turns) or self._hears(given):
                return text
            turns = merged(turns)

    def _hears(self, given: dict[str, Any]) -> bool:
        """Whether the template shows a system prompt; some leave it out without a word."""
        if self._heard is None:
            turns = [{"role": "system", "content": END}, {"role": "user", "content": "?"}]
            plain = given | {"tools": None, "add_generation_prompt": True}
            try:
                text = _bounded(partial(self._generate, turns, plain), SECONDS)
            except PromptError:
                text = END
            self._heard = END in text
        return self._heard

    def _generate(self, turns: list[dict[str, Any]], given: dict[str, Any]) -> str:
        room = len(_tojson([turns, given["tools"]])) * 4 + EXTRA
        parts: list[str] = []
        size = 0
        for part in self._template.generate(messages=turns, **self._tokens, **given):
            parts.append(part)
            size += len(part)
            if size > room:
                raise PromptError("The chat template of this model writes without end.")
        return "".join(parts)


def _checked(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    for key, value in kwargs.items():
        if key not in KWARGS or not KWARGS[key](value):
            raise KwargsError(str(key))
    return kwargs


def _mark_end(turns: list[dict[str, Any]]) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        raise PromptError("Only an answer can be continued.")
    turns[-1]["content"] += END


def _bounded(work: Callable[[], Result], seconds: float) -> Result:
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
        thread.join(seconds)
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
    raise RefusalError(message)


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """With the arguments that templates are written for; Jinja's own would escape HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
