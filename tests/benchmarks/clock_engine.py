"""An engine that computes nothing and says what time it is: its readers know how late it is."""

from __future__ import annotations

import time
from typing import Any

from inference.contract import Event, Job
from inference.engines.echo import EchoEngine


class ClockEngine(EchoEngine):
    """`delay_ms` in the settings is the time from word to word; as many words as are asked for."""

    def add(self, job: Job) -> None:
        super().add(job)
        self._runs[job.request.id].pieces = [b""] * (job.request.sampling.max_tokens or 0)

    def _advance(self, run: Any) -> Event:
        if run.at < len(run.pieces):
            run.pieces[run.at] = f"{time.monotonic():.4f} ".encode()
        return super()._advance(run)
