"""A file elsewhere, read by ranges as if it lay here: a header is known before anything is
downloaded. It reads what it is asked for and keeps a few blocks."""

from __future__ import annotations

import math
import time

from inference.library.nouns import LibraryError

# The first request, and how large later ones may become.
FIRST, LARGEST = 256 << 10, 4 << 20


class RangeFile:
    """`read` and `seek`, forward for the most part, as inference.gguf needs them."""

    def __init__(
        self, url: str, headers: dict[str, str], size: int, until: float = math.inf
    ) -> None:
        """`until`: by the clock of time.monotonic; then LibraryError cut_off."""
        self._until = until
        self._url = url
        self._headers = headers
        self._size = size
        self._at = 0
        self._start = 0
        self._data = b""
        self._step = FIRST
        # Bytes that were fetched.
        self.fetched = 0

    def seek(self, position: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = position
        return position

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        count = max(0, min(count if count >= 0 else self._size, self._size - self._at))
        out = bytearray()
        while len(out) < count:
            inside = self._at - self._start
            if not 0 <= inside < len(self._data):
                self._fetch(min(max(self._step, 1), self._size - self._at))
                inside = 0
            piece = self._data[inside : inside + count - len(out)]
            out += piece
            self._at += len(piece)
        return bytes(out)

    def _fetch(self, count: int) -> None:
        from huggingface_hub.utils import get_session, hf_raise_for_status

        last = self._at + count - 1
        wanted = self._headers | {"Range": f"bytes={self._at}-{last}"}
        with get_session().stream("GET", self._url, headers=wanted) as answer:
            hf_raise_for_status(answer)
            if answer.status_code != 206:
                raise LibraryError("hub_refused", "It knows no ranges.", status=answer.status_code)
            data = bytearray()
            # Whatever the server says: never more than was asked for.
            for piece in answer.iter_bytes():
                data += piece
                if time.monotonic() > self._until:
                    raise LibraryError("cut_off", "It takes too long.")
                if len(data) >= count:
                    break
        if not data:
            raise LibraryError("cut_off", "An empty range.")
        self._start, self._data = self._at, bytes(data[:count])
        self.fetched += len(self._data)
        self._step = min(self._step * 2, LARGEST)
