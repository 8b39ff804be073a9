"""Drives one model: claims requests, feeds the engine child, logs what comes out. One thread per
model.

Everything that can go wrong ends in one of two ways: the log's events are written, or the
generation is given back to wait and whoever claims it next goes on after the last logged token.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from typing import Any

import redis

from inference import board, lease, placement, stream
from inference.board import Wishes
from inference.book import RENEWALS, Book, Run
from inference.budget import Budget, ShortError
from inference.child import ChildDiedError
from inference.contract import TASKS, Finish, Job, ModelSpec, unpack
from inference.duty import Duty
from inference.engines.base import Info, LoadError, Setup
from inference.fit import TooLargeError
from inference.gguf import GgufError
from inference.hardware import measure
from inference.link import Link
from inference.motor import Motor
from inference.plans import draw
from inference.settings import Settings
from inference.standing import Turns

log = logging.getLogger(__name__)
# Seconds between two looks at the queue where nobody rings.
LOOK = 0.5
# Seconds between two words about the engine's state.
PACE = 1.0
# Questions about tokens that the engine is given at once.
QUESTIONS = 16
# Nobody's share of them is counted.
UNSHARED = 1 << 20


class Host(threading.Thread):
    """The life of one model in this worker. `worker` is the mark that its claims carry."""

    def __init__(
        self,
        model: str,
        settings: Settings,
        client: redis.Redis,
        worker: str,
        budget: Budget,
        duty: Duty | None = None,
    ) -> None:
        super().__init__(name=f"host-{model}", daemon=True)
        self.model = model
        self.motor = Motor(settings)
        self._settings = settings
        self._worker = worker
        self._budget = budget
        self._duty = duty or Duty()
        self._turns = Turns(model, worker.partition("/")[0])
        self._link = Link(client, model)
        self.book = Book(self._link, settings.lease_ms, self.motor.cancel)
        self._rung = False
        # When the queue is looked at next, and how many were held at the last look.
        self._look, self._held = 0.0, 0
        # The same for questions about tokens.
        self._task_look, self._tasks = 0.0, 0
        # The next request wants other settings of the model: first those that run are brought to
        # an end.
        self._draining = False
        # Another model needs the memory: nothing new, and then off.
        self._left = False
        # When the load began.
        self._began = 0.0
        # When the engine's state was posted last; 0: nothing is posted.
        self._posted = 0.0
        # What an admin wishes; None until that was read for this engine.
        self._wishes: Wishes | None = None
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ear, False)

    def ring(self) -> None:
        """Something waits, or somebody wants a stop. From any thread."""
        # Full means that it is rung already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._bell, b"!")

    def stop(self) -> None:
        """Give everything back and end, soon. From any thread."""
        self._link.closing = True
        self.ring()

    def close(self) -> None:
        """Stop; the thread is gone when this returns."""
        self.stop()
        self.join(timeout=10)

    def leave(self) -> None:
        """Make room for another model as soon as nothing runs. From any thread."""
        self._left = True
        self.ring()

    @property
    def idle(self) -> bool:
        return self.motor.info is not None and not self.book.runs and not self._is_kept

    @property
    def _is_kept(self) -> bool:
        wishes = self._wishes
        return wishes is not None and wishes.kept

    @property
    def lacks(self) -> bool:
        """It could not be loaded here, and others may be able to."""
        return self._turns.lacks

    @property
    def used(self) -> float:
        return self.book.used

    @property
    def private(self) -> int:
        whole, mapped = self.motor.memory
        return whole - mapped

    def run(self) -> None:
        while not self._link.closing:
            try:
                self._turn()
            except Exception:
                # A thread that ended here would leave its child and its leases behind.
                log.exception("%s: something is wrong; everything is given back.", self.model)
                self._retreat()
                time.sleep(1)
        self._retreat()

    def _turn(self) -> None:
        try:
            self._admit()
            self._admit_tasks()
            for message in self._listen():
                self._hear(message)
            self._keep()
        except ChildDiedError as death:
            self._bury(death)

    # Taking requests

    def _admit(self) -> None:
        """Look at the queue where that may bring something: every step would cost the engine."""
        if self.book.held >= self._held and time.monotonic() < self._look:
            return
        while self._has_room():
            claim = self._claim_next()
            if claim is None or not self._take(claim):
                self._look = time.monotonic() + LOOK
                break
        self._held = self.book.held

    def _admit_tasks(self) -> None:
        """They need no slot; where nothing new may begin, they wait as well."""
        if self.book.tasks >= self._tasks and time.monotonic() < self._task_look:
            return
        self._task_look = time.monotonic() + LOOK
        while self.book.tasks < QUESTIONS and not self._leaves and not self._draining:
            queue = self.model + TASKS
            claim = self._claim(queue, 0, UNSHARED) if self._is_mine(queue) else None
            if claim is None or not self._take(claim):
                break
        self._tasks = self.book.tasks

    def _has_room(self) -> bool:
        self._draining = self._draining and bool(self.book.runs)
        if self._leaves:
            return False
        if self.motor.child is None or self._draining:
            return not self.book.runs
        # While it loads, as many as it is planned for: all of them see how far that is.
        jobs = self.motor.info.jobs if self.motor.info else self.motor.planned
        return self.book.held < jobs

    @property
    def _leaves(self) -> bool:
        """Nothing new, and off when nothing runs."""
        return self._left or not self._duty.claims(self.model)

    def _is_mine(self, queue: str) -> bool:
        """Whether this worker is the one that loads it for what waits there."""
        if self.motor.child:
            return True
        return self._link.reach(lambda: self._turns.is_mine(self._link.client, queue))

    def _claim_next(self) -> lease.Claim | None:
        """Beyond the slots only for users who have less than their share of them."""
        if not self._is_mine(self.model):
            return None
        held = self.book.held
        slots = self.motor.info.slots if self.motor.info else self.motor.planned
        return self._claim(self.model, held, slots)

    def _claim(self, queue: str, held: int, slots: int) -> lease.Claim | None:
        return self._link.reach(
            lambda: lease.claim(
                self._link.client,
                queue,
                self._settings.lease_ms,
                worker=self._worker,
                held=held,
                slots=slots,
            )
        )

    def _take(self, claim: lease.Claim) -> bool:
        """Begin with it, or end it; False where it had to be put back."""
        # Before the log is read: it may be what this cannot be done with.
        if claim.attempts > self._settings.attempts:
            return self._refuse(claim, {"kind": "engine_lost"})
        logged = self._link.reach(lambda: stream.load(self._link.client, claim.id))
        if logged.request is None or logged.ended:
            return self._refuse(claim, {"kind": "history_lost"})
        return self._begin(claim, logged.job(claim.attempts))

    def _begin(self, claim: lease.Claim, job: Job) -> bool:
        spec, setup = job.request.model, None
        if self.motor.child and spec != self.motor.spec:
            if self.book.runs:
                self._draining = True
                return self._put_back(claim)
            self._unload()
        if self.motor.child is None:
            setup = self._reserve(claim, spec)
            if setup is None:
                return False
        run = Run(claim.id, claim.fence, job, len(job.tokens))
        self.book.open(run)
        if run.position:
            log.info("%s: %s goes on after %s tokens.", self.model, run.id, run.position)
        if setup:
            self._began = time.monotonic()
            self.motor.start(spec, setup)
        elif self.motor.info:
            self.motor.add(run.keyed)
        return True

    def _reserve(self, claim: lease.Claim, spec: ModelSpec) -> Setup | None:
        """Memory for the model; None where the claim waits for it, or had to end."""
        error: dict[str, object]
        try:
            disk = measure(self._settings.data_dir).disk_free
            return self._budget.reserve(self, draw(spec, self._settings, disk))
        except ShortError:
            self._put_back(claim)
            return None
        except TooLargeError as large:
            if self._leave_to_others():
                self._put_back(claim)
                return None
            sizes = {"needed_bytes": large.needed, "free_bytes": large.free}
            error = {"kind": large.kind, **sizes}
        except (GgufError, LoadError, OSError) as broken:
            if self._leave_to_others():
                self._put_back(claim)
                return None
            log.warning("%s cannot be loaded: %s", spec.name, broken)
            error = {"kind": "model_load_failed"}
        self._refuse(claim, error)
        # There may be others that want something else of the model.
        self.ring()
        return None

    def _leave_to_others(self) -> bool:
        """Whether another worker can do what this one cannot."""
        return self._link.reach(lambda: self._turns.give_up(self._link.client))

    def _refuse(self, claim: lease.Claim, error: dict[str, object]) -> bool:
        finish = Finish(claim.id, "error", error=error)
        self._link.reach(lambda: stream.finish(self._link.client, claim.fence, finish))
        return True

    def _put_back(self, claim: lease.Claim) -> bool:
        self._link.reach(lambda: lease.put_back(self._link.client, claim.id, claim.fence))
        return False

    # Hearing the engine

    def _listen(self) -> list[dict[str, Any]]:
        pause = min(1.0, self._settings.lease_ms / 1000 / RENEWALS)
        if self.motor.child:
            messages = self.motor.read(pause, self._ear)
        else:
            messages = []
            select.select([self._ear], [], [], pause)
        try:
            self._rung = bool(os.read(self._ear, 4096))
        except BlockingIOError:
            self._rung = False
        if self._rung:
            self._look = self._task_look = 0.0
        return messages

    def _hear(self, message: dict[str, Any]) -> None:
        if "events" in message:
            self.book.write([unpack(event) for event in message["events"]])
        elif "loading" in message:
            self.motor.fraction = message["loading"]
            self.book.tell("loading", message["loading"])
        elif "stats" in message:
            self.motor.note(message["stats"])
        elif "ready" in message:
            self._ready(Info(**message["ready"]))
        elif "failed" in message:
            self._fail(message["failed"])

    def _ready(self, info: Info) -> None:
        self.book.keep_only(self.motor.ready(info))
        took = time.monotonic() - self._began
        self._link.reach(lambda: placement.measured(self._link.client, self.model, took))
        self._look = 0.0
        for run in self.book.runs.values():
            self.motor.add(run.keyed)

    def _fail(self, error: dict[str, object]) -> None:
        self.book.fail(error)
        self._end()

    # Keeping what it holds

    def _keep(self) -> None:
        self.book.renew(rung=self._rung)
        if self._duty.hands_over and self.motor.child:
            self._retreat()
        self._post()
        if self.motor.child is None:
            self._left = False
            return
        if not self.book.runs:
            self.motor.rest()
            idle = 0 if self._is_kept else self._settings.idle_s
            if self._leaves or (idle and time.monotonic() - self.book.used > idle):
                why = "as somebody wants it" if self._leaves else "nobody uses it"
                log.info("%s: unloaded, %s.", self.model, why)
                self._unload()
        elif self.motor.hangs(self._link.returned):
            log.error("%s: the engine makes no step and is ended.", self.model)
            self._end()
            self.book.give_back()

    def _post(self) -> None:
        """Once a second, what the engine is and does. Only a hint: it waits for nothing."""
        due = time.monotonic() - self._posted > PACE
        if not due or (self.motor.child is None and not self._posted):
            return
        name = self._worker.partition("/")[0]
        self._posted = time.monotonic() if self.motor.child else 0.0
        with contextlib.suppress(redis.RedisError):
            if self.motor.child:
                state = self.motor.state(name, len(self.book.runs))
                board.post(self._link.client, state)
                self._obey(board.wishes(self._link.client, self.model))
            else:
                board.take_down(self._link.client, name, self.model)

    def _obey(self, wishes: Wishes) -> None:
        """A wish that was there before this engine was meant for another."""
        before, self._wishes = self._wishes, wishes
        if before and wishes.unload and wishes.unload != before.unload:
            self.leave()

    def _bury(self, death: ChildDiedError) -> None:
        """The child is dead: everything that it had in work waits again, at its old place."""
        log.error("%s: %s", self.model, death)
        if self.motor.crashed(death):
            self.book.fail({"kind": "model_load_failed"})
        self._end()
        self.book.give_back()

    def _unload(self) -> None:
        self._end(kindly=True)

    def _end(self, *, kindly: bool = False) -> None:
        self.motor.end(kindly=kindly)
        self._wishes = None
        self.book.forget()
        self._budget.release(self)
        self._look = 0.0

    def _retreat(self) -> None:
        """Others may go on with what is held, before the engine puts away what it has computed."""
        self.book.drop()
        self._end(kindly=True)
        self._posted = self._posted and 1.0
        self._post()
