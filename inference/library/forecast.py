"""What a model would need on a machine, and how fast it would write there: arithmetic on its shapes
and on what was measured of the machine. It asks and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.library.nouns import Machine, Shapes, Variant

MIB = 1 << 20
# Tokens per second from which reading along is no waiting.
WELL = 8.0
# A conversation's tokens where nobody says otherwise.
CONTEXT = 8192
# Sequences at once, at most.
MOST_SLOTS = 32
# f16 or bf16, of which both the cache and vLLM's weights are.
NUMBER_BYTES = 2
# Rows of a batch for which llama.cpp keeps intermediate results, for each so many of the model's
# widths; bytes of a number there.
ROWS, WIDTHS, RESULT_BYTES = 257, 6, 4
# What the scores of attention may take, which grow with the conversation (engines.llamacpp.model):
# once as they are, once as they are multiplied, in half of the bytes.
SCORES, COPIED_SCORES = 128 * MIB, 64 * MIB
# What an engine's process has beside an empty one: libraries, and for each word of its vocabulary.
BASE, WORD_BYTES = 44 * MIB, 170
# Of the file, what stays mapped of it beside a copy; and what is copied where no header tells.
MAPPED = 0.94
COPIED = {"Q4_0": 1.0, "IQ4_NL": 1.0, "Q4_K": 0.6, "Q2_K": 0.5}
# vLLM: its process with torch.
VLLM_BASE = 2900 * MIB
# Of the bandwidth that was measured by copying, what a pass over quantized weights gets where the
# rate of that quantization was not measured.
SHARE = 0.4
# Seconds of a layer and of a token that no size explains: threads meet, the next token is chosen.
LAYER_S, TOKEN_S = 0.00002, 0.0003
# How good a quantization is, the best first; within a family more bits are better.
QUALITY = ("F32", "BF16", "F16", "Q8", "Q6", "Q5", "Q4", "IQ4", "MXFP4", "Q3", "IQ3", "Q2", "IQ2")


@dataclass(frozen=True, slots=True)
class Forecast:
    """`memory_bytes`: with one conversation of `context` tokens; 0: unknown. `slots`: how many such
    fit at once. `verdict`: runs_well, runs_slowly, does_not_fit, no_engine or unknown."""

    memory_bytes: int = 0
    tokens_per_second: float | None = None
    verdict: str = "unknown"
    slots: int = 0
    context: int = 0


def of(variant: Variant, machine: Machine, context: int = CONTEXT) -> Forecast:
    """One variant of a repository on one machine."""
    shapes, weights = variant.shapes, variant.bytes
    native = variant.format == "gguf"
    if machine.engines and not (_runs(machine, "llamacpp") if native else _runs(machine, "vllm")):
        return Forecast(verdict="no_engine")
    if not weights:
        return Forecast()
    if shapes is None:
        shapes = Shapes()
    context = min(context, shapes.context_length or context)
    copied = copied_bytes(shapes, weights, variant.quant) if native else 0
    least = needed(shapes, weights, context, format=variant.format)
    memory = least + copied
    stream = cache_bytes(shapes, context, windowed=not native)
    free = _free(machine)
    speed = speed_of(shapes, weights, variant.quant, machine) if native else None
    # The file's own pages give way to what needs them.
    if free and least + (spare(shapes) if native else 0) > free:
        return Forecast(memory, None, "does_not_fit", 0, context)
    slots = min(MOST_SLOTS, 1 + int((free - least) // stream)) if stream and free else 1
    known = bool(free and variant.shapes)
    verdict = "unknown" if not known or speed is None else word_of(speed)
    return Forecast(memory, speed, verdict, slots, context)


def needed(shapes: Shapes, weights: int, context: int, slots: int = 1, format: str = "gguf") -> int:
    """Bytes that an engine takes beside an empty one, with so many conversations of `context`, its
    weights counted once."""
    if format != "gguf":
        return VLLM_BASE + weights + slots * cache_bytes(shapes, context, windowed=True)
    cache = slots * cache_bytes(shapes, context)
    return weights + cache + buffer_bytes(shapes) + BASE + WORD_BYTES * shapes.vocab_size


def copied_bytes(shapes: Shapes, weights: int, quant: str) -> int:
    """What llama.cpp's fast kernels copy, while the file stays mapped beside."""
    name, packed = quant.upper().removeprefix("UD-"), shapes.packed_bytes
    if not packed:
        found = (share for start, share in COPIED.items() if name.startswith(start))
        packed = int(weights * next(found, 0.0))
    return int(packed * MAPPED)


def cache_bytes(shapes: Shapes, context: int, *, windowed: bool = False) -> int:
    """What is kept of a conversation so long: the KV cells of each layer, or a state. llama.cpp
    keeps all cells of a layer that sees the last ones only: a conversation may go back."""
    width = NUMBER_BYTES * (shapes.key_length + shapes.value_length)
    windows = shapes.windows if windowed and shapes.windows else (0,) * len(shapes.head_count_kv)
    layers = zip(shapes.head_count_kv, windows, strict=False)
    cells = sum(heads * (min(window, context) if window else context) for heads, window in layers)
    return cells * width + shapes.state_bytes


def buffer_bytes(shapes: Shapes) -> int:
    """Intermediate results of a batch, as far as they are touched: not the room for its logits."""
    inner = shapes.feed_forward_length or 3 * shapes.embedding_length
    return ROWS * RESULT_BYTES * (2 * inner + WIDTHS * shapes.embedding_length)


def spare(shapes: Shapes) -> int:
    """What a plan keeps free beyond: see inference.fit."""
    return margin(shapes.vocab_size, shapes.embedding_length) - BASE


def margin(vocab_size: int, embedding_length: int) -> int:
    """Bytes beside weights and cells with which nothing is ever short. Scores and logits are never
    there at the same time."""
    most = max(SCORES + COPIED_SCORES, 320 * 4 * vocab_size)
    return 192 * MIB + most + 320 * 4 * 32 * embedding_length


def speed_of(shapes: Shapes, weights: int, quant: str, machine: Machine) -> float | None:
    """Tokens per second of one answer in a conversation that is not long: all weights that a token
    passes through are read once for each. None where nothing was measured."""
    rate = rate_of(quant, machine)
    if not rate or not weights:
        return None
    share = 1.0
    if shapes.active_parameters and shapes.parameters:
        share = min(1.0, shapes.active_parameters / shapes.parameters)
    return 1 / (weights * share / rate + shapes.layers * LAYER_S + TOKEN_S)


def rate_of(quant: str, machine: Machine) -> float:
    """Bytes of such weights per second: as measured for it, for its family, or about."""
    quant = quant.upper().removeprefix("UD-")
    for name in (quant, quant.partition("_")[0], ""):
        if rate := machine.rates.get(name):
            return rate
    return SHARE * machine.bandwidth


def recommend(offers: Sequence[tuple[Variant, Forecast]]) -> int | None:
    """Which of a repository's variants to take: the best that runs well, beyond Q8 only where there
    is nothing else; else the one that runs fastest."""
    found = list(enumerate(offers))
    well = [(n, v) for n, (v, forecast) in found if forecast.verdict == "runs_well"]
    if well:
        plain = [(n, v) for n, v in well if not v.quant.upper().startswith(("F", "BF"))] or well
        return min(plain, key=lambda each: _quality(each[1]))[0]
    fit = [(n, v) for n, (v, forecast) in found if forecast.verdict in {"runs_slowly", "unknown"}]
    # Four bits lose little and are read quickly; of what is less, the largest.
    good = [(n, v) for n, v in fit if _rank(v) <= QUALITY.index("Q4")]
    if good:
        return min(good, key=lambda each: each[1].bytes)[0]
    return max(fit, key=lambda each: each[1].bytes)[0] if fit else None


def _quality(variant: Variant) -> tuple[int, int]:
    return _rank(variant), -variant.bytes


def _rank(variant: Variant) -> int:
    quant = variant.quant.upper().removeprefix("UD-")
    found = (place for place, name in enumerate(QUALITY) if quant.startswith(name))
    return next(found, len(QUALITY))


def word_of(speed: float) -> str:
    """The verdict on a model that fits and writes so fast."""
    return "runs_well" if speed >= WELL else "runs_slowly"


def _runs(machine: Machine, engine: str) -> bool:
    return any(name.startswith(engine) for name in machine.engines)


def _free(machine: Machine) -> int:
    """What models could have when no other is loaded: those that nobody uses make room."""
    reserve = max(machine.memory_total // 10, 1 << 30)
    return max(machine.memory_free, machine.memory_total * 3 // 4 - reserve, machine.graphics_free)
