"""`up` and `worker` with an office's PostgreSQL and Redis: passwords with every special character,
TLS by a private authority, and in one line what is wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg
import pytest
import redis

from inference import client
from tests import brokers, certificates, postgres
from tests.certificates import Certificate
from tests.lacking import lack
from tests.live import ROOT, Site, clean_environment, free_port
from tests.running.reader import Reader
from tests.running.talking import say
from tests.running.test_up import up, wait_for

pytestmark = pytest.mark.live
NewSite = Callable[..., Site]
# What of the password no output may repeat.
PIECES = (brokers.PASSWORD, quote(brokers.PASSWORD, safe=""), "p@ss", "w:rd")


@dataclass(frozen=True, slots=True)
class Office:
    """The addresses of both services, with TLS and without."""

    tls: Certificate
    foreign: Certificate
    secure_redis: int
    plain_redis: int
    secure_postgres: int
    plain_postgres: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": postgres.address(self.secure_postgres, self.tls),
            "REDIS_URL": brokers.address(self.secure_redis, self.tls),
        }


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = postgres.needed()
    if not brokers.binary().endswith("redis-server"):
        lack("redis-server is not installed.")
    home = tmp_path_factory.mktemp("tls")
    own, foreign = certificates.make(home / "own"), certificates.make(home / "foreign")
    ports = [free_port() for _ in range(4)]
    with ExitStack() as stack:
        stack.enter_context(brokers.server(ports[0], own))
        stack.enter_context(brokers.server(ports[1]))
        stack.enter_context(postgres.office(folder, ports[2], own))
        stack.enter_context(postgres.office(folder, ports[3]))
        yield Office(own, foreign, *ports)


def test_it_works(new_site: NewSite, office: Office) -> None:
    site = new_site(**office.environment)
    assert not (site.data / "run" / "parts" / "valkey.json").exists()
    assert not (site.data / "db.sqlite3").exists()
    alice = site.person("alice")
    said = say(alice, "one two three", model="echo")
    reader = Reader(alice, said.generation)
    reader.start()
    reader.wait_end()
    assert said.wait_closed() == "done"
    assert said.saved() == reader.text
    with psycopg.connect(office.environment["DATABASE_URL"]) as connection:
        query = b"SELECT bool_and(ssl), count(*) FROM pg_stat_ssl "
        query += b"JOIN pg_stat_activity USING (pid) "
        row = connection.execute(query + b"WHERE backend_type = 'client backend'").fetchone()
    assert row is not None
    assert row[0]
    assert row[1] > 1
    assert site.stop() == 0
    told = site.output() + "".join(site.log(part) for part in ("web", "worker", "steward"))
    assert [piece for piece in PIECES if piece in told] == []


def test_a_worker_elsewhere_joins_by_tls(office: Office, tmp_path: Path) -> None:
    url = office.environment["REDIS_URL"]
    log = tmp_path / "log"
    with (
        log.open("w") as output,
        redis.Redis.from_url(url) as broker,
        worker(tmp_path, url, output) as process,
    ):
        try:
            wait_for(lambda: reports(broker, process.pid), "the worker", 40)
        finally:
            process.terminate()
            process.wait(20)
    told = log.read_text()
    assert "insecure" not in told.lower()
    assert [piece for piece in PIECES if piece in told] == []


def cases(office: Office) -> dict[str, tuple[str, str, str]]:
    """What is set wrong: the variable, its value, and a word of the advice."""
    wrong = quote("other/p@ss", safe="")
    secure, tls, foreign = office.environment, office.tls, office.foreign
    return {
        "password": ("REDIS_URL", brokers.address(office.plain_redis, password="w:rd"), "password"),
        "no password": ("REDIS_URL", f"redis://127.0.0.1:{office.plain_redis}", "password"),
        "no TLS there": ("REDIS_URL", brokers.address(office.plain_redis, tls), "redis://"),
        "TLS there": ("REDIS_URL", brokers.address(office.secure_redis), "rediss://"),
        "authority": ("REDIS_URL", brokers.address(office.secure_redis, foreign), "ssl_ca_certs"),
        "no file": ("REDIS_URL", secure["REDIS_URL"] + ".gone", "REDIS_URL"),
        "not encoded": ("REDIS_URL", "redis://:p@ss/w:rd#@127.0.0.1:1/0", "percent-encoded"),
        "database password": (
            "DATABASE_URL",
            postgres.address(office.plain_postgres).replace("p%40ss", wrong),
            "password",
        ),
        "database without TLS": (
            "DATABASE_URL",
            postgres.address(office.plain_postgres, tls),
            "no TLS",
        ),
        "database wants TLS": (
            "DATABASE_URL",
            postgres.address(office.secure_postgres) + "?sslmode=disable",
            "pg_hba.conf",
        ),
        "database authority": (
            "DATABASE_URL",
            postgres.address(office.secure_postgres, foreign),
            "sslrootcert",
        ),
        "database away": ("DATABASE_URL", "postgres://u:w%3Ard@127.0.0.1:1/db", "No PostgreSQL"),
        "database not encoded": ("DATABASE_URL", "postgres://u:w:rd@h:p@ss/db", "percent-encoded"),
        "another database": ("DATABASE_URL", "mysql://u:w%3Ard@127.0.0.1/db", "postgres://"),
    }


def test_up_says_in_one_line_what_is_wrong(office: Office, tmp_path: Path) -> None:
    for name, (variable, value, word) in cases(office).items():
        environment = office.environment | {variable: value}
        done = up(tmp_path / name.replace(" ", "-"), "--port", "0", **environment)
        told = done.stdout + done.stderr
        assert done.returncode == 1, (name, told)
        assert word in told, (name, told)
        assert variable in told, (name, told)
        assert "Traceback" not in told, (name, told)
        assert [piece for piece in PIECES if piece in told] == [], name
        lines = [line for line in told.splitlines() if variable in line]
        assert len(lines) == 1, (name, told)


def test_a_worker_says_in_one_line_what_is_wrong(office: Office, tmp_path: Path) -> None:
    for name, (variable, value, word) in cases(office).items():
        if variable == "REDIS_URL":
            with worker(tmp_path, value, subprocess.PIPE) as run:
                told = run.communicate(timeout=60)[0].decode()
            assert run.returncode == 1, (name, told)
            assert word in told, (name, told)
            assert len(told.splitlines()) == 1, (name, told)
            assert [piece for piece in PIECES if piece in told] == [], name


def test_a_worker_waits_for_a_redis_that_starts_later(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    url = brokers.address(port)
    with log.open("w") as output, worker(tmp_path, url, output) as process:
        try:
            wait_for(lambda: "No Redis answers" in log.read_text(), "the line about it", 30)
            with brokers.server(port), redis.Redis.from_url(url) as broker:
                wait_for(lambda: reports(broker, process.pid), "the worker", 40)
                process.terminate()
                process.wait(20)
        finally:
            process.kill()
    assert log.read_text().count("No Redis answers") == 1


def test_secrets_may_lie_in_files(office: Office, tmp_path: Path) -> None:
    url = brokers.address(office.plain_redis)
    file = tmp_path / "redis_url"
    file.write_text(url + "\n")
    with (
        redis.Redis.from_url(url) as broker,
        worker(tmp_path, "", REDIS_URL_FILE=str(file)) as process,
    ):
        try:
            wait_for(lambda: reports(broker, process.pid), "the worker", 40)
        finally:
            process.terminate()
            process.wait(20)


def reports(broker: redis.Redis, pid: int) -> bool:
    return any(each.pid == pid for each in client.workers(broker))


def worker(
    data: Path, url: str, output: IO[str] | int = subprocess.DEVNULL, **env: str
) -> subprocess.Popen[bytes]:
    environment = clean_environment() | {"CHATSITE_DATA_DIR": str(data), **env}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "worker"],
        env=environment | ({"REDIS_URL": url} if url else {}),
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
