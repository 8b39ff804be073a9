"""Names of workers: the same after a restart, never the same for two that live."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inference.badge import Badge
from inference.child import ROOT


def test_it_works(tmp_path: Path) -> None:
    first, second = Badge(tmp_path), Badge(tmp_path)
    assert first.name != second.name
    assert first.mark.startswith(f"{first.name}/")
    name, mark = first.name, first.mark
    first.close()
    again = Badge(tmp_path)
    assert (again.name, again.mark == mark) == (name, False)
    again.close()
    second.close()


def test_another_data_directory_has_its_own_names(tmp_path: Path) -> None:
    one, two = Badge(tmp_path / "a"), Badge(tmp_path / "b")
    assert one.name != two.name
    one.close()
    two.close()


def test_machines_that_were_copied_have_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers have one path, and people give two machines one name."""
    names = []
    for machine in ("a", "b"):
        (tmp_path / machine).mkdir()
        monkeypatch.chdir(tmp_path / machine)
        monkeypatch.setattr(Path, "resolve", lambda self: Path("/data"))
        badge = Badge(Path("data"))
        names.append(badge.name)
        badge.close()
    assert len(set(names)) == 2


def test_a_killed_worker_leaves_its_name_free(tmp_path: Path) -> None:
    code = (
        "import sys,time; from pathlib import Path; from inference.badge import Badge\n"
        "badge = Badge(Path(sys.argv[1])); print(badge.name, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        name = other.stdout.readline().strip()
        mine = Badge(tmp_path)
        assert mine.name != name
        other.send_signal(signal.SIGKILL)
    heir = Badge(tmp_path)
    assert heir.name == name
    heir.close()
    mine.close()


def test_without_a_place_for_it_there_is_a_name_still(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    badge = Badge(tmp_path)
    assert badge.name
    badge.close()
