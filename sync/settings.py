"""The settings, read once from the environment or `.env`: all problems are reported at once, secrets stay hidden."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from dotenv import dotenv_values
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

import models
from sync.errors import BadSettings
from sync.tokens import BadToken, Token, ambiguous, parse

SECRET_KEY = re.compile(r"(sk|rk)_(test|live)_\w+", re.ASCII)
DAYS = re.compile(r"[0-9]{1,4}")
RATE = re.compile(r"[0-9]{1,6}")
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Settings:
    """What the service was told. `from_environment` is how one is made."""

    stripe_secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    api_tokens: tuple[Token, ...] = ()
    api_rate: int = 100
    stripe_api_base: str | None = None
    mongodb_uri: str = field(default="mongodb://127.0.0.1:27017/stripe_sync", repr=False)
    adopt: bool = True
    revalidate: frozenset[str] = frozenset()
    retention: timedelta = timedelta(days=45)
    hooks: tuple[str, ...] = ()

    @property
    def livemode(self) -> bool:
        """The mode of the secret key is the mode of the service."""
        return self.stripe_secret_key[2:8] == "_live_"

    @property
    def restricted(self) -> bool:
        """Whether the secret key may be refused what the account itself may do."""
        return self.stripe_secret_key.startswith("rk_")

    @classmethod
    def from_environment(cls, *, serve: bool = False, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings; with `serve`, also what only the service needs. Raises BadSettings naming all problems."""
        given = {**dotenv_values(".env"), **os.environ} if environment is None else environment
        read = Reader({name: (value or "").strip() for name, value in given.items()})
        settings = cls(
            stripe_secret_key=read.matching(
                "STRIPE_SECRET_KEY", SECRET_KEY, "must be a secret or restricted key: sk_test_…, rk_live_…"
            ),
            webhook_secrets=read.list(
                "STRIPE_WEBHOOK_SECRET", re.compile(r"whsec_\S+"), "must be whsec_…, several separated by commas", serve
            ),
            api_tokens=read.tokens("API_TOKENS", serve),
            api_rate=read.rate("API_RATE", 100),
            stripe_api_base=read.url("STRIPE_API_BASE"),
            mongodb_uri=read.mongodb("MONGODB_URI", "mongodb://127.0.0.1:27017/stripe_sync"),
            adopt=read.choice("ADOPT", {"yes": True, "no": False}, "yes"),
            revalidate=read.kinds("REVALIDATE"),
            retention=timedelta(days=read.days("RETENTION_DAYS", 45, least=31)),
            hooks=read.list("HOOKS", MODULE, "must be modules, separated by commas: my_shop.hooks", required=False),
        )
        base = settings.stripe_api_base or "https:"
        if settings.livemode and urlsplit(base).scheme != "https" and not is_local(urlsplit(base).hostname or ""):
            read.problems.append("STRIPE_API_BASE must be https: a live key would be sent there as it is")
        if read.problems:
            raise BadSettings(read.problems)
        return settings


class Reader:
    """Reads one setting after the other, collecting the problems instead of stopping at the first."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.problems: list[str] = []

    def _get(self, name: str) -> str:
        return self.given.get(name, "")

    def matching(self, name: str, pattern: re.Pattern[str], rule: str) -> str:
        """Return a required value that matches."""
        value = self._get(name)
        if not value:
            self.problems.append(f"{name} is missing")
        elif not pattern.fullmatch(value):
            self.problems.append(f"{name} {rule}")
        return value

    def list(self, name: str, pattern: re.Pattern[str], rule: str, required: bool) -> tuple[str, ...]:
        """Return the comma-separated values; blanks are skipped."""
        values = self._split(name, required)
        if not all(pattern.fullmatch(value) for value in values):
            self.problems.append(f"{name} {rule}")
        return values

    def tokens(self, name: str, required: bool) -> tuple[Token, ...]:
        """Return the tokens that the comma-separated entries describe."""
        found: list[Token] = []
        for number, entry in enumerate(self._split(name, required), 1):
            try:
                found.append(parse(entry))
            except BadToken as error:
                self.problems.append(f"{name} entry {number} {error}")
        if why := ambiguous(found):
            self.problems.append(f"{name} {why}")
        return tuple(found)

    def _split(self, name: str, required: bool) -> tuple[str, ...]:
        values = tuple(part.strip() for part in self._get(name).split(",") if part.strip())
        if not values and required:
            self.problems.append(f"{name} is missing")
        return values

    def url(self, name: str) -> str | None:
        """Return an http address, or None."""
        value = self._get(name)
        if value and not is_http(value):
            self.problems.append(f"{name} must be an http address")
        return value.rstrip("/") or None

    def mongodb(self, name: str, default: str) -> str:
        """Return a MongoDB address that names its database and does not weaken the write concern."""
        value = self._get(name) or default
        try:
            database, options = mongodb_parts(value)
        except (PyMongoError, ValueError):  # what they say may quote the password
            database, options = None, {}
        if not database:
            self.problems.append(f"{name} must name a server and a database: mongodb://host:27017/stripe_sync")
        elif options.get("w", "majority") != "majority":
            # With w:1 the same revision had two winners when a primary died.
            self.problems.append(f"{name} must not set another write concern than w=majority")
        return value

    def choice(self, name: str, choices: Mapping[str, bool], default: str) -> bool:
        """Return one of the choices."""
        value = self._get(name).lower() or default
        if value not in choices:
            self.problems.append(f"{name} must be {' or '.join(choices)}")
        return choices.get(value, choices[default])

    def kinds(self, name: str) -> frozenset[str]:
        """Return the kinds that are named; `all` names every one."""
        named = {part.strip() for part in self._get(name).split(",") if part.strip()}
        if named == {"all"}:
            return frozenset(models.kinds())
        if unknown := named - set(models.kinds()):
            self.problems.append(f"{name} has unknown kinds: {', '.join(sorted(unknown))}")
        return frozenset(named)

    def rate(self, name: str, default: int) -> int:
        """Return a number of requests a second; 0 is no limit."""
        value = self._get(name) or str(default)
        if not RATE.fullmatch(value):
            self.problems.append(f"{name} must be a whole number of requests a second; 0 is no limit")
            return default
        return int(value)

    def days(self, name: str, default: int, least: int) -> int:
        """Return a number of days, at least `least`: Stripe can resend an event for 30 days."""
        value = self._get(name) or str(default)
        if not DAYS.fullmatch(value) or int(value) < least:
            self.problems.append(f"{name} must be a whole number of days, {least} or more")
            return default
        return int(value)


def is_http(address: str) -> bool:
    """Whether this is an http or https address that names a host."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether a host is this machine: its loopback interface, or a socket."""
    if host == "localhost" or host.endswith(".sock"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def mongodb_parts(address: str) -> tuple[str | None, dict[str, str]]:
    """Return the database that a MongoDB address names, and its options, in lower case. Raises if it is malformed."""
    parts = urlsplit(address)
    if parts.scheme == "mongodb+srv":  # to parse it whole would ask the DNS
        options = {name.lower(): value for name, value in parse_qsl(parts.query)}
        return parts.path.strip("/") or None, options
    found = parse_uri(address, warn=False)
    return found["database"], {name.lower(): value for name, value in found["options"].items()}
