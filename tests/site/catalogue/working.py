"""A worker for deliveries in the tests' own process: it claims by the real ledger and says of each
errand what the test wants."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import Any

import redis

from chatsite.catalogue import deliveries
from chatsite.catalogue.models import Delivery
from inference import board
from inference.board import WorkerState
from inference.library import ledger
from inference.library.ledger import Claim
from inference.library.nouns import FileRef, LibraryError, Repository, Shapes, Variant

KINDS = ("download", "import", "export", "remove")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA = "ab" * 32
GGUF = FileRef("tiny-Q4_K_M.gguf", 1000, SHA)
VARIANT = Variant("Q4_K_M", "gguf", (GGUF,), Shapes("llama", 135_000_000))


class Worker:
    """`name` as the board knows it; `about` is what else it says of itself."""

    def __init__(self, broker: redis.Redis, name: str = "box-1", **about: Any) -> None:
        self.broker = broker
        self.name = name
        about = {"engines": ("llamacpp",), **about}
        board.greet(broker, WorkerState(name, "box", 1, "", 2, 8 << 30, 4 << 30, **about))

    def take(self) -> Claim:
        found = ledger.claim(self.broker, self.name, f"{self.name}/1", 60_000, KINDS)
        assert found, "nothing waits"
        return found

    def idles(self) -> bool:
        return ledger.claim(self.broker, self.name, f"{self.name}/1", 60_000, KINDS) is None

    def tell(self, claim: Claim, **news: Any) -> str | None:
        """What somebody wishes of it."""
        return ledger.report(self.broker, claim.errand.id, claim.fence, 60_000, news)

    def finish(self, claim: Claim, state: str = "done", **news: Any) -> None:
        assert ledger.finish(self.broker, claim.errand.id, claim.fence, state, news)

    def bring(self, claim: Claim, **about: Any) -> None:
        """It has landed."""
        self.finish(claim, result=landed(claim.errand.folder or "tiny-abab", **about))


class Hub(threading.Thread):
    """Answers what is asked of the hub, and brings what is fetched in four steps."""

    def __init__(self, broker: redis.Redis) -> None:
        super().__init__(daemon=True)
        self.worker = Worker(broker)
        self.error: LibraryError | None = None
        self.failure: dict[str, Any] | None = None
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            asked = ledger.take(self.worker.broker, self.worker.name)
            if asked:
                self._answer(*asked)
            self._bring()
            time.sleep(0.02)

    def close(self) -> None:
        self._over.set()
        self.join(10)

    def _answer(self, id: str, question: dict[str, Any]) -> None:
        if self.error:
            said: dict[str, Any] = {"error": self.error.to_dict()}
        else:
            assert question["args"]["repo"] == "owner/tiny-GGUF"
            found = Repository("owner/tiny-GGUF", COMMIT, licence="mit", variants=(VARIANT,))
            said = {"result": asdict(found)}
        ledger.answer(self.worker.broker, id, said)

    def _bring(self) -> None:
        waits = self.worker.broker.zcard("errands")
        if not waits:
            return
        claim = self.worker.take()
        if claim.errand.kind == "remove":
            self.worker.finish(claim)
            return
        for done in (250, 500, 1000):
            self.worker.tell(claim, phase="fetching", done=done, total=1000, speed=500.0)
            time.sleep(0.6)
        if self.failure:
            self.worker.finish(claim, "failed", error=self.failure)
        else:
            self.worker.bring(claim)


def landed(folder: str, **more: Any) -> dict[str, Any]:
    """As a worker tells of what it found good."""
    files = [{"path": GGUF.path, "size": GGUF.size, "sha256": SHA}]
    shapes = {"architecture": "llama", "parameters": 135_000_000}
    known = {"folder": folder, "file": GGUF.path, "engine": "llamacpp", "files": files}
    return {**known, "quant": "Q4_K_M", "shapes": shapes, "name": "Tiny", **more}


def step(row: Delivery) -> Delivery:
    """A round of the steward's, and the row after it."""
    deliveries.step()
    row.refresh_from_db()
    return row


def settled(row: Delivery, seconds: float = 20) -> Delivery:
    """When a real worker has done it."""
    until = time.monotonic() + seconds
    while step(row).is_live:
        assert time.monotonic() < until, f"waited in vain: {row}"
        time.sleep(0.1)
    return row
