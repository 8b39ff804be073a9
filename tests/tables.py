"""Code that runs on the tables of one running site, in an interpreter that stays: to start one for
each question takes a second, and tests ask hundreds."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
# A line with code and the variables that it reads -> a line with what it printed, and its end.
LOOP = """
import contextlib, io, json, os, sys, traceback
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
import django
django.setup()
from django.db import connections
usual = dict(os.environ)
for line in sys.stdin:
    asked, said, trouble = json.loads(line), io.StringIO(), ""
    os.environ.update(asked["env"])
    try:
        with contextlib.redirect_stdout(said):
            exec(asked["code"], {"__name__": "__main__"})
    except BaseException:
        trouble = traceback.format_exc()
    finally:
        connections.close_all()
        os.environ.clear()
        os.environ.update(usual)
    print(json.dumps({"said": said.getvalue(), "trouble": trouble}), flush=True)
"""


class Tables:
    """Started at the first question, and anew when the site's environment has changed."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._env: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str, site: dict[str, str], **env: str) -> str:
        """What it printed; an AssertionError with the traceback where it failed."""
        process = self._started(site)
        assert process.stdin
        assert process.stdout
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            print(json.dumps({"code": code, "env": env}), file=process.stdin, flush=True)
            line = process.stdout.readline()
        finally:
            watch.cancel()
        assert line, f"no answer to {code}"
        told: dict[str, str] = json.loads(line)
        assert not told["trouble"], f"{code}: {told['trouble']}"
        return told["said"]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self, site: dict[str, str]) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None or self._env != site:
            self.close()
            self._env = dict(site)
            self._process = subprocess.Popen(
                [self._python, "-c", LOOP],
                env=site,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._process
