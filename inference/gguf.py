"""What a GGUF file says of itself, read without native code: each number is doubted (R3) before it
is used. It judges nothing and loads nothing."""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from inference.quants import MIXTURES, PACKED, TYPES

# A header longer than this is no header; vocabularies of 250,000 entries need about 20 MB.
LONGEST = 64 << 20
CHUNK = 1 << 20
MOST_KEYS, MOST_TENSORS, MOST_TEXTS = 4096, 65_536, 1 << 21
MOST_LAYERS, MOST_PARTS = 4096, 1000
LONGEST_KEY, LONGEST_NAME, LONGEST_TEXT = 256, 256, 1 << 20
# Arrays are kept up to this length: one number per layer. The vocabulary is only counted.
KEPT = MOST_LAYERS
MOST_DIMENSIONS = 4

STRING, ARRAY = 8, 9
LENGTH = struct.Struct("<Q")
# The scalar types of values, by their number, in struct's letters.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
SCALARS |= {12: "d"}
# Architectures whose memory of what was read is a state, not (or not only) cells.
RECURRENT = re.compile(r"mamba|rwkv|jamba|falcon-h1|granitehybrid|nemotron_h|lfm2|plamo2|qwen3next")
# In the names of all experts' tensors.
EXPERTS = "_exps."
PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


class GgufError(Exception):
    """The file is not what it says. `kind`: no_gguf, version, truncated, limit, value, tensor or
    parts."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Header:
    """A model by its file. 0 and "" where the file says nothing."""

    architecture: str
    name: str
    size_label: str
    quantization: str
    chat_template: str
    parameters: int
    # All parts together; and of that, what the tensors are.
    file_bytes: int
    tensor_bytes: int
    block_count: int
    context_length: int
    embedding_length: int
    vocab_size: int
    head_count: int
    # One number per layer, 0 for a layer without attention.
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    sliding_window: int
    recurrent: bool
    # Bytes of the state that a recurrent model keeps for each sequence.
    state_bytes: int
    feed_forward_length: int = 0
    # Experts of each layer, and those that a token passes through.
    experts: int = 0
    experts_used: int = 0
    # Of the parameters those of all experts, and of a table; the bytes that llama.cpp copies.
    expert_parameters: int = 0
    table_parameters: int = 0
    packed_bytes: int = 0

    @property
    def active_parameters(self) -> int:
        """Those that one token passes through."""
        unused = max(0, self.experts - self.experts_used)
        idle = self.expert_parameters * unused // self.experts if self.experts else 0
        return self.parameters - self.table_parameters - idle

    @property
    def cell_values(self) -> int:
        """Numbers that the KV cache keeps for each token."""
        return sum(self.head_count_kv) * (self.key_length + self.value_length)


class Reader:
    """Takes bytes from the beginning of a file, never more than `LONGEST` and never beyond its
    end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._data = b""
        self._start = 0
        self._at = 0
        self._read = 0

    @property
    def position(self) -> int:
        return self._start + self._at

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            self._refill(count)
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def skip(self, count: int) -> None:
        """Go on without reading what is in between."""
        self._check(count)
        if self._at + count <= len(self._data):
            self._at += count
            return
        self._start, self._data, self._at = self.position + count, b"", 0
        self._file.seek(self._start)

    def skip_texts(self, count: int) -> None:
        """Go on behind so many texts; a vocabulary has hundreds of thousands."""
        while count:
            self.skip(self.number("Q"))
            count -= 1
            # What lies in the buffer as a whole, without a call for each.
            data, at, last = self._data, self._at, len(self._data) - 8
            while count and at <= last:
                (length,) = LENGTH.unpack_from(data, at)
                if at + length > last:
                    break
                at += 8 + length
                count -= 1
            self._at = at

    def _refill(self, count: int) -> None:
        self._check(count)
        rest = self._data[self._at :]
        more = self._file.read(max(count - len(rest), min(CHUNK, self._size)))
        self._read += len(more)
        if self._read > LONGEST:
            raise GgufError("limit", "The header is longer than any header is.")
        self._start, self._data, self._at = self.position, rest + more, 0
        if len(self._data) < count:
            raise GgufError("truncated", "The file ends within its header.")

    def _check(self, count: int) -> None:
        if count > self._size - self.position:
            raise GgufError("truncated", "The file ends within its header.")

    def number(self, letter: str) -> Any:
        layout = "<" + letter
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def text(self, longest: int) -> str:
        length: int = self.number("Q")
        if length > longest:
            raise GgufError("limit", f"A text of {length} bytes where {longest} are the most.")
        return self.take(length).decode(errors="replace")


def read(path: Path) -> Header:
    """The header of a model; of one in parts `path` is the first. GgufError, or OSError."""
    paths = parts(path)
    headers = [_read(part, _stamp(part)) for part in paths]
    first = headers[0]
    if not first.architecture:
        raise GgufError("value", "The file does not say which architecture it is of.")
    return replace(
        first,
        parameters=sum(header.parameters for header in headers),
        file_bytes=sum(header.file_bytes for header in headers),
        tensor_bytes=sum(header.tensor_bytes for header in headers),
        expert_parameters=sum(header.expert_parameters for header in headers),
        packed_bytes=sum(header.packed_bytes for header in headers),
    )


def parts(path: Path) -> list[Path]:
    """All files of a model that may be split (`-00001-of-00003.gguf`), the first one first."""
    found = PART.search(path.name)
    if not found:
        return [path]
    number, count = int(found[1]), int(found[2])
    if number != 1 or not 1 <= count <= MOST_PARTS:
        raise GgufError("parts", f"{path.name} is not the first part of a model.")
    stem = path.name[: found.start()]
    paths = [path.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]
    missing = [each.name for each in paths if not each.is_file()]
    if missing:
        raise GgufError("parts", f"{len(missing)} of {count} parts are missing: {missing[0]}.")
    return paths


def _stamp(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_size, known.st_mtime_ns


# The vocabulary of a large model takes a tenth of a second to walk over.
@lru_cache(maxsize=256)
def _read(path: Path, stamp: tuple[int, int]) -> Header:
    with path.open("rb") as file:
        return read_open(file, stamp[0])


def read_open(file: BinaryIO, size: int) -> Header:
    """The header of one file, of which `read` and `seek` are used: it need not lie anywhere."""
    reader = Reader(file, size)
    tensor_count, key_count = _begin(reader)
    values = dict(_values(reader, key_count))
    if len(values) < key_count:
        raise GgufError("value", "A key stands there twice.")
    return _header(values, _tensors(reader, tensor_count, values, size), size)


def _begin(reader: Reader) -> tuple[int, int]:
    if reader.take(4) != b"GGUF":
        raise GgufError("no_gguf", "This is no GGUF file.")
    version = reader.number("I")
    if version not in {2, 3}:
        raise GgufError("version", f"GGUF version {version} is not known here.")
    tensors, keys = reader.number("Q"), reader.number("Q")
    if tensors > MOST_TENSORS or keys > MOST_KEYS:
        raise GgufError("limit", f"{tensors} tensors and {keys} keys are too many.")
    return tensors, keys


def _values(reader: Reader, count: int) -> Iterator[tuple[str, Any]]:
    for _ in range(count):
        key, kind = reader.text(LONGEST_KEY), reader.number("I")
        yield key, _array(reader) if kind == ARRAY else _value(reader, kind)


def _value(reader: Reader, kind: int) -> Any:
    if kind == STRING:
        return reader.text(LONGEST_TEXT)
    if kind not in SCALARS:
        raise GgufError("value", f"There is no type {kind} of values.")
    return reader.number(SCALARS[kind])


def _array(reader: Reader) -> Any:
    """A short one's numbers; of others only how long they are."""
    kind, count = reader.number("I"), reader.number("Q")
    if kind == STRING:
        if count > MOST_TEXTS:
            raise GgufError("limit", f"{count} texts are more than any vocabulary has.")
        reader.skip_texts(count)
        return count
    if kind not in SCALARS:
        raise GgufError("value", f"There are no arrays of type {kind}.")
    width = struct.calcsize("<" + SCALARS[kind])
    if count > KEPT:
        reader.skip(count * width)
        return count
    return struct.unpack(f"<{count}{SCALARS[kind]}", reader.take(count * width))


@dataclass(frozen=True, slots=True)
class Tensors:
    """What the list of tensors adds up to. `type` holds the most bytes."""

    parameters: int
    bytes: int
    type: str
    expert_parameters: int = 0
    table_parameters: int = 0
    packed_bytes: int = 0


def _tensors(reader: Reader, count: int, values: dict[str, Any], size: int) -> Tensors:
    """Read the list; each tensor must lie within the file."""
    parameters, ends, types, parts = 0, 0, Counter[str](), Counter[str]()
    for _ in range(count):
        tensor = reader.text(LONGEST_NAME)
        shape = _shape(reader)
        kind, offset = reader.number("I"), reader.number("Q")
        if kind not in TYPES:
            raise GgufError("tensor", f"There is no type {kind} of tensors.")
        name, block, width = TYPES[kind]
        numbers = math.prod(shape)
        if shape[0] % block:
            raise GgufError("tensor", "The rows of a tensor do not fill its blocks.")
        length = numbers // block * width
        parameters += numbers
        parts["experts" if EXPERTS in tensor else tensor] += numbers
        types[name] += length
        ends = max(ends, offset + length)
    alignment = _whole(values, "general.alignment", 1 << 16) or 32
    start = -(-reader.position // alignment) * alignment
    if count and start + ends > size:
        raise GgufError("tensor", "A tensor lies beyond the end of the file; it may be incomplete.")
    if types.total() > size:
        raise GgufError("tensor", "The tensors lie over one another.")
    table = parts["token_embd.weight"] if parts["output.weight"] else 0
    most = types.most_common(1)[0][0] if types else ""
    packed = sum(length for name, length in types.items() if name in PACKED)
    return Tensors(parameters, types.total(), most, parts["experts"], table, packed)


def _shape(reader: Reader) -> tuple[int, ...]:
    dimensions = reader.number("I")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise GgufError("tensor", f"A tensor of {dimensions} dimensions.")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    # ggml multiplies with 64 bits and a sign.
    if 0 in shape or math.prod(shape) >= 1 << 62:
        raise GgufError("tensor", f"No tensor has the shape {shape}.")
    return shape


def _header(values: dict[str, Any], tensors: Tensors, size: int) -> Header:
    architecture = _text(values, "general.architecture")

    def own(key: str) -> int:
        return _whole(values, f"{architecture}.{key}")

    layers = _whole(values, f"{architecture}.block_count", MOST_LAYERS)
    width = own("embedding_length")
    heads = max(_layered(values, f"{architecture}.attention.head_count", layers), default=0)
    head = width // heads if heads else 0
    heads_kv = _layered(values, f"{architecture}.attention.head_count_kv", layers)
    recurrent = bool(RECURRENT.search(architecture)) or f"{architecture}.ssm.state_size" in values
    return Header(
        architecture=architecture,
        name=_text(values, "general.name"),
        size_label=_text(values, "general.size_label"),
        quantization=MIXTURES.get(_whole(values, "general.file_type"), tensors.type),
        chat_template=_text(values, "tokenizer.chat_template"),
        parameters=tensors.parameters,
        file_bytes=size,
        tensor_bytes=tensors.bytes,
        block_count=layers,
        context_length=own("context_length"),
        embedding_length=width,
        vocab_size=_length(values.get("tokenizer.ggml.tokens")) or own("vocab_size"),
        head_count=heads,
        head_count_kv=heads_kv if any(heads_kv) else (heads,) * layers,
        key_length=own("attention.key_length") or head,
        value_length=own("attention.value_length") or head,
        sliding_window=own("attention.sliding_window"),
        recurrent=recurrent,
        state_bytes=_state(values, architecture, layers, width) if recurrent else 0,
        feed_forward_length=own("feed_forward_length"),
        experts=own("expert_count"),
        experts_used=own("expert_used_count"),
        expert_parameters=tensors.expert_parameters,
        table_parameters=tensors.table_parameters,
        packed_bytes=tensors.packed_bytes,
    )


def _state(values: dict[str, Any], architecture: str, layers: int, width: int) -> int:
    """What Mamba's kind keeps where the file tells its sizes, else RWKV's; four bytes a number."""
    state, inner, kernel, head = (
        _whole(values, f"{architecture}.{key}")
        for key in ("ssm.state_size", "ssm.inner_size", "ssm.conv_kernel", "wkv.head_size")
    )
    numbers = (inner or 2 * width) * (state + kernel) if state else width * ((head or 64) + 2)
    return 4 * layers * numbers


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise GgufError("value", f"{key} is no text.")
    return value


def _whole(values: dict[str, Any], key: str, most: int = (1 << 31) - 1) -> int:
    """A number that is not negative; of an array, its largest."""
    value = values.get(key, 0)
    value = max(value, default=0) if isinstance(value, tuple) else value
    if type(value) is not int or not 0 <= value <= most:
        raise GgufError("value", f"{key} is {str(value)[:40]}.")
    return value


def _layered(values: dict[str, Any], key: str, layers: int) -> tuple[int, ...]:
    """One number per layer, whether the file says one for all or each."""
    most = _whole(values, key, 1 << 16)
    value = values.get(key, 0)
    if not isinstance(value, tuple):
        return (most,) * layers
    if len(value) != layers or any(type(each) is not int or each < 0 for each in value):
        raise GgufError("value", f"{key} has {len(value)} numbers for {layers} layers.")
    return value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, tuple) else value if type(value) is int else 0
