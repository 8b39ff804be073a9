"""From a request to the tokens that a model reads: template, history, and marks that a user may not
forge. Knows no engine: an engine lends its vocabulary."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

from inference.contract import Message, Request, Shape, Task, ToolCall
from inference.parse.formats import HERMES, PLAIN, VERBATIM, Format, detect
from inference.parse.shapes import either
from inference.plain_tools import ToolsError, spell_out
from inference.prompt import CHATML, PromptError, Template
from inference.spelling import spell, told


class Vocabulary(Protocol):
    """What an engine's tokens spell."""

    size: int

    @property
    def first(self) -> int | None:
        """The token that begins every document; None where the model was trained without."""

    @property
    def controls(self) -> dict[int, str]:
        """The tokens that are marks, such as <|im_end|>, and their texts."""

    def tokenize(self, text: str) -> list[int]:
        """Token ids; marks in the text become the tokens that they name."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token; a mark has none."""


class NoVectorsError(PromptError):
    """Vectors are for embedding models."""

    kind = "wrong_model"


class TooLongError(Exception):
    """The prompt alone fills the context."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads. The first `published` tokens may be shared between users."""

    text: str
    tokens: list[int]
    left_out: int = 0
    published: int = 0


class Intake:
    """Reads requests for one model."""

    def __init__(
        self, vocab: Vocabulary, context_length: int, source: str, *, bos: str = "", eos: str = ""
    ) -> None:
        """`source` is the model's chat template, "" for none; raises PromptError where it is
        broken."""
        self._vocab, self._room = vocab, context_length
        self._template = Template(source or CHATML, bos=bos, eos=eos)
        self.format: Format = detect(source or CHATML)
        marks = [mark for mark in vocab.controls.values() if _forgeable(mark)]
        longest_first = sorted(map(re.escape, marks), key=len, reverse=True)
        self._marks = re.compile("|".join(longest_first)) if marks else None
        self._head = self._opening()

    @property
    def marks(self) -> frozenset[str]:
        """Texts of the special tokens that must be seen in answers."""
        plain = HERMES.marks if self.format.family is PLAIN else frozenset()
        return self.format.marks | plain

    def format_for(self, request: Request) -> Format:
        """How the answer to a request is read."""
        if request.prompt is not None:
            return VERBATIM
        if self.format.family is PLAIN and request.must_call:
            # It has no form of its own for calls.
            return replace(self.format, family=HERMES)
        return self.format

    def shape_for(self, request: Request) -> Shape | None:
        """The form of the answer; None where a call is wanted that cannot be forced."""
        tools, choice, parallel = request.tools, request.tool_choice, request.parallel_tool_calls
        format = self.format_for(request)
        if request.must_call:
            return format.call_shape(tools, choice, parallel)
        if choice == "none" or request.shape.kind not in {"json", "schema"}:
            return request.shape
        call = format.call_shape(tools, "required", parallel)
        return either(call, request.shape) if call else request.shape

    def read(self, request: Request) -> Prompt:
        """The prompt; raises PromptError, or TooLongError where it leaves no room for an
        answer."""
        if request.inputs:
            raise NoVectorsError("This model writes answers.")
        if request.prompt is not None:
            return self._checked(Prompt(request.prompt, self._spell(request.prompt)), 1)
        messages = list(request.messages)
        asked = request.sampling.max_tokens or 1024
        reserve = min(asked, self._room // 4) if request.drop_oldest else 1
        while True:
            try:
                left_out = len(request.messages) - len(messages)
                return self._checked(self._render(request, messages, left_out), reserve)
            except TooLongError:
                shorter = without_oldest(messages) if request.drop_oldest else messages
                if len(shorter) == len(messages):
                    raise
                messages = shorter

    def answer(self, request: Request) -> dict[str, Any]:
        """What a task asks for; an exception's `kind` says why it cannot be told."""
        task = request.task
        assert task
        if task.kind == "detokenize":
            return {"text": spell(self._vocab, task.tokens)}
        return told(self._vocab, self._asked(request, task), self._room, pieces=task.pieces)

    def _asked(self, request: Request, task: Task) -> list[int]:
        if request.prompt is not None:
            tokens = self._vocab.tokenize(request.prompt)
            return self._begun(tokens) if task.special else tokens
        tokens = self._render(request, list(request.messages), 0).tokens
        first = self._vocab.first
        return [first, *tokens] if task.special and first is not None else tokens

    def _checked(self, prompt: Prompt, reserve: int) -> Prompt:
        if not prompt.tokens:
            raise PromptError("There is nothing to read in this prompt.")
        if len(prompt.tokens) + reserve > self._room:
            raise TooLongError(len(prompt.tokens))
        return prompt

    def _render(self, request: Request, messages: list[Message], left_out: int) -> Prompt:
        seam = _unused(messages)
        tools = request.tools if request.tool_choice != "none" else ()
        if not self._template.takes_tools:
            if tools and not request.must_call:
                raise ToolsError("The chat template of this model knows no tools.")
            messages, tools = spell_out(messages, tools), ()
        task = request.task
        text = self._template.render(
            [self._disarm(message, seam) for message in messages],
            tools=tools,
            template_kwargs=request.template_kwargs,
            opened=task is None or task.opened,
            continue_last=task is not None and task.continued,
        )
        tokens = self._tokens(text, messages, seam)
        published = self._published(text, messages, tokens, request.template_kwargs)
        return Prompt(text.replace(seam, ""), tokens, left_out, published)

    def _disarm(self, message: Message, seam: str) -> Message:
        """The message with each mark in its words broken by a seam, at which the text will be cut:
        its halves are no mark."""

        def broken(text: str) -> str:
            return self._marks.sub(lambda m: m[0][0] + seam + m[0][1:], text) if self._marks else ""

        if not self._marks or not self._marks.search(
            " ".join([message.content, *(call.arguments for call in message.tool_calls)])
        ):
            return message
        calls = (ToolCall(c.id, c.name, broken(c.arguments)) for c in message.tool_calls)
        return replace(message, content=broken(message.content), tool_calls=tuple(calls))

    def _tokens(self, text: str, messages: list[Message], seam: str) -> list[int]:
        """The text's tokens. An answer of this model gets those with which it was written: spelled
        anew it may have others, and what is cached of it would not match."""
        cuts = [(0, 0, ()), *self._answers(text, messages), (len(text), len(text), ())]
        tokens: list[int] = []
        for (_, begin, known), (end, _, _) in pairwise(cuts):
            tokens += known
            for part in text[begin:end].split(seam):
                tokens += self._vocab.tokenize(part)
        return self._begun(tokens)

    def _answers(
        self, text: str, messages: list[Message]
    ) -> list[tuple[int, int, tuple[int, ...]]]:
        """Where answers with known tokens stand in the text: begin, end, tokens."""
        found: list[tuple[int, int, tuple[int, ...]]] = []
        at = 0
        for message in messages:
            words = message.content if message.tokens else message.content.strip()
            begin = text.find(words, at) if words else -1
            if begin < 0:
                continue
            at = begin + len(words)
            if message.tokens and self._spelled(message.tokens) == words:
                found.append((begin, at, message.tokens))
        return found

    def _spelled(self, tokens: tuple[int, ...]) -> str:
        if not all(0 <= token < self._vocab.size for token in tokens):
            return ""
        return b"".join(map(self._vocab.piece, tokens)).decode(errors="replace")

    def _published(
        self, text: str, messages: list[Message], tokens: list[int], kwargs: Mapping[str, Any]
    ) -> int:
        """How many leading tokens are the template's or an admin's words alone."""
        head = len(self._head) if tokens[: len(self._head)] == self._head else 0
        if not messages or not messages[0].published:
            return head
        words = messages[0].content.strip()
        begin = text.find(words)
        shared = text[: begin + len(words)]
        if begin < 0 or not self._opens(shared, messages[0], kwargs):
            return head
        own = self._begun(self._vocab.tokenize(shared))
        return max(head, _common(own, tokens))

    def _opens(self, text: str, system: Message, kwargs: Mapping[str, Any]) -> bool:
        """Whether anybody's conversation with this system prompt begins so: some templates put
        somebody's tools or all earlier turns before it."""
        with contextlib.suppress(PromptError):
            others = [system, Message("user", "a")]
            return self._template.render(others, template_kwargs=kwargs).startswith(text)
        return False

    def _opening(self) -> list[int]:
        """What the template itself puts before every conversation, such as a system prompt of its
        own."""
        with contextlib.suppress(PromptError):
            texts = [self._template.render([Message("user", word)]) for word in ("a", "Why")]
            one, other = ([*self._begun(self._vocab.tokenize(text))] for text in texts)
            return one[: _common(one, other)]
        return []

    def _spell(self, text: str) -> list[int]:
        return self._begun(self._vocab.tokenize(text))

    def _begun(self, tokens: list[int]) -> list[int]:
        """With the token that begins a document, where the model was trained with one."""
        first = self._vocab.first
        return tokens if first is None or tokens[:1] == [first] else [first, *tokens]


def without_oldest(messages: list[Message]) -> list[Message]:
    """One turn (a question, its answer and their tools) less; system messages and the last
    question stay."""
    first = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    later = range(first + 1, len(messages))
    cut = next((i for i in later if messages[i].role == "user"), len(messages))
    return messages[:first] + messages[cut:] if cut < len(messages) else messages


def _common(one: list[int], other: list[int]) -> int:
    """How many tokens two beginnings share."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _forgeable(mark: str) -> bool:
    """Marks of roles and turns look like tags; those of reasoning are read by templates in
    answers."""
    return len(mark) > 2 and mark[0] in "<[" and mark[-1] in ">]" and "think" not in mark.lower()


def _unused(messages: list[Message]) -> str:
    """A character for private use that stands in none of the messages."""
    words = "".join(message.content for message in messages)
    return next(mark for mark in map(chr, range(0xE000, 0xF8FF)) if mark not in words)
