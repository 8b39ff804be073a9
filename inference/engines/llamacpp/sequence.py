"""One answer in the making: its tokens, how far they are in the cache, and when it ends."""

from __future__ import annotations

from typing import Any

from inference.contract import Finish, Job, Logprob, Tokens
from inference.engines.llamacpp.sampling import Logits, Sampler
from inference.intake import Prompt
from inference.parse.writer import Delta, Writer

# Tokens of an answer that are replayed at most. Who waits for more feels it; that a near tie falls
# otherwise, nobody does.
REPLAY = 256


class Sequence:
    """State of one job. `tokens` are prompt and answer; the first `cached` are computed.

    `replays`: what was written is computed one by one again where that is not too much: its numbers
    are then the same to the last bit. Else it is read in slices like the prompt.
    """

    def __init__(
        self,
        job: Job,
        prompt: Prompt,
        sampler: Sampler,
        writer: Writer,
        arrival: int = 0,
        *,
        replays: bool = False,
    ) -> None:
        self.job = job
        self.id = job.request.id
        self.user = job.request.user
        # Whose computed states it may use; never the one that is everybody's.
        self.scope = f"user {self.user}"
        self.prompt = prompt
        # Its place among all that came.
        self.arrival = arrival
        self.tokens = [*prompt.tokens, *job.tokens]
        self.cached = 0
        # Prompt tokens that were found computed; None before it sat anywhere.
        self.reused: int | None = None
        # Up to where it is read in slices, and how many tokens that were when it sat down.
        self._read_to = len(self.tokens)
        self.burden = 0
        # Where it sits in the batch; None while it waits for its turn.
        self.slot: int | None = None
        self.cancelled = False
        self._replays = replays
        self._sampler = sampler
        self._writer = writer

    @property
    def position(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.prompt.tokens)

    @property
    def pending(self) -> int:
        """Tokens that are not computed yet: 1 while it writes, more while it reads."""
        return len(self.tokens) - self.cached

    @property
    def unread(self) -> int:
        """Those of them that are read in slices."""
        return max(0, self._read_to - self.cached)

    @property
    def writes(self) -> bool:
        """Whether its next step is one token: a new one, or one that it has written before."""
        return self.unread <= 1

    def usable(self, known: int) -> int:
        """How many of its known tokens to go on from: a single row of the prompt would be computed
        otherwise than in a slice."""
        alone = self._replays and known == self._sliced(known) - 1
        return known - 1 if alone else known

    def sit(self, known: int) -> None:
        """It goes on from here."""
        self.cached, self._read_to = known, self._sliced(known)
        self.burden = self.unread

    def _sliced(self, known: int) -> int:
        """Up to where it is read in slices when so many tokens are known."""
        prompt, size = len(self.prompt.tokens), len(self.tokens)
        return prompt if self._replays and size - max(known, prompt) <= REPLAY else size

    def restore(self, pieces: list[bytes]) -> None:
        """Bring sampler and writer to where the logged tokens left them."""
        for token, piece in zip(self.job.tokens, pieces, strict=True):
            self._read(token, piece)

    def reason(self, context_length: int) -> str:
        """Why it has to end before another token, "" where it goes on."""
        limit = self.job.request.sampling.max_tokens
        if self.cancelled:
            return "cancelled"
        if self._writer.stopped:
            return "stop"
        full = len(self.tokens) >= context_length
        return "length" if full or (limit is not None and self.position >= limit) else ""

    def choose(self, logits: Logits) -> int:
        return self._sampler.choose(logits, self.position, free=self._writer.inside)

    def extend(self, token: int, piece: bytes, logits: Logits) -> Tokens:
        """The chosen token becomes part of the answer."""
        wanted = self.job.request.sampling.logprobs is not None
        logprobs: tuple[Logprob, ...] = (self._sampler.logprob(logits, token),) if wanted else ()
        self.tokens.append(token)
        new = self._read(token, piece)
        return Tokens(
            self.id, self.position, (token,), new.text, new.reasoning, new.calls, logprobs
        )

    def _read(self, token: int, piece: bytes) -> Delta:
        # Reasoning is free: the form that was asked for is the answer's.
        self._sampler.accept(token, free=self._writer.inside)
        return self._writer.feed(piece)

    def end(self, reason: str, context_length: int, error: dict[str, Any] | None = None) -> Finish:
        rest = self._writer.flush()
        self._sampler.close()
        stats: dict[str, Any] = {
            "prompt_tokens": len(self.prompt.tokens),
            "cached_tokens": self.reused or 0,
            "context_length": context_length,
        }
        if self.prompt.left_out:
            stats["left_out"] = self.prompt.left_out
        return Finish(self.id, reason, rest.text, rest.reasoning, error, stats, rest.calls)
