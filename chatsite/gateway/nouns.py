"""The nouns of the engine room, as the rest of the site may use them."""

from __future__ import annotations

from inference.contract import Message, ModelSpec, Request, Sampling

__all__ = ["Message", "ModelSpec", "Request", "Sampling"]
