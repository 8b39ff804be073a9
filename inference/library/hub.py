"""Questions to the hub: which repositories there are, and what one offers. It downloads no weights:
of a GGUF file it reads the header by ranges."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from inference.gguf import GgufError, Header, read_open
from inference.library import client, variants
from inference.library.nouns import Errand, FileRef, Hub, Repository, Shapes, Variant
from inference.library.ranges import RangeFile
from inference.library.shapes import of_config, of_header
from inference.library.sources import Address, Source
from inference.library.sources import Repository as Files

log = logging.getLogger(__name__)
MOST_FOUND, MOST_FILES = 100, 5000
TOLD = ["downloads", "likes", "lastModified", "gated", "private", "tags", "pipeline_tag"]
# Models in one repository whose headers are read; a question takes seconds.
MOST_STEMS = 6
LARGEST_CONFIG = 4 << 20
# Seconds for all headers of a repository: who asks waits, and sizes alone are an answer, too.
HEADERS_S = 10.0


def search(
    hub: Hub, query: str = "", limit: int = 30, format: str = "gguf"
) -> list[dict[str, Any]]:
    """Repositories with such files, the most downloaded first, as `Repository` without variants."""
    api = _api(hub)
    found = api.list_models(
        search=query[:200] or None,
        filter=format or None,
        sort="downloads",
        limit=max(1, min(limit, MOST_FOUND)),
        expand=cast("Any", TOLD),
    )
    return [asdict(_about(each)) for each in found]


def look(hub: Hub, repo: str, revision: str = "") -> dict[str, Any]:
    """What a repository offers at one commit, with the shapes of its models."""
    api = _api(hub)
    info = api.model_info(repo, revision=revision or None)
    about = replace(_about(info), revision=info.sha or "")
    files = _files(api, about)
    found, aside = variants.of(files)
    reader = Headers(hub, about)
    shaped = [replace(each, shapes=reader.shapes(each)) for each in found]
    if reader.precision:
        shaped = [v if v.quant else replace(v, quant=reader.precision) for v in shaped]
    about = replace(about, variants=tuple(shaped), aside=tuple(aside), open=reader.open)
    return asdict(about)


def weigh(hub: Hub, url: str) -> dict[str, Any]:
    """The one variant that a direct address leads to."""
    client.start(hub)
    source = Address(Errand("", "download", hub=hub, url=url))
    files: list[FileRef] = []
    headers: list[Header] = []
    for ref in source.files():
        found = source.find(ref)
        files.append(replace(ref, size=found.size))
        headers.append(_header(found))
    shapes = of_header(_joined(headers))
    return asdict(Variant(variants.quant(files[0].path), "gguf", tuple(files), shapes))


def _api(hub: Hub) -> Any:
    client.start(hub)
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.endpoint, token=client.token(hub) or False)


def _about(info: Any) -> Repository:
    tags = tuple(str(tag) for tag in info.tags or ())
    licences = [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
    return Repository(
        repo=info.id,
        gated=str(info.gated or ""),
        private=bool(info.private),
        licence=licences[0] if licences else "",
        task=info.pipeline_tag or "",
        tags=tags[:60],
        downloads=info.downloads or 0,
        likes=info.likes or 0,
        updated=info.last_modified.isoformat() if info.last_modified else "",
    )


def _files(api: Any, about: Repository) -> list[FileRef]:
    files = []
    tree = api.list_repo_tree(about.repo, revision=about.revision or None, recursive=True)
    for each in tree:
        if hasattr(each, "blob_id"):
            lfs = each.lfs
            files.append(FileRef(each.path, each.size, lfs.sha256 if lfs else ""))
        if len(files) >= MOST_FILES:
            break
    return files


class Headers:
    """Shapes of a repository's variants. All quantizations of one model have the same: one header
    is read for all of them, the smallest file's."""

    def __init__(self, hub: Hub, about: Repository) -> None:
        self._files = Files(
            Errand("", "download", hub=hub, repo=about.repo, revision=about.revision)
        )
        self._hub = hub
        self._repo = about.repo
        self._known: dict[str, Shapes | None] = {}
        self._until = time.monotonic() + HEADERS_S
        # Whether the files themselves are given to us, and of safetensors how precise they are.
        self.open = True
        self.precision = ""

    def shapes(self, variant: Variant) -> Shapes | None:
        if variant.format != "gguf":
            return self._configured(variant)
        stem = variants.stem(variant)
        if stem not in self._known:
            few = self.open and len(self._known) < MOST_STEMS
            found = self._read(variant.files) if few else None
            # What is copied is this quantization's own; of the others a forecast estimates it.
            self._known[stem] = replace(found, packed_bytes=0) if found else None
            return found
        return self._known[stem]

    def _read(self, files: Sequence[FileRef]) -> Shapes | None:
        try:
            found = [self._header(ref) for ref in files]
        except GgufError as error:
            log.warning("%s of %s has no good header: %s", files[0].path, self._repo, error)
            return None
        except Exception as error:  # noqa: BLE001 - explain raises what is no answer of the hub's
            self._note(error)
            return None
        return of_header(_joined(found))

    def _header(self, ref: FileRef) -> Header:
        source = self._files.find(ref)
        return _header(replace(source, size=ref.size or source.size), self._until)

    def _configured(self, variant: Variant) -> Shapes | None:
        ref = next(each for each in variant.files if each.path == "config.json")
        try:
            source = self._files.find(ref)
            size = min(ref.size or source.size, LARGEST_CONFIG)
            file = RangeFile(source.url, source.headers, size, self._until)
            config = json.loads(file.read(size))
        except ValueError:
            return None
        except Exception as error:  # noqa: BLE001 - the same
            self._note(error)
            return None
        if not isinstance(config, dict):
            return None
        self.precision = _precision(config)
        return of_config(config)

    def _note(self, error: Exception) -> None:
        """What is refused for these files is refused for all."""
        trouble = client.explain(error, self._hub, self._repo)
        if trouble.kind in {"gated", "no_access"}:
            self.open = False
        elif trouble.kind == "refused_host":
            raise trouble


def _header(source: Source, until: float = math.inf) -> Header:
    file = RangeFile(source.url, source.headers, source.size, until)
    return read_open(cast("Any", file), source.size)


def _joined(headers: Sequence[Header]) -> Header:
    """Of a model in parts the first one tells all but how much there is (see inference.gguf)."""
    names = ("parameters", "file_bytes", "tensor_bytes", "expert_parameters", "packed_bytes")
    sums: Any = {name: sum(getattr(header, name) for header in headers) for name in names}
    return replace(headers[0], **sums)


def _precision(config: dict[str, Any]) -> str:
    how = config.get("quantization_config")
    if isinstance(how, dict):
        return str(how.get("quant_method") or "").upper()[:20]
    names = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
    with contextlib.suppress(TypeError):
        return names.get(config.get("dtype") or config.get("torch_dtype") or "", "")
    return ""
