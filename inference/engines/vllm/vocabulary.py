"""Text to tokens and back, on the tokenizer that vLLM itself uses; a token alone never decides
anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class NoLettersError(Exception):
    """The tokenizer cannot say what a single token spells. `kind` is stable."""

    kind = "model_load_failed"


class Vocabulary:
    """What a model's tokens spell. `ends`: those that end an answer."""

    def __init__(self, tokenizer: Any, size: int, ends: Iterable[int]) -> None:
        """`tokenizer` is one of transformers' fast ones; NoLettersError for any other."""
        self._told = tokenizer
        self._backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._backend is None:
            raise NoLettersError("It is no fast tokenizer.")
        self.size = size
        self.ends = frozenset(ends)
        self._letters = _byte_letters() if _is_byte_level(self._backend) else None
        self._pieces: dict[int, bytes] = {}

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; marks such as <|im_end|> become the tokens that they name."""
        # Half a surrogate pair is no text; it must not end the engine.
        clean = text.encode(errors="replace").decode()
        ids: list[int] = self._backend.encode(clean, add_special_tokens=False).ids
        return ids

    def piece(self, token: int) -> bytes:
        """The bytes of a token; a mark has none."""
        if token not in self._pieces:
            self._pieces[token] = b"" if token in self._silent else self.text_bytes(token)
        return self._pieces[token]

    def show(self, marks: frozenset[str]) -> None:
        """From now on these marks have bytes as well."""
        for token, text in self.controls.items():
            if text in marks:
                self._pieces[token] = text.encode()

    @cached_property
    def controls(self) -> dict[int, str]:
        """The tokens that are marks, and their texts."""
        return {int(token): str(added) for token, added in self._added.items()}

    def text_bytes(self, token: int) -> bytes:
        """What a token spells, a mark's own text included."""
        if token in self.controls:
            return self.controls[token].encode()
        # Tables are padded: behind the last token there may be numbers that mean none.
        text = self._backend.id_to_token(token) or ""
        if self._letters is not None:
            return b"".join(self._letters.get(letter, letter.encode()) for letter in text)
        if found := BYTE.fullmatch(text):
            return bytes([int(found[1], 16)])
        return str(text).replace("▁", " ").encode()

    @cached_property
    def first(self) -> int | None:
        """The token that begins every document; None where the model was trained without."""
        bos = self._told.bos_token_id
        ids = self._backend.encode("a", add_special_tokens=True).ids
        return bos if bos is not None and ids[:1] == [bos] else None

    def bos(self) -> str:
        return self._told.bos_token or ""

    def eos(self) -> str:
        return self._told.eos_token or ""

    @cached_property
    def _added(self) -> dict[int, Any]:
        return dict(self._told.added_tokens_decoder)

    @cached_property
    def _silent(self) -> frozenset[int]:
        """Marks that are no text; what was only added to the vocabulary is."""
        return frozenset(int(token) for token, added in self._added.items() if added.special)


def template_of(tokenizer: Any) -> str:
    """The model's chat template, "" for none; of several the one that knows tools."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("tool_use") or template.get("default")
    return template if isinstance(template, str) else ""


def _is_byte_level(backend: Any) -> bool:
    known = json.loads(backend.to_str())
    steps = [known.get("decoder") or {}]
    steps += steps[0].get("decoders") or []
    return any(step.get("type") == "ByteLevel" for step in steps)


def _byte_letters() -> dict[str, bytes]:
    """The letters as which byte-level vocabularies write bytes: those that can be printed as
    themselves, the others behind the Latin ones, in their order."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printed]
    letters = {chr(byte): bytes([byte]) for byte in printed}
    return letters | {chr(256 + n): bytes([byte]) for n, byte in enumerate(hidden)}
