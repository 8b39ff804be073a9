"""The nouns of the engine room, as the rest of the site may use them."""

from __future__ import annotations

from inference.contract import Message, ModelSpec, Request, Sampling
from inference.stream import Entry

__all__ = ["Entry", "Message", "ModelSpec", "Request", "Sampling"]
