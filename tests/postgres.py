"""A PostgreSQL server for one test run: a socket in a temporary folder, and where a test wants
them a port, a password and TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.certificates import Certificate
from tests.lacking import lack

# Every character that means something in a URL.
PASSWORD = "p@ss/w:rd#?&%20+=ü"


def binaries() -> Path | None:
    """The newest installed server's folder."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def needed() -> Path:
    """The same for a test that has to have it."""
    return binaries() or lack("PostgreSQL's server is not installed.")


@contextmanager
def server(folder: Path, largest: int | None = None) -> Iterator[str]:
    """The URL of a fresh server, which may write files up to that size."""
    home = made(folder)
    try:
        with started(folder, home, largest=largest):
            yield url(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def office(folder: Path, port: int, tls: Certificate | None = None) -> Iterator[str]:
    """The URL of one with a port and a password; with TLS it refuses whoever comes without."""
    home = made(folder)
    try:
        with started(folder, home, port, tls):
            yield address(port, tls)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def url(home: Path) -> str:
    return f"postgres://chatsite@/postgres?host={home}"


def address(port: int, tls: Certificate | None = None, password: str = PASSWORD) -> str:
    found = f"postgres://chatsite:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
    return f"{found}?sslmode=verify-full&sslrootcert={tls.authority}" if tls else found


def made(folder: Path) -> Path:
    """The files of a new server. Where root runs the tests, a user without rights owns them."""
    home = Path(tempfile.mkdtemp(prefix="chatsite-pg-"))
    secret = home / "password"
    secret.write_text(PASSWORD)
    own(home, secret)
    options = ["-A", "trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
    initdb = [f"{folder}/initdb", "-D", str(home / "data"), "-U", "chatsite", *options]
    subprocess.run(
        [*initdb, "--no-sync", "--locale=C.UTF-8"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=user(),
        cwd=home,
    )
    return home


@contextmanager
def started(
    folder: Path,
    home: Path,
    port: int | None = None,
    tls: Certificate | None = None,
    largest: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server runs; it can be started again in the same home."""
    options = ["-k", str(home), "-F", "-c", f"listen_addresses={'127.0.0.1' if port else ''}"]
    options += ["-p", str(port)] if port else []
    if tls:
        options += encrypted(home, tls)
    run = [f"{folder}/postgres", "-D", str(home / "data"), *options]
    run = [*(["prlimit", f"--fsize={largest}"] if largest else []), *run]
    with subprocess.Popen(run, stderr=subprocess.DEVNULL, user=user(), cwd=home) as process:
        try:
            wait(home, port or 5432)
            yield process
        finally:
            # Fast: at a mere SIGTERM it waits for whoever is still connected, maybe for ever.
            process.send_signal(signal.SIGINT)


def encrypted(home: Path, tls: Certificate) -> list[str]:
    """It reads its key only where nobody else may, and lets nobody in without TLS."""
    for source in (tls.file, tls.key):
        copy = home / source.name
        shutil.copy(source, copy)
        copy.chmod(0o600)
        own(copy)
    rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    (home / "data" / "pg_hba.conf").write_text(rules)
    files = {"ssl_cert_file": home / tls.file.name, "ssl_key_file": home / tls.key.name}
    return ["-c", "ssl=on", *(word for k, v in files.items() for word in ("-c", f"{k}={v}"))]


def own(*paths: Path) -> None:
    name = user()
    if name:
        for path in paths:
            os.chown(path, pwd.getpwnam(name).pw_uid, -1)


def user() -> str | None:
    """PostgreSQL does not run as root."""
    return owner() if os.getuid() == 0 else None


def owner() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def wait(home: Path, port: int) -> None:
    """It leaves its socket there when it is killed, so a connection counts, not the file."""
    until = time.monotonic() + 30
    while not answers(home, port):
        if time.monotonic() > until:
            raise TimeoutError("PostgreSQL does not start")
        time.sleep(0.05)


def answers(home: Path, port: int) -> bool:
    # Imported here: who only looks for the server needs no driver.
    import psycopg

    try:
        psycopg.connect(host=str(home), port=port, user="chatsite", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True
