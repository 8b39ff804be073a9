"""Programs to paste that ask a model of this site. They carry a new key: nothing here is kept."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

# Where the person may use no model yet.
ANY_MODEL = "MODEL"


@dataclass(frozen=True, slots=True)
class Snippet:
    """`name` is what the language calls itself, the same in every tongue."""

    name: str
    slug: str
    code: str


def snippets(base: str, key: str, model: str) -> list[Snippet]:
    return [
        Snippet("Python", "python", python(base, key, model or ANY_MODEL)),
        Snippet("curl", "curl", curl(base, key, model or ANY_MODEL)),
    ]


def python(base: str, key: str, model: str) -> str:
    return f"""from openai import OpenAI

client = OpenAI(
    base_url={quote(base)},
    api_key={quote(key)},
)
answer = client.chat.completions.create(
    model={quote(model)},
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)
"""


def curl(base: str, key: str, model: str) -> str:
    body = f"""{{
    "model": {quote(model)},
    "messages": [{{"role": "user", "content": "Hello!"}}]
  }}"""
    return f"""curl {shlex.quote(base + "/chat/completions")} \\
  -H {shlex.quote(f"Authorization: Bearer {key}")} \\
  -H "Content-Type: application/json" \\
  -d {shlex.quote(body)}
"""


def quote(text: str) -> str:
    """As JSON writes it, which Python reads alike."""
    return json.dumps(text, ensure_ascii=False)
