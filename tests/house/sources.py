"""Which files are ours: what the rules of the house are checked on."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("chatsite", "inference", "templates", "static", "tests")
NOT_OURS = {"vendor", "migrations", "__pycache__", "locale"}


def ours(*kinds: str) -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    found.append(ROOT / "manage.py")
    return sorted(
        path
        for path in found
        if path.suffix in kinds and not NOT_OURS & set(path.relative_to(ROOT).parts)
    )


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))
