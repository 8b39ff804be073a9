"""Programs to paste, one for each operation and language. They carry no key: it comes from the
environment, where OpenAI's clients look for it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chatsite.api.operations import Told

KEY = "OPENAI_API_KEY"
MARK = "#"


@dataclass(frozen=True, slots=True)
class Sample:
    """`language` is what it calls itself, the same in every tongue."""

    language: str
    slug: str
    code: str


def samples(told: Told, base: str, models: Mapping[str, str]) -> list[Sample]:
    """`base` is the address with /v1; `models` one for answers and one for vectors."""
    model = models[told.operation.wants]
    body = told.sent(model)
    path = re.sub(r"\{(\w+)\}", lambda found: place(found[1], model), told.path)
    path = path.removeprefix("/v1")
    return [
        Sample("curl", "curl", curl(told, base + path, body)),
        Sample("Python", "python", python(told, base, path, body)),
        Sample("Node", "node", node(told, base, path, body)),
    ]


def place(name: str, model: str) -> str:
    return model if name == "name" else name.upper()


def curl(told: Told, address: str, body: dict[str, Any]) -> str:
    lines = [f"curl {shlex.quote(address)}", f'-H "Authorization: Bearer ${KEY}"']
    if told.method not in {"get", "post"}:
        lines[0] += f" -X {told.method.upper()}"
    if body:
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(spread(body))}"]
    elif told.method == "post":
        lines[0] += " -X POST"
    return " \\\n  ".join(lines) + "\n"


def python(told: Told, base: str, path: str, body: dict[str, Any]) -> str:
    if told.operation.sdk:
        given = [f"{name}={written(value)}" for name, value in body.items()]
        call = f"client.{told.operation.sdk}({listed([*ids(told, path), *given])})"
    else:
        given = [f"body={written(body)}"] if body else []
        call = f"client.{told.method}({listed([written(path), 'cast_to=object', *given])})"
    return f"""from openai import OpenAI

{MARK} The key comes from the variable {KEY}.
client = OpenAI(base_url={written(base)})
answer = {call}
print(answer)
"""


def node(told: Told, base: str, path: str, body: dict[str, Any]) -> str:
    given = [spread(body)] if body else []
    if told.operation.sdk:
        call = f"client.{camel(told.operation.sdk)}({', '.join([*ids(told, path), *given])})"
    else:
        options = [f"{{ body: {given[0]} }}"] if given else []
        call = f"client.{told.method}({', '.join([written(path), *options])})"
    return f"""import OpenAI from "openai";

// The key comes from the variable {KEY}.
const client = new OpenAI({{ baseURL: {written(base)} }});
const answer = await {call};
console.log(answer);
"""


def ids(told: Told, path: str) -> list[str]:
    """What stands in the address, as OpenAI's clients take it: first, and by itself."""
    varied = re.findall(r"\{(\w+)\}", told.path)
    parts = zip(told.path.removeprefix("/v1").split("/"), path.split("/"), strict=False)
    return [written(given) for known, given in parts if known.strip("{}") in varied]


def listed(arguments: list[str]) -> str:
    """In one line where they are short."""
    line = ", ".join(arguments)
    if len(line) <= 60:
        return line
    return "\n" + "".join(f"    {argument},\n" for argument in arguments)


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def spread(body: dict[str, Any]) -> str:
    """A parameter in each line, where they are not short."""
    lines = ",\n".join(f"  {written(name)}: {written(value)}" for name, value in body.items())
    return written(body) if len(lines) <= 40 else f"{{\n{lines}\n}}"


def written(value: Any) -> str:
    """As JSON writes it, which Python and JavaScript read alike."""
    return json.dumps(value, ensure_ascii=False)
