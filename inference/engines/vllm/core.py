"""vLLM itself: AsyncLLM in a thread with an event loop of its own. What it says comes out of one
queue; the engine's thread reads it. It decides nothing."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from vllm import AsyncEngineArgs, SamplingParams
from vllm.inputs.engine import tokens_input
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.metrics.loggers import StatLoggerBase

from inference.engines.vllm.meter import Meter
from inference.engines.vllm.scheduler import ResumingAsyncScheduler, ResumingScheduler

log = logging.getLogger("inference.engine")
# Seconds for the last words of vLLM's own processes.
FAREWELL = 2.0


class DeadError(Exception):
    """vLLM's processes have ended or do not move: nothing that was asked will be answered."""


class Core:
    """Made by one thread, which alone submits and reads; `start` blocks until the model is in."""

    dead = DeadError

    def __init__(self, arguments: dict[str, Any], meter: Meter) -> None:
        self.outputs: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._arguments = arguments
        self._meter = meter
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._llm: AsyncLLM | None = None
        # Kept, since a loop holds its tasks but loosely.
        self._tasks: dict[Any, asyncio.Task[None]] = {}
        # The thread outlives all that is computed: vLLM's processes end with the one that has
        # started them (see inference/descent.py).
        self._thread = threading.Thread(target=self._run, name="vllm", daemon=True)

    def start(self, wait: Callable[[], None], pause: float = 0.5) -> None:
        """Load the model; `wait` is called again and again meanwhile. Raises what vLLM raised."""
        self._thread.start()
        while not self._ready.wait(pause):
            wait()
        if self._failure:
            raise self._failure

    @property
    def llm(self) -> AsyncLLM:
        assert self._llm
        return self._llm

    @property
    def cells(self) -> int:
        """Tokens that are kept at once, of all answers and of what was read before."""
        cache = self.llm.vllm_config.cache_config
        return int((cache.num_gpu_blocks or 0) * cache.block_size)

    def ask(self, id: str, words: dict[str, Any], **more: Any) -> Ask:
        return Ask(id, words, **more)

    def submit(self, key: Any, tokens: list[int], ask: Ask) -> None:
        """One answer; each piece of it comes out of `outputs` as (key, piece), where it fails
        (key, exception)."""
        self._loop.call_soon_threadsafe(self._begin, key, tokens, ask)

    def cancel(self, key: Any) -> None:
        """Nothing more is computed of it from the next step on."""
        self._loop.call_soon_threadsafe(self._end, key)

    def close(self) -> None:
        if self._llm:
            self._llm.shutdown(timeout=FAREWELL)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._load())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._failure = error
            self._ready.set()
            # Its children are about to end, and belong to this thread.
            time.sleep(FAREWELL)
        else:
            self._ready.set()
            self._loop.run_forever()

    async def _load(self) -> None:
        config = AsyncEngineArgs(**self._arguments).create_engine_config(
            UsageContext.OPENAI_API_SERVER
        )
        steps = config.scheduler_config
        both = ResumingScheduler, ResumingAsyncScheduler
        steps.scheduler_cls = both[bool(steps.async_scheduling)]
        self._llm = AsyncLLM.from_vllm_config(config, stat_loggers=[self._logger])
        await self._llm.get_supported_tasks()

    def _logger(self, _: Any, index: int = 0) -> StatLoggerBase:
        return Logger(self._meter, index)

    def _begin(self, key: Any, tokens: list[int], ask: Ask) -> None:
        task = self._tasks[key] = self._loop.create_task(self._follow(key, tokens, ask))
        # Also of one that is ended before it has begun.
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def _end(self, key: Any) -> None:
        if task := self._tasks.get(key):
            task.cancel()

    async def _follow(self, key: Any, tokens: list[int], ask: Ask) -> None:
        prompt = tokens_input(tokens, cache_salt=ask.salt)
        try:
            params = ask.params()
            pieces = self.llm.generate(prompt, params, ask.id, priority=ask.priority)
            async for piece in pieces:
                self.outputs.put((key, piece))
        except EngineDeadError as error:
            self.outputs.put((key, DeadError(str(error))))
        except Exception as error:  # noqa: BLE001 - the engine's thread tells whom it concerns
            self.outputs.put((key, error))


class Ask:
    """What is asked of vLLM beside the prompt's tokens."""

    def __init__(
        self, id: str, words: dict[str, Any], *, grammar: str = "", salt: str, priority: int
    ) -> None:
        self.id, self.salt, self.priority = id, salt, priority
        self._words, self._grammar = words, grammar

    def params(self) -> SamplingParams:
        form = StructuredOutputsParams(grammar=self._grammar) if self._grammar else None
        return SamplingParams(
            **self._words,
            structured_outputs=form,
            output_kind=RequestOutputKind.DELTA,
            skip_clone=True,
        )


class Logger(StatLoggerBase):
    """Tells the meter what vLLM's scheduler says of each step."""

    def __init__(self, meter: Meter, index: int) -> None:
        self._meter, self._index = meter, index

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        self._meter.beat()
        if scheduler_stats is not None:
            self._meter.see(engine_idx, scheduler_stats)

    def log_engine_initialized(self) -> None:
        pass
