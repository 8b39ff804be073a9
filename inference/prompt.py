"""Chat templates of model files: rendered in a sandbox, bounded in time and size. They are code of
strangers."""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inference.contract import Message

# Used where a model file carries no template of its own.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SECONDS = 2.0
# Characters of template output beyond the messages' own; no real template comes near.
EXTRA = 200_000


class PromptError(Exception):
    """The template cannot be rendered for these messages. `kind` is stable."""

    kind = "template_failed"


class TooSlowError(PromptError):
    """Raised inside the rendering thread when its time is up."""


class Template:
    """A compiled chat template; `render` may be called again and again."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "") -> None:
        """Compile; raises PromptError where the source is no template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals = {"raise_exception": _raise, "strftime_now": _now, "range": range}
        environment.globals["namespace"] = _namespace()
        self._tokens = {"bos_token": bos, "eos_token": eos}
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise PromptError("The chat template of this model is damaged.") from error

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


def _bounded(work: Any) -> str:
    """Run `work` in a thread of its own and stop it when its time is up."""
    result: list[str] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
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


def _namespace() -> Any:
    from jinja2.utils import Namespace

    return Namespace
