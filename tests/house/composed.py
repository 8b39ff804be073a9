"""What compose.yaml and the Dockerfile say, as tests look at it: variables have their defaults, and
continued lines are one."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.house.sources import ROOT

VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
# What people fill in; .env.example has it.
FILLED_IN = {"CHATSITE_HOSTS": "chat.office.lan"}


def text() -> str:
    return (ROOT / "compose.yaml").read_text()


def fill(source: str, values: dict[str, str]) -> str:
    """As Docker puts the variables of .env in; one that has no default must be among the values."""

    def value(found: re.Match[str]) -> str:
        name, sign, default = found[1], found[2], found[3]
        if name in values:
            return values[name]
        assert sign == "-", f"{name} has no default and is not set"
        return str(default)

    return VARIABLE.sub(value, source).replace("$$", "$")


def read(**values: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(fill(text(), FILLED_IN | values))
    return found


def services(**values: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(**values)["services"]
    return found


def ours(**values: str) -> dict[str, dict[str, Any]]:
    """The services whose images are built from this repository."""
    return {name: each for name, each in services(**values).items() if "build" in each}


def stages() -> dict[str, list[str]]:
    """The lines of each stage of the Dockerfile, its FROM first; continued lines are one."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if line.startswith("FROM "):
            name = line.split(" AS ")[1]
            found[name] = []
        if name and line and not line.startswith("#"):
            found[name].append(" ".join(line.split()))
    return found
