"""Text to tokens and back, and which tokens are marks; a token alone never decides anything."""

from __future__ import annotations

import ctypes
from functools import cached_property
from typing import Any

import llama_cpp

# The attribute of tokens that are marks, such as <|im_end|>, and of those that users defined.
CONTROL, USER_DEFINED = 1 << 3, 1 << 4


class Vocabulary:
    """What a model's tokens spell."""

    def __init__(self, model: Any) -> None:
        self.pointer = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.pointer)
        self._pieces: dict[int, bytes] = {}

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; marks such as <|im_end|> become the tokens that they name."""
        # Half a surrogate pair is no text; it must not end the engine.
        data = text.encode(errors="replace")
        size = len(data) + 16
        ids = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self.pointer, data, len(data), ids, size, False, True)
        if count < 0:
            raise RuntimeError(f"llama_tokenize needs {-count} tokens for {len(data)} bytes.")
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of a token; a mark has none."""
        if token not in self._pieces:
            self._pieces[token] = self._spell(token, special=False)
        return self._pieces[token]

    def show(self, marks: frozenset[str]) -> None:
        """From now on these marks have bytes as well."""
        for token, text in self.controls.items():
            if text in marks:
                self._pieces[token] = text.encode()

    @cached_property
    def controls(self) -> dict[int, str]:
        """The tokens that are marks, and their texts."""
        attributes = (
            (token, llama_cpp.llama_vocab_get_attr(self.pointer, token))
            for token in range(self.size)
        )
        return {
            token: self.text(token)
            for token, attribute in attributes
            if attribute & (CONTROL | USER_DEFINED)
        }

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        tokens = range(self.size)
        return frozenset(t for t in tokens if llama_cpp.llama_vocab_is_eog(self.pointer, t))

    def text_bytes(self, token: int) -> bytes:
        """What a token spells, a mark's own text included."""
        return self._spell(token, special=True)

    def text(self, token: int) -> str:
        """A token's text, a mark's too; "" for none."""
        return self.text_bytes(token).decode(errors="replace") if token >= 0 else ""

    @cached_property
    def first(self) -> int | None:
        """The token that begins every document; None where the model was trained without."""
        wanted = llama_cpp.llama_vocab_get_add_bos(self.pointer)
        token: int = llama_cpp.llama_vocab_bos(self.pointer)
        return token if wanted and token >= 0 else None

    def bos(self) -> str:
        """The text of the token that begins a document, "" where the model adds none."""
        return self.text(llama_cpp.llama_vocab_bos(self.pointer))

    def eos(self) -> str:
        return self.text(llama_cpp.llama_vocab_eos(self.pointer))

    def _spell(self, token: int, *, special: bool) -> bytes:
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self.pointer, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count
