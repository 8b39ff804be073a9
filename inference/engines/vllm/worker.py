"""Our part inside vLLM's worker on a processor: the draws of prompts that are read in several
steps. Runs in the process of vLLM's core."""

from __future__ import annotations

from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker


class Worker(CPUWorker):
    """vLLM draws a token for everybody in the batch, forgets those of prompts that are not read to
    their end, and sets their generators back by the size of a draw. A processor's generators know
    of no such thing: without this the engine would end with the first long prompt."""

    def sample_tokens(self, grammar_output: Any) -> Any:
        # Where there is Triton, another runner computes, which draws without generators.
        if self.use_v2_model_runner:
            return super().sample_tokens(grammar_output)
        batch = self.model_runner.input_batch
        generators = batch.generators
        unread = self.model_runner.discard_request_mask.np[: batch.num_reqs].nonzero()[0].tolist()
        # What is forgotten may as well be drawn by the generator that is everybody's.
        aside = {row: generators.pop(row) for row in unread if row in generators}
        try:
            return super().sample_tokens(grammar_output)
        finally:
            generators.update(aside)
