"""The nouns of the engine room, as the rest of the site may use them."""

from __future__ import annotations

from inference.contract import (
    CallDelta,
    Input,
    Logprob,
    Message,
    ModelSpec,
    Request,
    Sampling,
    Shape,
    Task,
    ToolCall,
    Vector,
)
from inference.stream import End, Entry

__all__ = [
    "CallDelta",
    "End",
    "Entry",
    "Input",
    "Logprob",
    "Message",
    "ModelSpec",
    "Request",
    "Sampling",
    "Shape",
    "Task",
    "ToolCall",
    "Vector",
]
