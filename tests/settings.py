"""The site's settings for tests: a data directory and a broker of their own, never the user's."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests import brokers
from tests.live import free_port

# The settings read the environment at import, so all of this comes before them.
FOLDER = Path(tempfile.mkdtemp(prefix="chatsite-test-"))
OWNER = os.getpid()


def remove() -> None:
    """Forked children inherit this exit hook: only the process that made the folder removes it."""
    if os.getpid() == OWNER:
        shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(remove)
# What is set for the user's own site is not for the tests; CHATSITE_FAILURE_* says how they run.
for name in [name for name in os.environ if name.startswith("CHATSITE_")]:
    if not name.startswith("CHATSITE_FAILURE_"):
        del os.environ[name]
os.environ["CHATSITE_DATA_DIR"] = str(FOLDER)
# With PostgreSQL the broker is an office's, too: a port and a password.
os.environ["REDIS_URL"] = (
    brokers.address(free_port())
    if os.environ.get("DATABASE_URL", "").startswith("postgres")
    else f"unix://{FOLDER / 'valkey.sock'}"
)

from chatsite.settings import *  # noqa: E402, F403 - Django reads every name
from chatsite.settings import DATABASES, MIDDLEWARE  # noqa: E402

# A file, not memory: consumers and async views open connections in several threads.
DATABASES["default"].setdefault("TEST", {})["NAME"] = (
    str(FOLDER / "test.sqlite3") if "sqlite3" in DATABASES["default"]["ENGINE"] else "chatsite_test"
)
# Argon2 takes its time on purpose; the running product of the live tests uses it.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Static files are served from where they lie: nothing is collected before a test.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
SERVESTATIC_USE_FINDERS = True
SERVESTATIC_AUTOREFRESH = True
MIDDLEWARE = [
    name.replace("servestatic.middleware.Serve", "tests.lazy_static.Lazy") for name in MIDDLEWARE
]
# Each test closes what it opened.
DATABASE_LINGER = 0
