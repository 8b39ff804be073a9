"""Whether this container does its work, for Docker's health checks: `web PORT` answers, the
`worker` of this machine was seen in Redis a moment ago, or the `steward` has ended a round. Ends
with 1 where not."""  # noqa: INP001

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from urllib.request import urlopen

PATIENCE = 5
ROUND = 60


def main(part: str, *options: str) -> int:
    return 0 if {"web": web, "worker": worker, "steward": steward}[part](*options) else 1


def web(port: str) -> bool:
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE) as answer:
        return bool(answer.status == 200)


def worker() -> bool:
    # Only here: the web part's check, every few seconds, has no use for them.
    import redis

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from chatsite.secret_files import opened
    from inference import board

    url = (os.environ | opened(os.environ))["REDIS_URL"]
    options = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    with redis.Redis.from_url(url, **options) as client:
        return any(each.host == socket.gethostname() for each in board.workers(client))


def steward() -> bool:
    """A round takes as long as the database and Redis are waited for, never so long as this."""
    mark = Path(os.environ["CHATSITE_DATA_DIR"]) / "run" / "steward"
    return time.time() - mark.stat().st_mtime < ROUND


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
