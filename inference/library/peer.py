"""Where the bytes of a copy are: with another worker of this site that has the same folder. It
judges no file: what a file has to be, the errand says by its SHA-256."""

from __future__ import annotations

from typing import Any

import redis

from inference import board
from inference.board import WorkerState
from inference.library import client, ledger
from inference.library.keys import Keyring
from inference.library.nouns import Errand, FileRef, LibraryError
from inference.library.serving import path_of
from inference.library.sources import PLAIN, Source, is_cut


class Peers:
    """`errand.source` is asked first; where it is away or fails, whoever else has the folder."""

    is_versioned = False

    def __init__(self, errand: Errand, broker: redis.Redis) -> None:
        self._errand = errand
        self._broker = broker
        self._keys = Keyring(broker)
        self._failed = 0
        self._host = errand.source

    def start(self) -> None:
        """From here on huggingface_hub asks the peer alone, directly, wherever it is sent."""
        import httpx2
        from huggingface_hub import set_client_factory

        client.widen()
        set_client_factory(
            lambda: httpx2.Client(follow_redirects=False, trust_env=False, timeout=client.SILENCE)
        )

    def files(self) -> list[FileRef]:
        files = list(self._errand.files)
        if not all(each.sha256 for each in files):
            raise LibraryError("incomplete", "A copy needs to know its files.")
        return files

    def find(self, ref: FileRef) -> Source:
        """Asked anew before each try: a worker that was started again is at another port."""
        path = path_of(self._errand.folder, ref.path)
        try:
            worker = self._choose()
            self._host = worker.host or worker.name
            shown = self._keys.sign(worker.name, path)
        except redis.RedisError as error:
            raise LibraryError("broker", str(error)) from None
        headers = PLAIN | {"Authorization": shown}
        return Source(f"http://{worker.address}{path}", headers, ref.size, sha256=ref.sha256)

    def _choose(self) -> WorkerState:
        source = ledger.place(self._errand.source)
        able = [
            each
            for each in board.workers(self._broker)
            if each.address and self._errand.folder in each.folders
        ]
        if not able:
            raise LibraryError("peer_away", host=self._host)
        able.sort(key=lambda each: ledger.place(each.name) != source)
        return able[self._failed % len(able)]

    def explain(self, error: Exception) -> LibraryError:
        import httpx2
        from huggingface_hub import errors

        self._failed += 1
        if isinstance(error, LibraryError):
            return error
        if isinstance(error, errors.HfHubHTTPError):
            # Also 403: an address is signed for a while only.
            status: Any = error.response.status_code
            return LibraryError("peer_away", str(error)[:200], host=self._host, status=status)
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return LibraryError("peer_away", str(error)[:200], host=self._host)
        if is_cut(error) or isinstance(error, httpx2.HTTPError):
            return LibraryError("cut_off", str(error)[:200], host=self._host)
        raise error
