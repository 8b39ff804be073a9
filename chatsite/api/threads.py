"""A few threads for the sync parts of all calls. Each call keeps to one; none keeps it waiting."""

from __future__ import annotations

from itertools import cycle
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

# Django gives each request a thread of its own until its response is closed: a hundred calls that
# wait for their answers would hold a hundred.
COUNT = 4


class FewThreads:
    """Wraps what answers programs: all that they ask shares these threads."""

    def __init__(self, application: Any) -> None:
        self._application = application
        # An executor of one thread belongs to each for as long as it is referenced.
        self._contexts = cycle([ThreadSensitiveContext() for _ in range(COUNT)])

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        # The server runs each request in a task: nobody else sees this.
        SyncToAsync.thread_sensitive_context.set(next(self._contexts))
        return await self._application(scope, receive, send)
