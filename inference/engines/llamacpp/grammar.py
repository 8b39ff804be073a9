"""Grammars that an answer must follow. Each is tried in a child first, which may crash, fill its
memory or never end: what is allowed into the engine's own process has shown that it is harmless."""

from __future__ import annotations

import ctypes
import time
from functools import lru_cache, partial
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from inference.contract import Shape
from inference.engines.compiler import Compiler, bad
from inference.schema import SchemaError, to_gbnf

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# Characters of the grammar that is made of a shape.
LONGEST = 400_000
# Seconds of computing for a look at the whole vocabulary, in a trial and in the engine, and the
# part of it that a look at one token may take.
TRIAL_STEP, STEP, SMALLEST = 0.2, 0.5, 0.03
# What is enough of a trial: tokens, seconds of computing, seconds.
TOKENS, COMPUTED, PASSED = 400, 0.25, 4.0
# Candidates that a trial draws from, where all would take too long.
SAMPLE = 1024
# Candidates between two looks at the clock.
CHUNK = 4096


class GrammarError(Exception):
    """A grammar cannot go on. It ends the one generation that asked for it."""

    kind = "bad_grammar"


class GrammarTooComplexError(GrammarError):
    """A single choice took longer than others can wait."""

    kind = "grammar_too_complex"


class Grammar:
    """Where one answer stands in its grammar. What is allowed where it is complete is the end."""

    def __init__(self, gbnf: str, vocab: Any, vocab_size: int, limit: float = STEP) -> None:
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocab, gbnf.encode(), b"root")
        if not self._sampler:
            raise GrammarError("It cannot be read.")
        self._limit = limit
        # Marks such as <|im_start|> are no text, except where the grammar names them.
        self._open = np.ones(vocab_size, dtype=np.bool_)
        for token, piece in _marks(vocab, vocab_size):
            self._open[token] = piece in gbnf
        self._sure = -1
        # Whether the last look took too long.
        self._late = False
        self._error: GrammarError | None = None

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with this token."""
        ids = np.array([token], dtype=np.int32)
        allowed = bool(self.mask(ids)[0])
        self._sure = token if allowed else -1
        return allowed

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which candidates are allowed; shape of both (n,)."""
        if self._error:
            raise self._error
        allowed = self._open[ids]
        array = np.zeros(int(allowed.sum()), dtype=CANDIDATE)
        array["id"] = ids[allowed]
        until = self._until(len(ids))
        for at in range(0, len(array), CHUNK):
            part = array[at : at + CHUNK]
            data = llama_cpp.llama_token_data_array(
                data=part.ctypes.data_as(llama_cpp.llama_token_data_p), size=len(part), selected=-1
            )
            llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(data))
            self._look(until)
        allowed[allowed] = np.isfinite(array["logit"])
        return allowed

    def accept(self, token: int) -> None:
        """The answer goes on with this token. What is wrong about it the next question tells."""
        try:
            # What is not allowed would end the process, by an exception that nobody can catch.
            if token != self._sure and not self.allows(token):
                raise GrammarError("A token is not allowed.")
            self._sure = -1
            until = self._until(1)
            llama_cpp.llama_sampler_accept(self._sampler, token)
            self._look(until)
        except GrammarError as error:
            self._error = error

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._sampler)

    def _until(self, candidates: int) -> float:
        """The thread's own clock at which so many candidates take too long: it does not run while
        others have the processor."""
        share = candidates / len(self._open) + SMALLEST
        return time.thread_time() + self._limit * share

    def _look(self, until: float) -> None:
        """Late once is no proof: on a virtual machine the thread's clock runs on where the machine
        is another's for a moment."""
        over = time.thread_time() - until
        if over > self._limit or (over > 0 and self._late):
            raise GrammarTooComplexError("A choice takes too long.")
        self._late = over > 0


@lru_cache(maxsize=2)
def _marks(vocab: Any, vocab_size: int) -> list[tuple[int, str]]:
    """Control tokens that end nothing, and their texts."""
    buffer = ctypes.create_string_buffer(256)
    found = []
    for token in range(vocab_size):
        control = llama_cpp.llama_vocab_is_control(vocab, token)
        if control and not llama_cpp.llama_vocab_is_eog(vocab, token):
            size = llama_cpp.llama_token_to_piece(vocab, token, buffer, 256, 0, True)
            found.append((token, buffer.raw[: max(size, 0)].decode(errors="replace")))
    return found


def compiler(vocab: Any) -> Compiler:
    """Tries shapes for this vocabulary."""
    # Known before the fork: what a trial finds out is forgotten with it.
    _marks(vocab, llama_cpp.llama_vocab_n_tokens(vocab))
    return Compiler(partial(_judge, vocab))


def _judge(vocab: Any, shape: Shape) -> dict[str, str]:
    try:
        gbnf = to_gbnf(shape)
        if len(gbnf) > LONGEST:
            raise GrammarTooComplexError("It is too long.")
        if "\0" in gbnf or not gbnf.strip():
            raise GrammarError("It is empty or has a zero byte.")
        _walk(gbnf, vocab)
    except (SchemaError, GrammarTooComplexError) as error:
        return {"kind": error.kind, "detail": str(error)}
    except (GrammarError, UnicodeEncodeError) as error:
        return {"kind": bad(shape), "detail": str(error)}
    return {"gbnf": gbnf}


def _walk(gbnf: str, vocab: Any) -> None:
    """Write what the grammar allows, by chance, until enough was seen of what it costs."""
    size = llama_cpp.llama_vocab_n_tokens(vocab)
    everything = np.arange(size, dtype=np.int32)
    chance = np.random.default_rng(0)
    until, left = time.monotonic() + PASSED, TOKENS
    ids, grammar = everything, Grammar(gbnf, vocab, size, TRIAL_STEP)
    while left > 0 and time.process_time() < COMPUTED and time.monotonic() < until:
        left -= 1
        allowed = ids[grammar.mask(ids)]
        going = [t for t in allowed if not llama_cpp.llama_vocab_is_eog(vocab, t)]
        if going:
            grammar.accept(int(chance.choice(going)))
            ids = chance.choice(everything, SAMPLE)
        elif len(ids) == size:
            grammar.close()
            grammar = Grammar(gbnf, vocab, size, TRIAL_STEP)
        else:
            ids = everything
