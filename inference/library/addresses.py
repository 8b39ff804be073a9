"""What an admin types or pastes to say which model is meant, and which hosts may be asked for
files. It asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from inference.library.nouns import Hub, LibraryError

PORTS = {"http": 80, "https": 443}
# The hub under its own names, however it is reached otherwise.
HUB_HOSTS = ("huggingface.co", "hf.co", "www.huggingface.co")
# Where the hub has its files: it redirects there.
HUB_FILES = (".huggingface.co", ".hf.co")
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
REPO = re.compile(rf"{NAME}/{NAME}")
QUANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
LONGEST = 2000
# What stands between a repository and a revision in an address of the hub.
VIEWS = {"tree", "blob", "resolve", "raw"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository, and of it a revision, a quantization or a file ("": not said); or a `url`."""

    repo: str = ""
    revision: str = ""
    quant: str = ""
    file: str = ""
    url: str = ""


def parse(text: str, hub: Hub) -> Wanted:
    """What is meant. LibraryError: bad_address, refused_file, or refused_host of a direct one."""
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isprintable() or "\\" in text:
        raise LibraryError("bad_address")
    text = re.sub(r"^(?:ollama (?:run|pull)|hf download)\s+", "", text)
    if " " in text:
        raise LibraryError("bad_address")
    if text.startswith("hf://"):
        return _short(text.removeprefix("hf://"))
    if "://" not in text and text.partition("/")[0].lower() in HUB_HOSTS:
        text = "https://" + text
    if "://" not in text:
        return _short(text)
    return _address(text, hub)


def _short(text: str) -> Wanted:
    """owner/repo, owner/repo@revision, owner/repo:QUANT, owner/repo/file.gguf"""
    owner, _, rest = text.partition("/")
    name, _, file = rest.partition("/")
    name, _, quant = name.partition(":")
    name, _, revision = name.partition("@")
    if not REPO.fullmatch(f"{owner}/{name}") or ".." in text or "--" in name:
        raise LibraryError("bad_address")
    if (quant and not QUANT.fullmatch(quant)) or (revision and not REVISION.fullmatch(revision)):
        raise LibraryError("bad_address")
    if quant and file:
        raise LibraryError("bad_address")
    return Wanted(f"{owner}/{name}", revision, quant.upper(), _file(file))


def _address(text: str, hub: Hub) -> Wanted:
    try:
        parts = urlsplit(text)
        host, _port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise LibraryError("bad_address") from None
    if parts.scheme not in PORTS or not host or parts.username or parts.password:
        raise LibraryError("bad_address")
    if host in HUB_HOSTS or origin(text) == origin(hub.endpoint):
        below = urlsplit(hub.endpoint).path.rstrip("/") + "/"
        ours = host not in HUB_HOSTS and parts.path.startswith(below)
        return _on_hub(parts._replace(path=parts.path[len(below) :]) if ours else parts)
    if not is_allowed(text, hub):
        raise LibraryError("refused_host", host=parts.netloc)
    path = unquote(parts.path)
    if ".." in path.split("/"):
        raise LibraryError("bad_address")
    if not path.lower().endswith(".gguf"):
        raise LibraryError("refused_file", file=path.rpartition("/")[2])
    return Wanted(url=parts._replace(fragment="").geturl())


def _on_hub(parts: SplitResult) -> Wanted:
    steps = [unquote(step) for step in parts.path.split("/") if step]
    if steps[:1] == ["models"]:
        steps = steps[1:]
    if len(steps) < 2 or steps[0] in {"datasets", "spaces", "api"}:
        raise LibraryError("bad_address")
    # hf.co/owner/repo:QUANT is how others write it.
    wanted = _short("/".join(steps[:2]))
    if len(steps) == 2:
        return wanted
    if steps[2] not in VIEWS:
        raise LibraryError("bad_address")
    revision = steps[3] if len(steps) > 3 else ""
    file = "/".join(steps[4:]) if steps[2] != "tree" else ""
    if (revision and not REVISION.fullmatch(revision)) or ".." in steps:
        raise LibraryError("bad_address")
    return Wanted(wanted.repo, "" if revision == "main" else revision, wanted.quant, _file(file))


def _file(path: str) -> str:
    if path and not path.lower().endswith((".gguf", ".safetensors")):
        raise LibraryError("refused_file", file=path.rpartition("/")[2])
    return path


def is_allowed(url: str, hub: Hub) -> bool:
    """Whether a file may come from there (R8): the hub, where it has its files, and what the admin
    named: `host` at the usual port, `host:port`, `.host` for all below it."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return False
    if parts.scheme not in PORTS or not host:
        return False
    if origin(url) == origin(hub.endpoint):
        return True
    usual = parts.scheme == "https" and port == PORTS["https"]
    if usual and (host in HUB_HOSTS or host.endswith(HUB_FILES)):
        return True
    return _named(host, port, parts.scheme, hub.hosts)


def _named(host: str, port: int, scheme: str, hosts: Iterable[str]) -> bool:
    for each in hosts:
        name, _, wanted = each.lower().strip().partition(":")
        if wanted != (str(port) if wanted else "") or (not wanted and port != PORTS[scheme]):
            continue
        below = name.removeprefix("*")
        if host == name or (below.startswith(".") and host.endswith(below)):
            return True
    return False


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a token is for."""
    parts = urlsplit(url)
    return (parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0))
