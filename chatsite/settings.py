"""Every setting of the site, read from the environment once; unknown values fail loudly."""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import django_stubs_ext
import environ
from csp import constants as csp
from django.utils.translation import gettext_lazy as _

from chatsite import databases, hosts, logs, proxies, secret_files
from chatsite.supervisor import sockets

# Lets `ModelAdmin[Model]` and its like be written, which the strict types ask for.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
# The parts that `up` starts, and the worker that knows no Django, find them there, too.
os.environ |= secret_files.opened(os.environ)
env = environ.Env()

DATA_DIR = Path(env.str("CHATSITE_DATA_DIR", default=str(BASE_DIR / "data"))).resolve()


def kept_secret(path: Path) -> str:
    """The signing key of this installation: made at the first start, readable by its owner only."""
    try:
        if not path.exists():
            keep(path, secrets.token_urlsafe(50))
        return path.read_text().strip()
    except OSError as error:
        # Every command needs it, and this is said to a person: no traceback.
        raise SystemExit(
            f"The data directory {path.parent} cannot be used: {error.strerror}."
        ) from None


def keep(path: Path, secret: str) -> None:
    """Two first starts at the same moment end with one key: whoever links it first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secret)
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()


SECRET_KEY = env.str("CHATSITE_SECRET_KEY", default="") or kept_secret(DATA_DIR / "secret_key")
DEBUG = env.bool("CHATSITE_DEBUG", default=False)

# Which Host headers are answered. `up` says in CHATSITE_BIND where the web process listens.
CHATSITE_HOSTS = env.list("CHATSITE_HOSTS", default=[])
CHATSITE_BIND = env.str("CHATSITE_BIND", default="")
ALLOWED_HOSTS = hosts.known(CHATSITE_BIND, CHATSITE_HOSTS)
# Whose word on a visitor's address, scheme and host is believed: addresses and networks.
CHATSITE_PROXIES = proxies.named(env.list("CHATSITE_PROXIES", default=[]))
# Whether a program on this machine may use /v1 without a key, as the first admin.
CHATSITE_LOCAL_OWNER = env.bool(
    "CHATSITE_LOCAL_OWNER", default=bool(CHATSITE_BIND) and hosts.is_loopback(CHATSITE_BIND)
)
# Requests of programs that may be at work or waiting at once: one person's, and everybody's.
CHATSITE_PENDING_PER_USER = env.int("CHATSITE_PENDING_PER_USER", default=512)
CHATSITE_PENDING = env.int("CHATSITE_PENDING", default=4096)
# With it as a bearer token, a program elsewhere may read /metrics.
CHATSITE_METRICS_TOKEN = env.str("CHATSITE_METRICS_TOKEN", default="")
# When set, the first account can only be made by who read the address that `up` printed.
CHATSITE_SETUP_TOKEN = env.str("CHATSITE_SETUP_TOKEN", default="")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.admin",
    "axes",
    "channels",
    "django_htmx",
    "template_partials",
    "chatsite",
    "chatsite.gateway",
    "chatsite.accounts",
    "chatsite.catalogue",
    "chatsite.metering",
    "chatsite.chat",
    "chatsite.api",
    "chatsite.steward",
]

MIDDLEWARE = [
    "chatsite.accounts.middleware.front_door",
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "chatsite.accounts.middleware.Gate",
]

# A provider's list of models is one form, three fields for each of them.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 3 * 2000 + 100
ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "chatsite.accounts.context.site",
            ],
        },
    }
]

# How many connections a web process opens at most, to PostgreSQL and for its pages to Redis.
CHATSITE_DATABASE_CONNECTIONS = env.int("CHATSITE_DATABASE_CONNECTIONS", default=16)
CHATSITE_REDIS_CONNECTIONS = env.int("CHATSITE_REDIS_CONNECTIONS", default=32)
DATABASE_URL = env.str("DATABASE_URL", default="")
SQLITE = DATA_DIR / "db.sqlite3"
DATABASES = {
    # Only the parts that `up` or `web` start are told where the site listens; commands have one
    # thread and no use for a pool.
    "default": databases.configure(
        DATABASE_URL, pool=CHATSITE_DATABASE_CONNECTIONS if CHATSITE_BIND else 0
    )
    if DATABASE_URL
    else databases.sqlite(SQLITE)
}
# Seconds for which each of the few threads that serve programs keeps its connection.
DATABASE_LINGER = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Without a Redis of one's own: the embedded Valkey that `up` starts for this data directory.
OWN_REDIS = env.str("REDIS_URL", default="")
REDIS_URL = OWN_REDIS or f"unix://{sockets.broker(DATA_DIR)}"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "chatsite.accounts.passwords.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"

# Login throttling: by name and address together, so that nobody can lock a colleague out from
# another machine. Attempts made while locked do not prolong the wait.
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "chatsite.accounts.throttle.name"
AXES_LOCKOUT_CALLABLE = "chatsite.accounts.throttle.locked"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# Cookies are Secure on https only (the front door adds it per request): an office starts with
# http://<LAN address>. CHATSITE_HTTPS says that everybody comes by https, through a proxy that ends
# it: no header has to be believed for that.
CHATSITE_HTTPS = env.bool("CHATSITE_HTTPS", default=False)
SESSION_COOKIE_NAME = "chatsite_session"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = CHATSITE_HTTPS
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
if CHATSITE_HTTPS:
    CSRF_TRUSTED_ORIGINS = [f"https://{hosts.check(name)}" for name in CHATSITE_HOSTS]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.SELF],
        "img-src": [csp.SELF, "data:"],
        "connect-src": [csp.SELF],
        "object-src": [csp.NONE],
        "base-uri": [csp.NONE],
        "frame-ancestors": [csp.NONE],
        "form-action": [csp.SELF],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
# Sent on https only (accounts.middleware): on plain http browsers ignore it with an error.
SECURE_CROSS_ORIGIN_OPENER_POLICY = None
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "chatsite" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("CHATSITE_TIME_ZONE", default="UTC")

STATIC_URL = "static/"
# `up` collects into the data directory whenever a file has changed; nobody has to think of it.
STATIC_ROOT = DATA_DIR / "static"
# Named one by one: the packages bring more static files than the pages use.
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
STATICFILES_DIRS = [BASE_DIR / "static", Path(django.__file__).parent / "contrib/admin/static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "chatsite.static.Files"
    },
}
SERVESTATIC_KEEP_ONLY_HASHED_FILES = True
SERVESTATIC_USE_BROTLI = SERVESTATIC_USE_ZSTD = False

LOGGING = logs.configure(
    as_json=env.bool("CHATSITE_LOG_JSON", default=False),
    level=env.str("CHATSITE_LOG_LEVEL", default="INFO").upper(),
)
