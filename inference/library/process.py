"""The process that does one errand or answers one question: JSON lines in, JSON lines out. It has
the network, the disk and native code, and may be killed at any moment.

In: one line, {"errand"} or {"question"}; the pipe stays open: when it closes, this process ends.
Out: {"progress"}, {"result"}, {"error"}.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from inference.library import client
from inference.library.nouns import Errand, Hub, LibraryError

log = logging.getLogger(__name__)
# Seconds that a predecessor, killed a moment ago, has to let go of the same errand.
PATIENCE = 10.0


class Pipe:
    """Lines to the parent. What native code prints goes to the log."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self.command: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_watch, daemon=True).start()

    def send(self, **message: Any) -> None:
        with self._lock:
            self._out.write(json.dumps(message, ensure_ascii=False) + "\n")
            self._out.flush()

    def progress(self, news: dict[str, Any]) -> None:
        self.send(progress=news)


def _watch() -> None:
    """The parent is gone: so are we, and all that we started."""
    sys.stdin.buffer.read()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s library %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    pipe = Pipe()
    try:
        pipe.send(result=_obey(pipe))
    except LibraryError as error:
        log.info("%s: %s", error.kind, error)
        pipe.send(error=error.to_dict())
    except OSError as error:
        log.exception("The disk fails.")
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        pipe.send(error={"kind": "no_space" if full else "disk_error"})
    except Exception:
        # Whatever it was: somebody waits for a word.
        log.exception("This could not be done.")
        pipe.send(error={"kind": "unexpected"})


def _obey(pipe: Pipe) -> Any:
    data_dir = Path(pipe.command["data_dir"])
    if "question" in pipe.command:
        question = pipe.command["question"]
        hub = Hub.from_dict(question.get("hub") or {})
        client.prepare(hub, os.environ)
        return _answer(hub, question["kind"], question.get("args") or {})
    errand = Errand.from_dict(pipe.command["errand"])
    client.prepare(errand.hub, os.environ)
    with _alone(data_dir, errand.id):
        return _do(errand, data_dir, pipe)


def _answer(hub: Hub, kind: str, args: dict[str, Any]) -> Any:
    from inference.library import hub as questions

    known = {"search": questions.search, "look": questions.look, "weigh": questions.weigh}
    if kind not in known:
        raise LibraryError("unknown_question", kind)
    try:
        return cast("Any", known[kind])(hub, **args)
    except Exception as error:
        raise client.explain(error, hub, str(args.get("repo") or "")) from error


def _do(errand: Errand, data_dir: Path, pipe: Pipe) -> Any:
    from inference.library import border, fetch
    from inference.library.store import Store

    store = Store(data_dir)
    if errand.kind != "download":
        from inference.library import works

        return works.run(errand, store, pipe.progress)
    if landed := store.landed(errand):
        return asdict(landed)
    border.check_names(each.path for each in errand.files)
    folder = store.incoming(errand.id)
    fetch.run(errand, folder, pipe.progress)
    return asdict(store.land(folder, errand, pipe.progress))


@contextlib.contextmanager
def _alone(data_dir: Path, id: str) -> Iterator[None]:
    """One process at a time does an errand on this machine, whatever became of the others."""
    folder = data_dir / "models" / ".incoming"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{id}.lock"
    until = time.monotonic() + PATIENCE
    with path.open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise LibraryError("busy", "Another process does this errand.") from None
                time.sleep(0.1)
            else:
                break
        yield
    path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
