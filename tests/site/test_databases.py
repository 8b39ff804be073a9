"""DATABASE_URL and REDIS_URL as people write them, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from chatsite import databases
from chatsite.supervisor import reach
from inference.settings import broker_url

PASSWORD = "p@ss/w:rd#?&%20+=ü"
ENCODED = quote(PASSWORD, safe="")


def test_it_works() -> None:
    found = databases.configure(f"postgres://us%40er:{ENCODED}@[::1]:5433/na%20me")
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"], found["NAME"]) == ("us@er", PASSWORD, "na me")
    assert (found["HOST"], found["PORT"]) == ("::1", "5433")
    assert "pool" not in found["OPTIONS"]


def test_a_plus_is_a_plus() -> None:
    assert databases.configure("postgresql://u:a+b@h/d")["PASSWORD"] == "a+b"


def test_options_reach_the_driver() -> None:
    found = databases.configure("postgres://u@h/d?sslmode=verify-full&sslrootcert=/a%20b/ca.pem")
    options = found["OPTIONS"]
    assert (options["sslmode"], options["sslrootcert"]) == ("verify-full", "/a b/ca.pem")


def test_a_socket_of_this_machine() -> None:
    assert databases.configure("postgres://u@/d?host=/run/postgresql")["HOST"] == "/run/postgresql"


def test_a_pool_has_a_bound_and_no_idle_connections() -> None:
    pool = databases.configure("postgres://u@h/d", pool=7)["OPTIONS"]["pool"]
    assert (pool["min_size"], pool["max_size"]) == (0, 7)


def test_sqlite_anywhere(tmp_path: Path) -> None:
    found = databases.configure(f"sqlite:///{tmp_path}/a%20b.sqlite3")
    assert found["NAME"] == f"{tmp_path}/a b.sqlite3"
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:pa/ss@h/d",
        "postgres://u:pass@h:port/d",
        "postgres://u:pa%ss@h/d",
        "postgres://u:pass@h/",
        "postgres://u:pass@h/d?unknown=1",
        "mysql://u:pass@h/d",
        "pass",
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SystemExit) as caught:
        databases.configure(url)
    assert "DATABASE_URL must be" in str(caught.value)
    assert "pa/ss" not in str(caught.value)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        (f"redis://:{ENCODED}@h:6379/0", True),
        ("redis://h", True),
        ("rediss://user:x@[::1]:6380/15?ssl_ca_certs=/a", True),
        ("unix:///run/redis.sock?db=1", True),
        ("redis://:p@ss/word@h/0", False),
        ("redis://:p#ss@h/0", False),
        ("redis://:pa/ss@h/0", False),
        ("redis://h:port/0", False),
    ],
)
def test_an_address_of_redis_is_whole(url: str, whole: bool) -> None:
    assert reach.is_whole(url) is whole


@pytest.mark.parametrize(
    ("url", "celery"),
    [
        (f"redis://:{ENCODED}@h:6379/2", f"redis://:{ENCODED}@h:6379/2"),
        ("redis://h:1?db=3", "redis://h:1/3"),
        ("redis://h:1/2?socket_timeout=3", "redis://h:1/2"),
        ("rediss://h:1/0", "rediss://h:1/0?ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
        (
            "rediss://h/0?ssl_ca_certs=/a%20b/ca.pem",
            "rediss://h/0?ssl_ca_certs=%2Fa+b%2Fca.pem&ssl_cert_reqs=required",
        ),
    ],
)
def test_celery_gets_the_same_server_and_checks_its_certificate(url: str, celery: str) -> None:
    assert broker_url(url) == celery
