"""How this process talks to the hub: huggingface_hub with a client of our own, which shows the
token to the hub alone (R7), goes to no host that nobody allowed (R8), and says in our kinds what
failed.

Set the environment with `prepare` before anything else imports huggingface_hub.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from inference.gguf import GgufError
from inference.library.addresses import is_allowed, origin
from inference.library.nouns import Hub, LibraryError
from inference.remote.permit import LockedError, find_secret, unseal

# A hub that asks for longer than this is not waited for.
LONGEST_WAIT = 3600
# Seconds of silence after which a connection counts as lost.
SILENCE = 20
# Bytes between two writes: what a kill may cost, and how often a page sees it move.
CHUNK = 32 << 10
QUIET = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DOWNLOAD_TIMEOUT": str(SILENCE),
    "HF_HUB_ETAG_TIMEOUT": str(SILENCE),
    "HF_HUB_VERBOSITY": "error",
}
# What the admin set counts, not what happens to be set around the worker.
FORGOTTEN = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HF_DEBUG")


def prepare(hub: Hub, environ: MutableMapping[str, str]) -> None:
    """What huggingface_hub reads when it is imported."""
    for name in FORGOTTEN:
        environ.pop(name, None)
    environ.update(QUIET, HF_ENDPOINT=hub.endpoint)


def token(hub: Hub) -> str:
    """The token, for the hub that it was sealed for and no other; "" where there is none."""
    if not hub.permit:
        return ""
    try:
        permit = unseal(hub.permit, find_secret(os.environ))
    except LockedError:
        raise LibraryError("locked", "The token cannot be opened on this machine.") from None
    return permit.key if origin(permit.base_url) == origin(hub.endpoint) else ""


def start(hub: Hub) -> None:
    """From here on every request of huggingface_hub goes through our client."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    widen()
    home = origin(hub.endpoint)

    def ask(request: httpx2.Request) -> None:
        _http.hf_request_event_hook(request)
        leave(request, home, hub)

    set_client_factory(
        lambda: httpx2.Client(
            event_hooks={"request": [ask], "response": [hear]},
            follow_redirects=True,
            timeout=SILENCE,
        )
    )


def widen() -> None:
    """Our size of a bite, and no limit for a file."""
    from huggingface_hub import constants

    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    # One file of this size is rare, and the hub says itself what it does not give.
    constants.MAX_HTTP_DOWNLOAD_SIZE = 1 << 50


def leave(request: Any, home: tuple[str, str, int], hub: Hub) -> None:
    """Every request, also each that follows a redirect, passes here before it goes out."""
    url = str(request.url)
    if origin(url) == home:
        return
    request.headers.pop("authorization", None)
    request.headers.pop("cookie", None)
    if not is_allowed(url, hub):
        raise LibraryError("refused_host", f"{url} is on no allowed host.", host=_host(url))


def hear(response: Any) -> None:
    """The hub asks for patience: the caller waits in a way that can be seen."""
    if response.status_code == 429:
        raise LibraryError("rate_limited", "Too many requests.", seconds=patience(response.headers))


def patience(headers: Any) -> int:
    """For how many seconds the hub asks; a minute where it does not say."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(headers)
    told = headers.get("Retry-After", "").strip()
    seconds = int(told) if told.isdigit() else 60
    if limit and limit.remaining == 0 and not told.isdigit():
        seconds = limit.reset_in_seconds
    return max(1, min(seconds, LONGEST_WAIT))


def explain(error: Exception, hub: Hub, repo: str) -> LibraryError:
    """What an exception of huggingface_hub or of its HTTP client means for an admin."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, LibraryError):
        return error
    if isinstance(error, GgufError):
        return LibraryError("bad_header", str(error), reason=error.kind)
    if isinstance(error, errors.HfHubHTTPError):
        return _refusal(error, hub, repo)
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return LibraryError("hub_down", str(error), host=_host(hub.endpoint), status=0)
    if isinstance(error, httpx2.HTTPError):
        return LibraryError("cut_off", str(error), host=_host(hub.endpoint))
    if isinstance(error, errors.HFValidationError):
        return LibraryError("missing", str(error), repo=repo, what="repository")
    raise error


def _refusal(error: Any, hub: Hub, repo: str) -> LibraryError:
    from huggingface_hub import errors

    status = error.response.status_code
    text = f"{status}: {error.server_message or ''}"[:500]
    url = str(error.response.url)
    if status >= 500 or status == 408:
        return LibraryError("hub_down", text, host=_host(url), status=status)
    if origin(url) != origin(hub.endpoint):
        # An address that the hub signed for a while, and the while is over.
        return LibraryError("cut_off", text, host=_host(url), status=status)
    if isinstance(error, errors.GatedRepoError):
        return LibraryError("gated", text, repo=repo, token=bool(hub.permit))
    if isinstance(error, errors.RevisionNotFoundError):
        return LibraryError("missing", text, repo=repo, what="revision")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return LibraryError("missing", text, repo=repo, what="file")
    if status in {401, 403}:
        return LibraryError("no_access", text, repo=repo, token=bool(hub.permit))
    if status == 404:
        return LibraryError("missing", text, repo=repo, what="repository")
    return LibraryError("hub_refused", text, host=_host(url), status=status)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
