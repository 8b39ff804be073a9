"""What vLLM and its children say while they load, kept for the reason why they could not; and the
reason in a kind that a reader can be told."""

from __future__ import annotations

import os
import re
import threading
from collections import deque

from inference.engines.base import LoadError

# Lines that are kept.
KEPT = 400
# What vLLM's own words, or those of what it uses, say of the reason; the first that is found.
SIGNS = (
    ("memory_short", r"out of memory|OutOfMemoryError|Cannot allocate memory|MemoryError"),
    ("memory_short", r"is less than desired [GC]PU memory utilization"),
    ("memory_short", r"No available memory for the cache blocks"),
    ("memory_short", r"larger than the available KV cache|less than requested memory for kv"),
    ("memory_short", r"Failed core proc\(s\): \{[^}]*: -9"),
    ("model_unsupported", r"architectures? \[?[^\n]{0,200} (?:are|is) not supported"),
    ("model_unsupported", r"(?:Unknown|Invalid) quantization method|does not recognize this archi"),
    ("settings_refused", r"must be divisible by tensor parallel|World size|quantization method"),
    ("settings_refused", r"max_model_len \(|validation errors? for"),
)


class VllmLoadError(LoadError):
    """vLLM did not start with this model. `kind` says as much of the reason as is known."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Voice:
    """From now on what this process and its children print passes here on its way to the log."""

    def __init__(self) -> None:
        self._log = os.dup(2)
        self._lines: deque[bytes] = deque(maxlen=KEPT)
        ear, mouth = os.pipe()
        for number in (1, 2):
            os.dup2(mouth, number)
        os.close(mouth)
        threading.Thread(target=self._listen, args=(ear,), name="voice", daemon=True).start()

    def text(self) -> str:
        return b"\n".join(self._lines).decode(errors="replace")

    def _listen(self, ear: int) -> None:
        rest = b""
        while data := os.read(ear, 1 << 16):
            os.write(self._log, data)
            *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
            self._lines.extend(lines)


def reason(error: BaseException, said: str) -> VllmLoadError:
    """The error of a load that failed, with a kind by what was said about it."""
    text = f"{said}\n{type(error).__name__}: {error}"
    found = (kind for kind, sign in SIGNS if re.search(sign, text))
    return VllmLoadError(next(found, "model_load_failed"), str(error)[:500])
