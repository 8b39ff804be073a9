"""One answer that vLLM writes: what its tokens spell, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inference.contract import Finish, Job, Logprob, Tokens
from inference.engines.vllm.vocabulary import Vocabulary
from inference.intake import Prompt
from inference.parse.writer import Writer


class Answer:
    """`grammar` binds it, "" where none does."""

    def __init__(
        self, job: Job, prompt: Prompt, writer: Writer, vocab: Vocabulary, grammar: str = ""
    ) -> None:
        self.job = job
        self.id, self.user = job.request.id, job.request.user
        self.prompt = prompt
        self.grammar = grammar
        self.position = 0
        self.reused = 0
        self._writer = writer
        self._vocab = vocab
        self._ending = {*vocab.ends, *job.request.sampling.stop_token_ids}
        for token in job.tokens:
            self._read(token)

    @property
    def tokens(self) -> list[int]:
        """What vLLM reads."""
        return [*self.prompt.tokens, *self.job.tokens]

    def reason(self, context_length: int) -> str:
        """Why it ends where it stands, "" where it goes on."""
        if self._writer.stopped:
            return "stop"
        most = self.job.request.sampling.max_tokens
        full = len(self.prompt.tokens) + self.position >= context_length
        return "length" if full or (most is not None and self.position >= most) else ""

    def take(self, ids: Sequence[int], logprobs: Any, *, stops: bool) -> Tokens | None:
        """The next tokens; `stops`: the last of them may be what ended the answer."""
        if stops and ids and ids[-1] in self._ending:
            ids = ids[:-1]
        event: Tokens | None = None
        for at, token in enumerate(ids):
            if self._writer.stopped:
                break
            new = self._read(token)
            sure = (self._sure(token, logprobs[at]),) if logprobs else ()
            one = Tokens(self.id, self.position, (token,), new.text, new.reasoning, new.calls, sure)
            event = event.joined(one) if event else one
        return event

    def end(self, reason: str, context_length: int, error: dict[str, Any] | None = None) -> Finish:
        rest = self._writer.flush()
        stats: dict[str, Any] = {
            "prompt_tokens": len(self.prompt.tokens),
            "cached_tokens": min(self.reused, len(self.prompt.tokens)),
            "context_length": context_length,
        }
        if self.prompt.left_out:
            stats["left_out"] = self.prompt.left_out
        return Finish(self.id, reason, rest.text, rest.reasoning, error, stats, rest.calls)

    def _read(self, token: int) -> Any:
        self.position += 1
        return self._writer.feed(self._vocab.piece(token))

    def _sure(self, token: int, known: Any) -> Logprob:
        """The token's log probability as the model gave it, and the likeliest ones beside it."""
        count = self.job.request.sampling.logprobs or 0
        ranked = sorted(known.items(), key=lambda each: each[1].rank or len(known))
        top = tuple(self._told(id, found.logprob) for id, found in ranked[:count])
        return self._told(token, known[token].logprob, top)

    def _told(self, token: int, logprob: float, top: tuple[Logprob, ...] = ()) -> Logprob:
        data = tuple(self._vocab.text_bytes(token))
        return Logprob(token, data, round(float(logprob), 6), top)
