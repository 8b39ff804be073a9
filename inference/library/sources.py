"""Where the bytes of wanted files are: at the hub, or at a plain address on a host that the admin
allowed. It fetches none of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import unquote, urlsplit

from inference.gguf import MOST_PARTS, PART
from inference.library import client
from inference.library.addresses import is_allowed, origin
from inference.library.nouns import Errand, FileRef, Hub, LibraryError

SHA256, SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
PLAIN = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file's bytes are just now. `size` 0: not told. `sha256` or `git`: by the hub's word;
    `version`: what a plain server calls this state of it, "" where it does not tell states apart.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0
    sha256: str = ""
    git: str = ""
    version: str = ""


class Origin(Protocol):
    """Where an errand's files come from. `is_versioned`: what is there may be another file at the
    next look, which `Source.version` tells."""

    is_versioned: bool

    def files(self) -> list[FileRef]: ...

    def find(self, ref: FileRef) -> Source: ...

    def explain(self, error: Exception) -> LibraryError:
        """What an exception on the way means; one that is no trouble of the way's is raised."""


class Repository:
    """Files of a repository at one revision."""

    is_versioned = False

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._token = client.token(errand.hub) or False

    def explain(self, error: Exception) -> LibraryError:
        return _explain(error, self._errand.hub, self._errand.repo)

    def files(self) -> list[FileRef]:
        return list(self._errand.files)

    def find(self, ref: FileRef) -> Source:
        """Asked anew before each try: the hub signs addresses for a while only."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        errand, endpoint = self._errand, self._errand.hub.endpoint
        revision = errand.revision or None
        url = hf_hub_url(errand.repo, ref.path, revision=revision, endpoint=endpoint)
        found = get_hf_file_metadata(url, token=self._token, endpoint=endpoint)
        if SHA1.fullmatch(errand.revision) and found.commit_hash not in {None, errand.revision}:
            raise LibraryError("missing", repo=errand.repo, what="revision")
        headers = PLAIN | build_hf_headers(token=self._token)
        if origin(found.location) != origin(endpoint):
            headers.pop("authorization", None)
        tag = found.etag or ""
        return Source(
            found.location,
            headers,
            found.size or 0,
            sha256=tag if SHA256.fullmatch(tag) else "",
            git=tag if SHA1.fullmatch(tag) else "",
        )


class Address:
    """A file at a direct address, with its parts where it is split. No token goes there."""

    is_versioned = True

    def __init__(self, errand: Errand) -> None:
        self._url = errand.url
        self._hub = errand.hub

    def explain(self, error: Exception) -> LibraryError:
        return _explain(error, self._hub, "")

    def files(self) -> list[FileRef]:
        name = PurePosixPath(unquote(urlsplit(self._url).path)).name
        if not name.lower().endswith(".gguf"):
            raise LibraryError("refused_file", file=name)
        found = PART.search(name)
        if not found:
            return [FileRef(name)]
        stem, count = name[: found.start()], int(found[2])
        if not 1 <= count <= MOST_PARTS:
            raise LibraryError("refused_file", file=name)
        return [FileRef(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]

    def find(self, ref: FileRef) -> Source:
        from huggingface_hub.utils import get_session, hf_raise_for_status

        url = self._of(ref)
        if not is_allowed(url, self._hub):
            raise LibraryError("refused_host", host=urlsplit(url).netloc)
        answer = get_session().head(url, headers=PLAIN)
        if answer.status_code in {405, 501}:
            return Source(url, PLAIN)
        hf_raise_for_status(answer)
        length = answer.headers.get("Content-Length", "")
        tag = answer.headers.get("ETag", "")
        version = answer.headers.get("Last-Modified", "") if tag.startswith("W/") else tag
        return Source(url, PLAIN, int(length) if length.isdigit() else 0, version=version)

    def _of(self, ref: FileRef) -> str:
        """The same address with this part's number."""
        base, mark, query = self._url.partition("?")
        found, wanted = PART.search(base), PART.search(ref.path)
        if found and wanted:
            base = base[: found.start()] + wanted[0]
        return base + mark + query


def is_cut(error: Exception) -> bool:
    """http_get says so of a file that ended too early; and it calls itself at each cut."""
    return (type(error) is OSError and error.errno is None) or isinstance(error, RecursionError)


def _explain(error: Exception, hub: Hub, repo: str) -> LibraryError:
    if is_cut(error):
        return LibraryError("cut_off", str(error)[:200], host=hub.endpoint)
    return client.explain(error, hub, repo)
