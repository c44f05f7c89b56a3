"""The settings: one frozen tree, read from the environment once."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints
from urllib.parse import quote

import msgspec
from click import ClickException
from msgspec import Meta, Struct, ValidationError

__all__ = ("VERSION", "LimitSettings", "Settings", "SettingsError", "Variable", "load_settings", "variables")

VERSION = "0.1.0"


_ORIGIN = re.compile(r"https?://[^/\s*]+")


class SettingsError(ClickException):
    """A variable of the environment has a value that can't be used; the message names it and never shows its value.

    Each command of the command line says it in one line.
    """


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


def variable(name: str, description: str, **constraints: Any) -> Meta:
    """The environment variable that a field is read from."""
    return Meta(description=description, extra={"variable": name}, **constraints)


class Node(Struct, frozen=True, kw_only=True):
    """A branch of the tree. Its repr shows no value, since some are secrets."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class AppSettings(Node, frozen=True, kw_only=True):
    """Who we are."""

    name: Annotated[str, variable("APP_NAME", "The name that answers and logs carry.")] = "IronTrack"
    debug: Annotated[bool, variable("DEBUG", "Development: coloured logs; never tracebacks in answers.")] = False
    public_url: Annotated[
        str,
        variable("PUBLIC_URL", "Where browsers reach us; the issuer of tokens.", pattern=r"^https?://[^/\s]+$"),
    ] = "http://127.0.0.1:8000"
    allowed_origins: Annotated[
        tuple[str, ...],
        variable("ALLOWED_ORIGINS", "Further exact origins that may send cookies (CORS), comma-separated."),
    ] = ()
    cdn_url: Annotated[str, variable("CDN_URL", "Prefix of exercise pictures in answers.")] = ""
    system_admin_email: Annotated[
        str, variable("SYSTEM_ADMIN_EMAIL", "An account that nobody can deactivate, demote or delete over the API.")
    ] = ""
    data: Annotated[Path, variable("IRONTRACK_DATA", "The data folder of the embedded servers.")] = Path(".irontrack")


class DatabaseSettings(Node, frozen=True, kw_only=True):
    """PostgreSQL."""

    url: Annotated[
        str,
        variable(
            "DATABASE_URL",
            "PostgreSQL, as `postgresql://user:password@host/name`; unset: an embedded one. "
            "Of several hosts, separated by commas, it is the one that takes writes.",
        ),
    ] = ""
    password_file: Annotated[
        str, variable("DATABASE_PASSWORD_FILE", "A file with the password, for a DATABASE_URL that has none.")
    ] = ""
    standby_url: Annotated[
        str,
        variable(
            "DATABASE_STANDBY_URL",
            "A streaming standby, for lists of units and plans and for statistics, once it has all that was written.",
        ),
    ] = ""
    standby_wait: Annotated[
        float,
        variable(
            "DATABASE_STANDBY_WAIT",
            "Seconds that a read waits for the standby before the primary is asked.",
            ge=0,
            le=10,
        ),
    ] = 0.05
    pool_size: Annotated[int, variable("MAX_POOL_SIZE", "Connections of each worker.", ge=2, le=1000)] = 8
    pool_recycle: Annotated[int, variable("POOL_RECYCLE", "Seconds after which a connection is replaced.", ge=1)] = 1800
    statement_cache: Annotated[
        int,
        variable("DATABASE_STATEMENT_CACHE", "Statements prepared per connection; 0 for PgBouncer < 1.21.", ge=0),
    ] = 200
    slow_ms: Annotated[int, variable("SLOW_STATEMENT_MS", "Statements that take longer are logged.", ge=0)] = 200

    @property
    def readers(self) -> int:
        """Connections for reads of one statement; the others are for transactions."""
        return self.pool_size // 2


class CacheSettings(Node, frozen=True, kw_only=True):
    """Valkey."""

    url: Annotated[
        str,
        variable(
            "VALKEY_URL",
            "Valkey, as `valkey://:password@host:6379/0`, `unix://…` or "
            "`valkey+sentinel://:password@host:26379,host:26379/service?db=0`; unset: an embedded one.",
        ),
    ] = ""
    password_file: Annotated[
        str, variable("VALKEY_PASSWORD_FILE", "A file with the password, for a VALKEY_URL that has none.")
    ] = ""


class SecuritySettings(Node, frozen=True, kw_only=True):
    """Tokens, cookies and passwords."""

    private_key: Annotated[
        str, variable("JWT_PRIVATE_KEY", "The Ed25519 signing key as a JWK, or several as a JWK set: the first signs.")
    ] = ""
    keys_file: Annotated[
        str, variable("JWT_KEYS_FILE", "A file with the signing keys; else `keys.json` in the data folder.")
    ] = ""
    insecure_cookies: Annotated[
        bool, variable("INSECURE_COOKIES", "Leave out `Secure` also where PUBLIC_URL is plain HTTP and not loopback.")
    ] = False
    argon2_memory_kib: Annotated[int, variable("ARGON2_MEMORY_KIB", "Memory of one password hash.", ge=8, le=2**21)] = (
        19456
    )
    argon2_time_cost: Annotated[int, variable("ARGON2_TIME_COST", "Passes of one password hash.", ge=1, le=100)] = 2
    argon2_parallelism: Annotated[int, variable("ARGON2_PARALLELISM", "Lanes of one password hash.", ge=1, le=16)] = 1
    hash_threads: Annotated[int, variable("HASH_THREADS", "Password hashes at once in each worker.", ge=1, le=64)] = 1
    hash_wait: Annotated[
        float, variable("HASH_WAIT", "Seconds a request waits for its turn to hash; then 503.", gt=0, le=60)
    ] = 5.0
    revocation_file: Annotated[
        str, variable("REVOCATION_FILE", "Shared memory of this machine's workers; a path that all of them can write.")
    ] = ""
    news_within: Annotated[
        float,
        variable(
            "NEWS_WITHIN",
            "Seconds without word from other machines after which each request asks the database who is calling.",
            ge=1,
            le=30,
        ),
    ] = 1.0


class LimitSettings(Node, frozen=True, kw_only=True):
    """Bounds of requests. 0 switches a rate limit off."""

    reads: Annotated[int, variable("RATE_LIMIT_READS", "Reads a minute for a user, or an address.", ge=0)] = 100
    writes: Annotated[int, variable("RATE_LIMIT_WRITES", "Writes a minute for a user, or an address.", ge=0)] = 30
    sign_in: Annotated[
        int,
        variable("RATE_LIMIT_SIGN_IN", "Sign-ins and sign-ups a minute for an address; failures for an account.", ge=0),
    ] = 10
    max_body_bytes: Annotated[int, variable("MAX_BODY_BYTES", "Largest body of a request.", ge=1024)] = 10_000_000
    request_timeout: Annotated[
        float, variable("REQUEST_TIMEOUT", "Seconds that a handler may take; then 503, nothing stored.", gt=0, le=3600)
    ] = 30.0
    max_upload_bytes: Annotated[int, variable("MAX_UPLOAD_BYTES", "Largest body with files of runs.", ge=1024)] = (
        50_000_000
    )
    max_archive_bytes: Annotated[
        int, variable("MAX_ARCHIVE_BYTES", "Largest body with an archive of runs.", ge=1024)
    ] = 4_000_000_000
    upload_timeout: Annotated[
        float, variable("UPLOAD_TIMEOUT", "Seconds that sending and reading files may take.", gt=0, le=86400)
    ] = 900.0
    import_look: Annotated[
        float,
        variable(
            "IMPORT_LOOK",
            "Seconds between a worker's looks for imports; a dead one's are taken over after five.",
            gt=0,
            le=86400,
        ),
    ] = 4.0
    trusted_proxies: Annotated[
        tuple[str, ...],
        variable("TRUSTED_PROXIES", "Networks whose X-Real-IP is believed; over a Unix socket it always is."),
    ] = ()


class LogSettings(Node, frozen=True, kw_only=True):
    """Logs and metrics."""

    level: Annotated[LogLevel, variable("LOG_LEVEL", "DEBUG, INFO, WARNING, ERROR or CRITICAL.")] = LogLevel.INFO
    json: Annotated[bool, variable("USE_JSON_LOGS", "One JSON object a line, rather than colours for a person.")] = True
    file: Annotated[str, variable("LOG_FILE", "Also write to this file: 10 MB, five older ones kept.")] = ""
    metrics_allow: Annotated[
        tuple[str, ...], variable("METRICS_ALLOW", "Networks besides loopback that may read /metrics.")
    ] = ()
    metrics_folder: Annotated[
        str,
        variable("PROMETHEUS_MULTIPROC_DIR", "Where this machine's workers share their counters; unset: each its own."),
    ] = ""
    traces_endpoint: Annotated[
        str,
        variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OpenTelemetry's collector, as `http://127.0.0.1:4318`; needs the extra `otel`; unset: no traces.",
            pattern=r"^https?://\S*[^\s/]$",
        ),
    ] = ""


class Settings(Node, frozen=True, kw_only=True):
    """The whole tree."""

    app: AppSettings = AppSettings()
    database: DatabaseSettings = DatabaseSettings()
    cache: CacheSettings = CacheSettings()
    security: SecuritySettings = SecuritySettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL with the driver that we use."""
        return _with_driver(self.database.url)

    @property
    def sqlalchemy_standby_url(self) -> str:
        """The same of the standby's."""
        return _with_driver(self.database.standby_url)

    @property
    def revocation_file(self) -> Path:
        """The shared memory of the workers on this machine: in the memory file system where there is one."""
        if self.security.revocation_file:
            return Path(self.security.revocation_file)
        memory = Path("/dev/shm")  # noqa: S108 (the file is created with mode 0600 and checked for its owner)
        folder = memory if memory.is_dir() else Path(tempfile.gettempdir())
        place = re.sub(r":[^:@/]*@", "@", self.database.url)
        name = hashlib.sha256(place.encode()).hexdigest()[:16]
        return folder / f"irontrack-{os.getuid()}-{name}"

    @property
    def keys_file(self) -> Path:
        """Where the signing keys lie when no variable holds them."""
        return Path(self.security.keys_file) if self.security.keys_file else self.app.data / "keys.json"


class Variable(Struct, frozen=True):
    """One variable of the environment, and the field that it sets."""

    name: str
    section: str
    field: str
    type: Any
    default: Any
    description: str


def variables() -> Iterator[Variable]:
    """Every variable, in the order of the tree."""
    for section in msgspec.structs.fields(Settings):
        hints = get_type_hints(section.type, include_extras=True)
        for field in msgspec.structs.fields(section.type):
            meta: Meta = get_args(hints[field.name])[1]
            name = (meta.extra or {})["variable"]
            yield Variable(name, section.name, field.name, hints[field.name], field.default, meta.description or "")


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the tree from the environment.

    Raises:
        SettingsError: a variable has a value that can't be used.
    """
    source = os.environ if environment is None else environment
    tree: dict[str, dict[str, Any]] = {}
    for item in variables():
        if text := source.get(item.name, ""):
            tree.setdefault(item.section, {})[item.field] = _parse(item, text.strip())
    for section, url, name in (
        ("database", "url", "DATABASE_PASSWORD_FILE"),
        ("database", "standby_url", "DATABASE_PASSWORD_FILE"),
        ("cache", "url", "VALKEY_PASSWORD_FILE"),
    ):
        branch = tree.get(section, {})
        if branch.get(url) and branch.get("password_file"):
            branch |= _password_from_file(branch, url, name)
    settings = Settings(
        **{section.name: section.type(**tree.get(section.name, {})) for section in msgspec.structs.fields(Settings)}
    )
    if any(not _ORIGIN.fullmatch(origin) for origin in settings.app.allowed_origins):
        raise SettingsError("ALLOWED_ORIGINS can't be used: expected exact origins such as https://app.example.")
    _check_networks("TRUSTED_PROXIES", settings.limits.trusted_proxies)
    _check_networks("METRICS_ALLOW", settings.log.metrics_allow)
    _check_scheme("DATABASE_URL", settings.database.url, "postgres")
    _check_scheme("DATABASE_STANDBY_URL", settings.database.standby_url, "postgres")
    _check_scheme("VALKEY_URL", settings.cache.url, "valkey", "redis", "unix")
    return settings


def _with_driver(url: str) -> str:
    """A URL of PostgreSQL as SQLAlchemy wants it: with the driver, and several servers as parameters of their own."""
    _, separator, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    if "," in hosts:
        database, _, query = tail.partition("?")
        servers = "&".join(f"host={host if ':' in host else f'{host}:5432'}" for host in hosts.split(","))
        tail = f"{database}?{servers}{'&' if query else ''}{query}"
        authority = login + at
    return f"postgresql+asyncpg://{authority}{slash}{tail.replace('sslmode=', 'ssl=')}" if separator else ""


def _password_from_file(branch: Mapping[str, str], field: str, name: str) -> dict[str, str]:
    """A URL that has no password yet, with the one of a file; a URL that has one needs no file."""
    url = branch[field]
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if ":" in user:
        return {"password_file": ""} if field == "url" else {}
    try:
        password = Path(branch["password_file"]).read_text().strip()
    except (OSError, ValueError):
        raise SettingsError(f"{name} can't be used: the file can't be read.") from None
    secret = quote(password, safe="")
    return {field: f"{scheme}{separator}{user}:{secret}@{host if at else authority}{slash}{path}"}


def _parse(item: Variable, text: str) -> Any:
    if isinstance(item.default, tuple):
        return tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    try:
        value = text.lower() if isinstance(item.default, bool) else text.upper() if item.field == "level" else text
        if isinstance(item.default, Path):
            return Path(value)
        return msgspec.convert(value, item.type, strict=False)
    except ValidationError as error:
        reason = str(error).partition(" - at")[0]
        raise SettingsError(f"{item.name} can't be used: {reason}. {item.description}") from None


@lru_cache
def networks(ranges: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Address ranges, parsed once."""
    return tuple(ip_network(part, strict=False) for part in ranges)


def _check_networks(name: str, ranges: tuple[str, ...]) -> None:
    try:
        networks(ranges)
    except ValueError:
        raise SettingsError(f"{name} can't be used: expected addresses or networks such as 10.0.0.0/8.") from None


def _check_scheme(name: str, url: str, *schemes: str) -> None:
    if url and not url.startswith(schemes):
        raise SettingsError(f"{name} can't be used: expected a URL that begins with one of {', '.join(schemes)}.")
