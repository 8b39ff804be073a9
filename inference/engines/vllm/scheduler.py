"""Our part inside vLLM's scheduler: a grammar's state is restored where an answer is resumed. Runs
in the process of vLLM's core."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

# When a step fails it would write schemas, and the tokens of resumed answers, into the log.
logging.getLogger("vllm.logging_utils.dump_input").disabled = True


class GrammarLostError(Exception):
    """The tokens that were emitted are none that the grammar allows."""


class ResumingScheduler(Scheduler):
    """For steps that wait for one another."""

    def add_request(self, request: Any) -> None:
        restore(request)
        super().add_request(request)


class ResumingAsyncScheduler(AsyncScheduler):
    """For steps that are prepared while the one before is computed."""

    def add_request(self, request: Any) -> None:
        restore(request)
        super().add_request(request)


def restore(request: Any) -> None:
    """Before it is waited for, the grammar goes over what was emitted already."""
    form = request.structured_output_request
    params = request.sampling_params
    emitted = ((params and params.extra_args) or {}).get("emitted")
    if form is None or not emitted:
        return
    # What is compiled may still be a promise.
    promised = form._grammar  # noqa: SLF001 - vLLM offers no other way to it
    restored: Future[Any] = Future()
    if isinstance(promised, Future):
        promised.add_done_callback(lambda done: _advance(done, restored, emitted))
        form.grammar = restored
    elif promised is not None and not promised.accept_tokens(request.request_id, emitted):
        restored.set_exception(GrammarLostError())
        form.grammar = restored


def _advance(done: Future[Any], restored: Future[Any], emitted: list[int]) -> None:
    try:
        grammar = done.result()
        if not grammar.accept_tokens("resumed", emitted):
            raise GrammarLostError
        restored.set_result(grammar)
    except Exception as error:  # noqa: BLE001 - the scheduler ends the one request with it
        restored.set_exception(error)
