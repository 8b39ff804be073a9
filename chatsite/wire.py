"""Bounds for what daphne would take and keep without any: bodies that come, streams that nobody
reads. It knows no page and no call."""

from __future__ import annotations

import json
from typing import Any

from daphne.http_protocol import WebRequest

# No page and no call takes more; what is bigger comes in pieces.
BODY_BYTES = 16 << 20
# A body that is too big is read to its end and forgotten, so that its sender hears why; one that
# has no end is hung up on.
PATIENCE_BYTES = 16 * BODY_BYTES
# What a stream's reader may leave unread.
UNREAD_BYTES = 1 << 20
STREAMS = (b"text/event-stream", b"application/x-ndjson")
TOO_BIG = {
    "message": f"The body is larger than {BODY_BYTES >> 20} MB.",
    "type": "invalid_request_error",
    "param": None,
    "code": "request_too_large",
}


class BoundedRequest(WebRequest):
    """One request of daphne's."""

    # Bytes of the body, and bytes written since the reader fell behind.
    _came = _unread = 0

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - the name is Twisted's
        self._came = 0
        super().gotLength(min(length, BODY_BYTES) if length else length)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - the name is Twisted's
        self._came += len(data)
        if self._came <= BODY_BYTES:
            super().handleContentChunk(data)
        elif self._came > PATIENCE_BYTES:
            self.channel.transport.abortConnection()

    def process(self) -> Any:
        if self._came <= BODY_BYTES:
            return super().process()
        self.setResponseCode(413)
        self.setHeader(b"Content-Type", b"application/json")
        self.write(json.dumps({"error": TOO_BIG}).encode())
        return self.finish()

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message.get("type") == "http.response.body" and self._is_left_unread(message):
            # The call hears of it as of any reader that leaves.
            self.channel.transport.abortConnection()
            return
        super().handle_reply(message)

    def _is_left_unread(self, message: dict[str, Any]) -> bool:
        """Whether this event is one too many. The transport says that it is behind; Twisted would
        keep whatever is written then."""
        kinds = self.responseHeaders.getRawHeaders(b"content-type") or [b""]
        behind = getattr(self.channel, "_waitingForTransport", False)
        if not behind or not kinds[0].startswith(STREAMS):
            self._unread = 0
            return False
        self._unread += len(message.get("body", b""))
        return self._unread > UNREAD_BYTES
