"""What the site and the workers say to each other about models that come and go: errands,
questions, shapes. JSON outside, dataclasses inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


class LibraryError(Exception):
    """Something about a model's files that an admin can understand and mend. `kind` is stable,
    `facts` fill the site's words; the text is for the log."""

    def __init__(self, kind: str, text: str = "", **facts: Any) -> None:
        super().__init__(text or kind)
        self.kind = kind
        self.facts = facts

    def to_dict(self) -> dict[str, Any]:
        return {**self.facts, "kind": self.kind}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        facts = {key: value for key, value in data.items() if key not in {"kind", "text"}}
        return cls(str(data.get("kind") or "unknown"), **facts)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where repositories are asked for. `permit` is the token, sealed for the worker's process
    alone (inference.remote.permit); `hosts`: from which others a plain file may come."""

    endpoint: str = "https://huggingface.co"
    permit: str = ""
    hosts: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["hosts"] = tuple(known.get("hosts") or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of a model: its path within the repository or folder, its size in bytes (0: unknown)
    and its SHA-256 as hex ("": unknown)."""

    path: str
    size: int = 0
    sha256: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class Errand:
    """Work of minutes or hours that one worker does. `kind`: download (`repo`, `revision`, `files`;
    or `url`), import (`path`: a file, a folder or a bundle on that worker's machine), export
    (`folder`, `files`, `path`, `about` for the manifest), remove (`folder`), copy (`folder`,
    `files` with their SHA-256, `source`: the worker that has them).

    `node`: the name of the worker that has to do it, "" for whoever comes first. `folder`: the name
    below the worker's folder of models where the files lie (see inference.library.store).
    """

    id: str
    kind: str
    node: str = ""
    folder: str = ""
    hub: Hub = field(default_factory=Hub)
    repo: str = ""
    revision: str = ""
    url: str = ""
    path: str = ""
    files: tuple[FileRef, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["hub"] = Hub.from_dict(data.get("hub") or {})
        known["files"] = tuple(FileRef.from_dict(each) for each in data.get("files") or ())
        return cls(**known)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        return cls.from_dict(json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


# What an errand may be; the last three are the end.
WAITING, RUNNING, PAUSED = "waiting", "running", "paused"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True)
class ErrandState:
    """How an errand stands. `phase` while it runs: fetching, verifying, checking, testing, copying.

    `done` and `total` are bytes (0: unknown), `speed` bytes per second, `error` a LibraryError as
    {"kind", ...facts}; of one that runs: what it waits for to be over before it tries again.
    `result` of a download, an import or a copy is a `Landed` as a dict.
    """

    id: str
    state: str = WAITING
    phase: str = ""
    file: str = ""
    done: int = 0
    total: int = 0
    speed: float = 0.0
    node: str = ""
    error: dict[str, Any] | None = None
    result: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the need for memory and time follows from; 0 where nothing is known. `head_count_kv`
    and `windows` have one number per layer: heads, and the tokens of the past that it sees (0:
    all)."""

    architecture: str = ""
    parameters: int = 0
    # Of a mixture of experts: those that one token passes through; else all.
    active_parameters: int = 0
    layers: int = 0
    context_length: int = 0
    embedding_length: int = 0
    feed_forward_length: int = 0
    vocab_size: int = 0
    head_count: int = 0
    head_count_kv: tuple[int, ...] = ()
    key_length: int = 0
    value_length: int = 0
    windows: tuple[int, ...] = ()
    # Bytes that a recurrent model keeps for each sequence.
    state_bytes: int = 0
    experts: int = 0
    experts_used: int = 0
    # Bytes of weights that llama.cpp copies into an order of its own; the file stays mapped beside.
    packed_bytes: int = 0
    # Vectors instead of answers.
    embeds: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        for name in ("head_count_kv", "windows"):
            known[name] = tuple(known.get(name) or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a worker's machine is for a forecast: bytes, bytes per second, names. `rates`: weights
    of a quantization that its processor works through, in bytes per second, as measured; "" for the
    rest. `graphics_free` is the memory of its graphics cards, 0 without one."""

    memory_total: int = 0
    memory_free: int = 0
    disk_free: int = 0
    cores: int = 0
    processor: str = ""
    # Whether it has units for matrices, in which vLLM is quick.
    amx: bool = False
    # Whether its speed can be measured at all; `bandwidth` is 0 until it was.
    measurable: bool = True
    bandwidth: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    graphics: str = ""
    graphics_free: int = 0
    engines: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["engines"] = tuple(known.get("engines") or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Variant:
    """One quantization of a repository as it can be had: all files that belong together, the first
    one being what the engine is given. `format`: gguf or safetensors. `shapes`: of its header, None
    where that could not be read."""

    quant: str
    format: str
    files: tuple[FileRef, ...]
    shapes: Shapes | None = None

    @property
    def bytes(self) -> int:
        return sum(each.size for each in self.files)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["files"] = tuple(FileRef.from_dict(each) for each in data.get("files") or ())
        shapes = data.get("shapes")
        known["shapes"] = Shapes.from_dict(shapes) if shapes else None
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the hub as it can be had: `revision` is the commit that its name led to.

    `gated`: "", auto or manual; `open`: whether its files may be fetched with what we have.
    `aside`: files that a variant needs for pictures and the like (mmproj), for none chosen.
    """

    repo: str
    revision: str = ""
    gated: str = ""
    open: bool = True
    private: bool = False
    licence: str = ""
    task: str = ""
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    updated: str = ""
    variants: tuple[Variant, ...] = ()
    aside: tuple[FileRef, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["tags"] = tuple(data.get("tags") or ())
        known["variants"] = tuple(Variant.from_dict(each) for each in data.get("variants") or ())
        known["aside"] = tuple(FileRef.from_dict(each) for each in data.get("aside") or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Landed:
    """A model that has arrived on a worker's disk and was found good: `folder` and `file` are its
    place (a catalogue's source is {"store": "<folder>/<file>"}), `engine` what runs it."""

    folder: str
    file: str
    engine: str
    files: tuple[FileRef, ...]
    format: str = "gguf"
    quant: str = ""
    shapes: Shapes = field(default_factory=Shapes)
    name: str = ""
    licence: str = ""
    template: bool = False
    # Manifest of a bundle: title, description, settings, defaults and the like, as they were there.
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["files"] = tuple(FileRef.from_dict(each) for each in data.get("files") or ())
        known["shapes"] = Shapes.from_dict(data.get("shapes") or {})
        return cls(**known)


def _known(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Another version may say more."""
    names = {each.name for each in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
