"""Who is next where jobs consist of many small pieces: from user to user, and of each user from
job to job."""

from __future__ import annotations

from collections import deque


class Work:
    """One job: its inputs as tokens, how long its vectors shall be (0: as they are), and how many
    inputs were taken and are done."""

    def __init__(self, id: str, user: str, inputs: list[list[int]], dimensions: int = 0) -> None:
        self.id = id
        self.dimensions = dimensions
        self.user = user
        self.inputs = inputs
        self.taken = self.done = 0


class Turns:
    """The works of which something waits, the next first."""

    def __init__(self) -> None:
        self._users: deque[deque[Work]] = deque()

    def __bool__(self) -> bool:
        return bool(self._users)

    def join(self, work: Work) -> None:
        for works in self._users:
            if works[0].user == work.user:
                works.append(work)
                return
        self._users.append(deque([work]))

    def leave(self, work: Work) -> None:
        """What of it waits is not wanted any more; nothing where all was taken."""
        for works in self._users:
            if work in works:
                works.remove(work)
                if not works:
                    self._users.remove(works)
                return

    def take(self, count: int, tokens: int) -> list[tuple[Work, int]]:
        """Up to `count` inputs of together `tokens`, or one that is longer: works and indexes."""
        taken: list[tuple[Work, int]] = []
        while self._users and len(taken) < count:
            works = self._users[0]
            work = works[0]
            tokens -= len(work.inputs[work.taken])
            if taken and tokens < 0:
                break
            taken.append((work, work.taken))
            work.taken += 1
            works.rotate(-1)
            self._users.rotate(-1)
            if work.taken == len(work.inputs):
                self.leave(work)
        return taken
