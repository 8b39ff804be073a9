"""All benchmarks in order, or those that are named: figures, goals, verdicts; 1 where a goal is
missed. See docs/benchmarks.md.

python -m tests.benchmarks [NAME ...] [--quick] [--llama-server URL]
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Iterator

from tests.benchmarks.measuring import Figure, Plan, Skipped

log = logging.getLogger("benchmarks")
TOPICS = (
    *("bare", "step", "long-prompt", "threads", "site", "prefix", "fairness"),
    *("first-token", "relay", "scaling", "cpp-server", "llama-server", "vllm", "forecast"),
)


def main() -> int:
    arguments = read_arguments()
    plan = Plan(arguments.quick, arguments.llama_server.rstrip("/"), cores())
    began = time.monotonic()
    print(f"{plan.threads} cores, {plan.rounds} rounds{', quick' if plan.quick else ''}")
    print(f"{'figure':56} {'median':>7} {'worst':>7} {'goal':>8}  verdict")
    good = [run(name, plan) for name in arguments.names or TOPICS]
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if all(good) else 1


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    # Not `choices`: with them argparse refuses an empty list.
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TOPICS))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--llama-server", default="", metavar="URL", help="one to compare with")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(TOPICS):
        parser.error(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join(TOPICS)}")
    return arguments


def run(name: str, plan: Plan) -> bool:
    """Whether every goal of one topic was reached; what cannot be measured here misses none."""
    module = importlib.import_module(f"tests.benchmarks.bench_{name.replace('-', '_')}")
    figures: Iterator[Figure] = module.measure(plan)
    good = True
    try:
        for figure in figures:
            show(figure)
            good = good and figure.good
    except Skipped as reason:
        print(f"{name:56} not measured: {reason}", flush=True)
    except Exception:
        # Half an hour of other figures does not depend on it.
        log.exception("%s cannot be measured.", name)
        return False
    return good


def show(figure: Figure) -> None:
    goal = f"{'<=' if figure.at_most else '>='} {figure.goal:.2f}"
    verdict = "ok" if figure.good else "MISSED"
    values = f"{figure.median:7.3f} {figure.bound:7.3f} {goal:>8}"
    print(f"{figure.name:56} {values}  {verdict:6}  {figure.note}", flush=True)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
