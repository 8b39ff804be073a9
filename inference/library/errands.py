"""The worker's side of errands and questions: claims them, lets a process of its own do each,
tells Redis how it stands, and obeys who wants it paused or cancelled. It touches no hub and no
weights."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import redis

from inference.badge import Badge
from inference.duty import Duty
from inference.library import bundle, ledger
from inference.library.ledger import Claim
from inference.library.nouns import CANCELLED, DONE, FAILED, PAUSED
from inference.library.task import Task
from inference.settings import Settings

log = logging.getLogger(__name__)
# Errands at once, by kind. Removals wait for nothing.
ROOM = {"download": 2, "copy": 2, "import": 1, "export": 1, "remove": 4}
QUESTIONS = 4
# Seconds between two looks, and between two words about an errand.
LOOK, SAY = 1.0, 0.3
# And between two looks for what was forgotten.
SWEEP = 3600
# An errand that was begun so often without getting on takes its worker with it.
ATTEMPTS = 5
# What came of an errand that nobody knows any more is thrown away after so many seconds.
FORGOTTEN = 14 * 24 * 3600


class Errands:
    """All of one worker's. `ring` may come from any thread."""

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        badge: Callable[[], Badge],
        duty: Duty | None = None,
    ) -> None:
        self._duty = duty or Duty()
        self._settings = settings
        self._client = client
        self._badge = badge
        self._bell = threading.Event()
        self.ending = threading.Event()
        self._running: dict[threading.Thread, str] = {}
        self._asked: list[threading.Thread] = []
        # Whether what an earlier process held was taken back, and when it sweeps next.
        self._returned = False
        self._sweeps = 0.0
        self._thread = threading.Thread(target=self._loop, name="errands", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ring(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        """What is not done yet waits for whoever comes next; its bytes stay."""
        self.ending.set()
        self._bell.set()

    def close(self) -> None:
        """`stop` came before."""
        if self._thread.is_alive():
            self._thread.join(timeout=8)

    def _loop(self) -> None:
        while not self.ending.is_set():
            try:
                self._look()
            except redis.RedisError:
                log.debug("Redis does not answer; errands wait.")
            except Exception:
                # One errand that cannot be understood is no reason to do no others.
                log.exception("A look for errands came to a bad end.")
            self._bell.wait(LOOK)
            self._bell.clear()
        for thread in [*self._running, *self._asked]:
            thread.join(timeout=6)

    def _look(self) -> None:
        if not self._returned:
            badge = self._badge()
            ledger.orphans(self._client, badge.name, badge.mark)
            self._returned = True
        ledger.lapse(self._client)
        self._take()
        self._clear()
        if time.monotonic() > self._sweeps:
            self._sweep()
            self._sweeps = time.monotonic() + SWEEP

    @property
    def running(self) -> int:
        """How many are at work."""
        return sum(thread.is_alive() for thread in list(self._running))

    def _take(self) -> None:
        """As many as there is room for; a worker that rests finishes what it has begun."""
        if not self._duty.works:
            return
        self._asked = [thread for thread in self._asked if thread.is_alive()]
        while len(self._asked) < QUESTIONS and (
            found := ledger.take(self._client, self._badge().name)
        ):
            self._asked.append(self._begin(self._answer, *found))
        while kinds := self._free():
            badge = self._badge()
            lease = self._settings.lease_ms
            claim = ledger.claim(self._client, badge.name, badge.mark, lease, kinds)
            if claim is None:
                break
            self._running[self._begin(self._run, claim)] = claim.errand.kind

    def _free(self) -> list[str]:
        self._running = {
            thread: kind for thread, kind in self._running.items() if thread.is_alive()
        }
        held = list(self._running.values())
        return [kind for kind, most in ROOM.items() if held.count(kind) < most]

    def _begin(self, work: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=work, args=args, name="errand", daemon=True)
        thread.start()
        return thread

    def _run(self, claim: Claim) -> None:
        run = Run(claim, self._settings, self._client, self._is_over)
        try:
            run.go()
        except Exception:
            # The lease lapses, and somebody tries again.
            log.exception("Errand %s came to a bad end.", claim.errand.id)
        self._bell.set()

    def _is_over(self) -> bool:
        """Whether what is at work is to be given back."""
        return self.ending.is_set() or self._duty.hands_over

    def _answer(self, id: str, question: dict[str, Any]) -> None:
        seconds = float(question.get("seconds") or 20)
        until = time.monotonic() + seconds
        said: dict[str, Any] = {"error": {"kind": "no_answer"}}
        data = str(self._settings.data_dir)
        task = Task({"question": question, "data_dir": data})
        try:
            while (left := until - time.monotonic()) > 0 and not self.ending.is_set():
                messages = task.hear(min(left, 0.5))
                if messages is None:
                    break
                if messages:
                    said = messages[-1]
                    break
            ledger.answer(self._client, id, said)
        except redis.RedisError:
            log.warning("An answer was lost: Redis does not answer.")
        finally:
            task.end()
        self._bell.set()

    def _clear(self) -> None:
        """Throw away what came of errands that were cancelled while nobody worked on them."""
        name = self._badge().name
        for id in ledger.litter(self._client, name):
            discard(self._settings.data_dir / "models" / ".incoming", id)
            ledger.swept(self._client, name, id)

    def _sweep(self) -> None:
        """The same with what nobody has known for weeks."""
        incoming = self._settings.data_dir / "models" / ".incoming"
        if not incoming.is_dir():
            return
        old = [p.name for p in incoming.iterdir() if p.is_dir() and _age(p) > FORGOTTEN]
        known = ledger.states(self._client, old)
        for id in old:
            if id not in known:
                discard(incoming, id)


class Run:
    """One errand while this worker has it."""

    def __init__(
        self,
        claim: Claim,
        settings: Settings,
        client: redis.Redis,
        is_over: Callable[[], bool],
    ) -> None:
        self._id, self._fence = claim.errand.id, claim.fence
        self._claim = claim
        self._settings = settings
        self._client = client
        self._is_over = is_over
        self._news: dict[str, Any] = {}
        self._said = 0.0

    def go(self) -> None:
        """Until it is done, somebody wants it otherwise, or it is another's."""
        log.info("Errand %s: %s.", self._id, self._claim.errand.kind)
        if self._claim.attempts > ATTEMPTS:
            self._finish(FAILED, error={"kind": "worker_lost"})
            return
        data = str(self._settings.data_dir)
        task = Task({"errand": asdict(self._claim.errand), "data_dir": data})
        try:
            end = self._follow(task)
        finally:
            code = task.end()
        # What was done while somebody wished otherwise is done.
        if end == "done" or (end in {"pause", "cancel"} and any(map(self._hear, task.rest()))):
            return
        if end == "died":
            log.error("The process of errand %s ended with %s.", self._id, code)
            self._bury(code)
        elif end == "cancel":
            discard(self._settings.data_dir / "models" / ".incoming", self._id)
            self._finish(CANCELLED)
        elif end == "pause":
            self._finish(PAUSED)
        elif end == "ending":
            self._surely(lambda: ledger.release(self._client, self._id, self._fence))

    def _follow(self, task: Task) -> str:
        """done, died, lost, ending; or what somebody wished: pause, cancel."""
        while not self._is_over():
            messages = task.hear(SAY)
            if messages is None:
                return "died"
            for message in messages:
                if self._hear(message):
                    return "done"
            if time.monotonic() - self._said > SAY:
                wish = self._report()
                if wish:
                    return wish
        return "ending"

    def _bury(self, code: int) -> None:
        """Somebody killed it, or it crashed: again, if that does not happen again and again."""
        if self._claim.attempts >= ATTEMPTS:
            self._finish(FAILED, error={"kind": "process_died", "code": code})
        else:
            self._surely(lambda: ledger.release(self._client, self._id, self._fence))

    def _hear(self, message: dict[str, Any]) -> bool:
        """Whether that was its last word."""
        if "progress" in message:
            self._news |= message["progress"]
            return False
        if message.get("error", {}).get("kind") == "busy":
            # Of a worker that hangs: it is over when that one ends.
            self._surely(lambda: ledger.release(self._client, self._id, self._fence))
        elif "error" in message:
            self._finish(FAILED, error=message["error"])
        else:
            self._finish(DONE, error=None, result=message["result"])
        return True

    def _report(self) -> str:
        """What somebody wishes, or "lost" where it is another's by now. While Redis is away the
        work goes on."""
        self._said = time.monotonic()
        try:
            lease = self._settings.lease_ms
            wish = ledger.report(self._client, self._id, self._fence, lease, self._news)
        except redis.RedisError:
            return ""
        self._news = {}
        return "lost" if wish is None else wish

    def _finish(self, state: str, **news: Any) -> None:
        news = self._news | {"error": None} | news
        self._surely(lambda: ledger.finish(self._client, self._id, self._fence, state, news))

    def _surely(self, call: Callable[[], Any]) -> None:
        """However long Redis is away; not while this worker ends."""
        while True:
            try:
                call()
            except redis.RedisError:
                time.sleep(1.0)
                if self._is_over():
                    log.warning("How errand %s ended is not told.", self._id)
                    return
            else:
                return


def discard(incoming: Path, id: str) -> None:
    """Throw away what has come of an errand."""
    assert id.isalnum(), "Ids are hexadecimal."
    bundle.abandon(incoming / id)
    shutil.rmtree(incoming / id, ignore_errors=True)
    (incoming / f"{id}.lock").unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
