"""An engine of one's own: any causal language model of transformers, served like the others. See
docs/own_engine.md; torch and transformers have to be installed beside the worker."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextIteratorStreamer

from inference.contract import Message, ModelSpec, Sampling
from inference.engines.simple import SimpleEngine


class TransformersEngine(SimpleEngine):
    """`source`: {"path": a folder, or the name of a repository}. `settings`: `dtype`, and those
    that every engine has: `slots`, `context_length`."""

    slots = 2

    def open(self, spec: ModelSpec, report: Callable[[float], None]) -> None:
        path, dtype = spec.source["path"], spec.settings.get("dtype", "auto")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        report(0.1)
        model: Any = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.context_length = self.model.config.max_position_embeddings
        # What somebody writes must not look like the end of a turn.
        marks = self.tokenizer.get_added_vocab()
        self.marks = re.compile("|".join(map(re.escape, marks)) or "(?!)")

    def count(self, messages: Sequence[Message]) -> int:
        return int(self.read(messages)["input_ids"].shape[1])

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        return self.write(self.read(messages), sampling)

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        return self.write(self.tokenizer(prompt, return_tensors="pt"), sampling)

    def read(self, messages: Sequence[Message]) -> Any:
        """The prompt's tokens, by the model's own chat template."""
        goes_on = messages[-1].role == "assistant"
        return self.tokenizer.apply_chat_template(
            [{"role": each.role, "content": self.marks.sub("", each.content)} for each in messages],
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            return_dict=True,
            return_tensors="pt",
        )

    def write(self, prompt: Any, sampling: Sampling) -> Iterator[str]:
        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        left = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(
                self.model.generate,
                **prompt.to(self.model.device),
                **chosen(sampling),
                streamer=streamer,
                # For somebody who stops, the model computes no longer.
                stopping_criteria=[lambda ids, _, **__: ids.new_tensor([left.is_set()]) > 0],
            )
            # Also where it fails: otherwise its reader would wait for ever.
            work.add_done_callback(lambda _: streamer.end())
            try:
                yield from streamer
            finally:
                left.set()
            work.result()


def chosen(sampling: Sampling) -> dict[str, Any]:
    """How tokens are drawn, in the words of transformers; stop texts are found by the site."""
    told: dict[str, Any] = {
        "max_new_tokens": sampling.max_tokens,
        "repetition_penalty": sampling.repetition_penalty,
        "do_sample": sampling.temperature > 0,
    }
    if sampling.temperature > 0:
        torch.manual_seed(sampling.seed)
        names = ("temperature", "top_p", "top_k", "min_p")
        told |= {name: getattr(sampling, name) for name in names}
    return told
