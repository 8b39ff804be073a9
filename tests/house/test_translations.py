"""Every text that a person can see is there in Chinese, too, and compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

from tests.house.sources import NOT_OURS, ROOT

LANGUAGE = "zh_Hans"
LOCALE = Path("chatsite") / "locale"
DOMAINS = ("django", "djangojs")
EXTRACT = """
import sys
from django.conf import settings
settings.configure(USE_I18N=True, LOCALE_PATHS=[sys.argv[1]])
import django
django.setup()
from django.core.management import call_command
call_command("makemessages", locale=["zh_Hans"], domain=sys.argv[2], verbosity=0)
"""


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogues as they would be after extracting every text anew."""
    copy = tmp_path_factory.mktemp("texts")
    skip = shutil.ignore_patterns(*(NOT_OURS - {"locale"}))
    for folder in ("chatsite", "templates", "static"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=skip)
    (copy / LOCALE).mkdir(exist_ok=True)
    for domain in DOMAINS:
        command = [sys.executable, "-c", EXTRACT, str(copy / LOCALE), domain]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return copy / LOCALE / LANGUAGE / "LC_MESSAGES"


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_works(extracted: Path, domain: str) -> None:
    texts = polib.pofile(str(extracted / f"{domain}.po"))
    assert len(texts) > 10, "the extraction found nothing"
    assert [entry.msgid for entry in texts.untranslated_entries()] == []
    assert [entry.msgid for entry in texts.fuzzy_entries()] == []
    assert [entry.msgid for entry in texts.obsolete_entries()] == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_compiled_texts_are_the_written_ones(domain: str) -> None:
    folder = ROOT / LOCALE / LANGUAGE / "LC_MESSAGES"
    written = polib.pofile(str(folder / f"{domain}.po"))
    compiled = polib.mofile(str(folder / f"{domain}.mo"))
    assert words(compiled) == words(written)


@pytest.mark.parametrize("domain", DOMAINS)
def test_placeholders_are_kept(domain: str, tmp_path: Path) -> None:
    source = ROOT / LOCALE / LANGUAGE / "LC_MESSAGES" / f"{domain}.po"
    command = ["msgfmt", "--check-format", "--output-file", str(tmp_path / "x.mo"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def words(texts: polib.POFile | polib.MOFile) -> dict[tuple[str, str | None], object]:
    return {
        (entry.msgid, entry.msgctxt): entry.msgstr_plural or entry.msgstr
        for entry in texts
        if not entry.obsolete
    }
