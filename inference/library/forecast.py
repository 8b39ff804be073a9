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
# bf16, of which both the cache and vLLM's weights are.
NUMBER_BYTES = 2
# Rows of a batch for which llama.cpp keeps intermediate results, and what it keeps for each.
ROWS, ROW_WIDTHS, LOGIT_BYTES = 320, 10, 4
# What an engine's process has beside its model: the interpreter and its libraries come before.
BASE = 24 * MIB
# vLLM: its process with torch.
VLLM_BASE = 2900 * MIB
# Of the bandwidth that was measured by copying, what a pass over quantized weights gets where the
# rate of that quantization was not measured.
SHARE = 0.4
# Seconds of a layer and of a token that no size explains: threads meet, the next token is chosen.
LAYER_S, TOKEN_S = 0.00012, 0.001
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
    memory = needed(shapes, weights, context, format=variant.format)
    stream = cache_bytes(shapes, context)
    free = _free(machine)
    speed = speed_of(shapes, weights, variant.quant, machine)
    if free and memory > free:
        return Forecast(memory, None, "does_not_fit", 0, context)
    slots = min(MOST_SLOTS, 1 + int((free - memory) // stream)) if stream and free else 1
    known = bool(free and variant.shapes)
    verdict = "unknown" if not known or speed is None else _word(speed)
    return Forecast(memory, speed, verdict, slots, context)


def needed(shapes: Shapes, weights: int, context: int, slots: int = 1, format: str = "gguf") -> int:
    """Bytes that an engine takes beside an empty one, with so many conversations of `context`."""
    cache = slots * cache_bytes(shapes, context)
    if format != "gguf":
        return VLLM_BASE + weights + cache
    return weights + cache + buffer_bytes(shapes) + BASE


def cache_bytes(shapes: Shapes, context: int) -> int:
    """What is kept of a conversation so long: the KV cells of each layer, or a state."""
    width = NUMBER_BYTES * (shapes.key_length + shapes.value_length)
    windows = shapes.windows or (0,) * len(shapes.head_count_kv)
    layers = zip(shapes.head_count_kv, windows, strict=False)
    cells = sum(heads * (min(window, context) if window else context) for heads, window in layers)
    return cells * width + shapes.state_bytes


def buffer_bytes(shapes: Shapes) -> int:
    """Intermediate results of a batch: the logits of its rows, and some widths of the model."""
    inner = max(shapes.feed_forward_length, 4 * shapes.embedding_length)
    row = LOGIT_BYTES * (shapes.vocab_size + ROW_WIDTHS * shapes.embedding_length + 2 * inner)
    return ROWS * row


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
    family = quant.upper().partition("_")[0]
    for name in (quant.upper(), family, ""):
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


def _word(speed: float) -> str:
    return "runs_well" if speed >= WELL else "runs_slowly"


def _runs(machine: Machine, engine: str) -> bool:
    return any(name.startswith(engine) for name in machine.engines)


def _free(machine: Machine) -> int:
    """What models could have when no other is loaded: those that nobody uses make room."""
    reserve = max(machine.memory_total // 10, 1 << 30)
    return max(machine.memory_free, machine.memory_total * 3 // 4 - reserve, machine.graphics_free)
