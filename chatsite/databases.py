"""The database of DATABASE_URL, as Django wants to be told; and what is wrong when it does not
answer. Never repeats a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

POSTGRESQL = ("postgres://", "postgresql://")
FORM = (
    "DATABASE_URL must be postgres://user:password@host:5432/name, with special characters of the "
    "password percent-encoded (@ is %40, / is %2F, # is %23)."
)
# Seconds until a host that is silent, or a pool that is all in use, counts as trouble.
PATIENCE = 5
# How SQLite and PostgreSQL say that there is no room on the disk.
FULL = (13, "53100")
# A network that fails ends no connection. Here: what is sent is taken within that time, and where
# nothing is said the other end is asked. There: a transaction of whom nothing is heard any more
# keeps no row from the others. An `options` in the address takes the place of the last line.
SILENCE: dict[str, Any] = {
    "connect_timeout": PATIENCE,
    "tcp_user_timeout": PATIENCE * 1000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "options": "-c idle_in_transaction_session_timeout=30s",
}


def configure(url: str, pool: int = 0) -> dict[str, Any]:
    """`pool`: how many connections all threads of this process share; 0: each has its own."""
    if url.startswith("sqlite:///"):
        return sqlite(Path(unquote(url.removeprefix("sqlite:///"))))
    if not url.startswith(POSTGRESQL):
        raise SystemExit(FORM)
    # Imported here: a site with SQLite, and a worker, have no use for it.
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts: dict[str, Any] = dict(conninfo_to_dict(url))
    except psycopg.Error:
        raise SystemExit(FORM) from None
    if not parts.get("dbname") or not str(parts.get("port", 5432)).isdigit():
        raise SystemExit(FORM)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    found = {name: parts.pop(key, "") for name, key in {**names, "PORT": "port"}.items()}
    options = {**SILENCE, **parts}
    if pool:
        # Given up soon and begun anew by whoever comes next: the pauses between tries double.
        times = {"timeout": PATIENCE, "reconnect_timeout": 3, "max_idle": 60}
        options["pool"] = {"min_size": 0, "max_size": pool, **times}
    engine = "django.db.backends.postgresql"
    return {"ENGINE": engine, **found, "OPTIONS": options, "CONN_HEALTH_CHECKS": True}


def sqlite(path: Path) -> dict[str, Any]:
    """SQLite takes the write lock at BEGIN (IMMEDIATE): a read that becomes a write would
    otherwise fail at once when another process writes, whatever the busy timeout."""
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}


def trouble(error: Exception) -> str:
    """In one line what is wrong and what to set, for who runs the site."""
    told = " ".join(str(error).split())
    for sign, advice in ADVICE:
        if sign in told:
            return advice
    return f"The database does not answer: {told}"


WHERE = "the address in DATABASE_URL"
# Signs in what libpq says, and what they mean.
ADVICE = (
    ("password authentication failed", f"PostgreSQL refuses user or password of {WHERE}."),
    ("no password supplied", f"PostgreSQL wants a password: set it in {WHERE}."),
    (
        "certificate verify failed",
        f"PostgreSQL's certificate is not signed by whom sslrootcert in {WHERE} names.",
    ),
    ("does not match host name", f"PostgreSQL's certificate is for another host than {WHERE}."),
    (
        "server does not support SSL",
        f"PostgreSQL at {WHERE} speaks no TLS: switch it on there, or leave sslmode out.",
    ),
    (
        "root certificate file",
        f"The file that sslrootcert in {WHERE} names cannot be read.",
    ),
    (
        "SSL error",
        f"TLS to PostgreSQL fails: sslrootcert in {WHERE} must name who signed its certificate.",
    ),
    ("no pg_hba.conf entry", f"PostgreSQL lets this machine not in: see pg_hba.conf, and {WHERE}."),
    ("Connection refused", f"No PostgreSQL listens at {WHERE}."),
    ("could not translate host name", f"There is no host of the name in {WHERE}."),
    ("failed to resolve host", f"There is no host of the name in {WHERE}."),
    ("timeout expired", f"Nothing answers at {WHERE}."),
    ("Network is unreachable", f"Nothing answers at {WHERE}."),
    ("No route to host", f"Nothing answers at {WHERE}."),
    ("No such file or directory", f"No PostgreSQL listens at {WHERE}."),
    ("does not exist", f"PostgreSQL has no such user or database as {WHERE} names."),
)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether that is why the database could not do it."""
    cause = error.__cause__ if error else None
    return (getattr(cause, "sqlite_errorcode", None) or getattr(cause, "sqlstate", None)) in FULL
