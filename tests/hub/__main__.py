"""The tests' hub as a process of its own: `python -m tests.hub owner/name=folder …` prints its
addresses as JSON and serves until its input closes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.hub.server import Hub


def main() -> None:
    hub = Hub()
    for told in sys.argv[1:]:
        name, _, place = told.partition("=")
        folder = Path(place)
        found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        hub.add(name, found)
    print(json.dumps({"url": hub.url, "files": hub.files}), flush=True)
    sys.stdin.read()
    hub.close()


if __name__ == "__main__":
    main()
