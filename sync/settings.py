"""The settings, read once from the environment. All problems are reported together, without any secret."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from itertools import product
from urllib.parse import urlsplit

from stripe_mongo_sync import models
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.process.environment import FILE, Given, is_quoted, looks_like, read_environment
from stripe_mongo_sync.sync.process.mongodb_address import is_local, objections
from stripe_mongo_sync.sync.process.strength import is_placeholder, weak_signing
from stripe_mongo_sync.sync.tokens import BadToken, Token, ambiguous, parse, weak
from stripe_mongo_sync.sync.visible import one_line

SECRET_KEY = re.compile(r"(sk|rk)_(test|live)_\w+", re.ASCII)
SIGNING = re.compile(r"whsec_\w+", re.ASCII)
DAYS = re.compile(r"[0-9]{1,4}")
RATE = re.compile(r"[0-9]{1,6}")
LONGEST_URL = 5000  # characters, Stripe's own limit
PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
RESERVED = ("system.", "enxcol_.")
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
MODULES = "must be modules, separated by commas: my_shop.hooks"


@dataclass(frozen=True)
class Settings:
    """The settings of the service. `from_environment` reads them."""

    stripe_secret_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    api_tokens: tuple[Token, ...] = ()
    api_rate: int = 100
    stripe_api_base: str | None = None
    mongodb_uri: str = field(default="mongodb://127.0.0.1:27017/stripe_sync", repr=False)
    adopt: bool = True
    revalidate: frozenset[str] = frozenset()
    retention: timedelta = timedelta(days=45)
    access_grace: timedelta = timedelta(days=7)  # how long an unpaid subscription still entitles
    access_while_paused: bool = True  # whether one does while its collection is paused
    hooks: tuple[str, ...] = ()
    collection_prefix: str = ""  # the names of all our collections begin with it
    ca_bundle: str | None = None  # a file of certificates to trust at Stripe, instead of stripe-python's
    log_json: bool = field(default=False, compare=False)  # the log of a process; asked once more, before these are read
    warnings: tuple[str, ...] = field(default=(), compare=False)  # `doctor` reports them

    @property
    def livemode(self) -> bool:
        """Whether the service works in live mode, which is the mode of the secret key."""
        return self.stripe_secret_key[2:8] == "_live_"

    @property
    def restricted(self) -> bool:
        """Whether the secret key is a restricted one, which may lack permissions."""
        return self.stripe_secret_key.startswith("rk_")

    def differ(self, other: "Settings") -> list[str]:
        """Return the names of the settings that differ."""
        compared = [each.name for each in fields(self) if each.compare]
        return [name for name in compared if getattr(self, name) != getattr(other, name)]

    @classmethod
    def from_environment(
        cls, *, serve: bool = False, api: bool = True, environment: Mapping[str, str] | None = None
    ) -> "Settings":
        """Read the settings. `serve` also requires those of the service; without `api`, only those of its webhook.

        Raises BadSettings naming all problems.
        """
        read = Reader(read_environment(environment))
        settings = cls(
            stripe_secret_key=read.key("STRIPE_SECRET_KEY"),
            webhook_secrets=read.signing("STRIPE_WEBHOOK_SECRET", serve),
            api_tokens=read.tokens("API_TOKENS", serve and api),
            api_rate=read.rate("API_RATE", 100),
            stripe_api_base=read.url("STRIPE_API_BASE"),
            mongodb_uri=read.mongodb("MONGODB_URI", "mongodb://127.0.0.1:27017/stripe_sync"),
            adopt=read.choice("ADOPT", {"yes": True, "no": False}, "yes"),
            revalidate=read.kinds("REVALIDATE"),
            retention=timedelta(days=read.days("RETENTION_DAYS", 45, least=31)),
            access_grace=timedelta(days=read.days("ACCESS_GRACE_DAYS", 7, least=0)),
            access_while_paused=read.choice("ACCESS_WHILE_PAUSED", {"yes": True, "no": False}, "yes"),
            ca_bundle=read.first("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
            collection_prefix=read.prefix("COLLECTION_PREFIX"),
            hooks=read.list("HOOKS", MODULE, MODULES, required=False),
            log_json=read.choice("LOG_FORMAT", {"json": True, "text": False}, "text"),
        )
        base = settings.stripe_api_base or "https:"
        if settings.livemode and urlsplit(base).scheme != "https" and not is_local(urlsplit(base).hostname or ""):
            read.problems.append("STRIPE_API_BASE must be https: a live key would be sent there unencrypted")
        if read.problems:
            raise BadSettings(read.problems)
        return replace(settings, warnings=(*read.warnings, *read.misspelt()))


class Reader:
    """Reads one setting after the other, collecting the problems instead of stopping at the first."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.problems = list(given.problems)
        self.warnings: list[str] = []
        self.live = False
        self._names: list[str] = []

    def _get(self, name: str) -> str:
        """Return a value, or "" if its problem is already recorded."""
        self._names.append(name)
        if name in self.given.wrong:
            self.problems.append(self.given.wrong[name])
            return ""
        return self.given.values.get(name, "")

    def first(self, *names: str) -> str | None:
        """Return the first of these that is given. Other programs own these names, so none is reported as misspelt."""
        return next(filter(None, (self.given.values.get(name) for name in names)), None)

    def _miss(self, name: str, shape: re.Pattern[str] | None = None) -> None:
        """Record that a required value is missing, unless another problem explains it. The message suggests a setting
        with a similar name or a value of this shape.
        """
        if name not in self.given.wrong and not self.given.problems:
            others = {other: value for other, value in self.given.values.items() if value and other not in self._names}
            named = [other for other in others if looks_like(other, [name, name + FILE])]
            shaped = [other for other, value in others.items() if shape and shape.fullmatch(value)]
            meant = next(iter(named + shaped), None)
            hint = f" ({one_line(meant)} is given: is that what you meant?)" if meant else ""
            self.problems.append(f"{name} is missing{hint}")

    def misspelt(self) -> list[str]:
        """Return a warning for each given name that looks like a misspelt setting."""
        values = self.given.values
        absent = [name for name in self._names if not values.get(name)]
        others = sorted(name for name in values if values[name] and name not in self._names)
        meant = {other: looks_like(other, absent) for other in others}
        return [f"{one_line(other)} is given, and no setting: {name} is" for other, name in meant.items() if name]

    def _doubt(self, told: str) -> None:
        """Record a problem for a live key, and a warning for a test key."""
        if self.live:
            self.problems.append(told)
        else:
            self.warnings.append(f"{told}; a live key would be refused with it")

    def key(self, name: str) -> str:
        """Return the secret key. Its mode decides how strictly the later settings are checked."""
        value = self._get(name)
        self.live = value[2:8] == "_live_"
        if not value:
            self._miss(name, SECRET_KEY)
        elif not SECRET_KEY.fullmatch(value):
            self.problems.append(
                f"{name} must be a secret or restricted key, of letters and digits: sk_test_…, rk_live_…"
            )
        elif is_placeholder(value):
            self._doubt(f"{name} is a placeholder from a manual")
        return value

    def signing(self, name: str, required: bool) -> tuple[str, ...]:
        """Return the secrets with which webhooks are signed."""
        rule = "must be whsec_… of letters and digits, several separated by commas"
        values = self.list(name, SIGNING, rule, required)
        for number, value in enumerate(values, 1):
            if SIGNING.fullmatch(value) and (why := weak_signing(value)):
                self._doubt(f"{name} entry {number} {why}")
        return values

    def list(self, name: str, pattern: re.Pattern[str], rule: str, required: bool) -> tuple[str, ...]:
        """Return the comma-separated values; blanks are skipped."""
        values = self._split(name, required, pattern)
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
            else:
                if why := weak(entry):
                    self._doubt(f"{name} entry {number} {why}")
        if why := ambiguous(found):
            self.problems.append(f"{name} {why}")
        return tuple(found)

    def _split(self, name: str, required: bool, shape: re.Pattern[str] | None = None) -> tuple[str, ...]:
        values = tuple(part.strip() for part in self._get(name).split(",") if part.strip())
        if not values and required:
            self._miss(name, shape)
        if quoted := [str(number) for number, value in enumerate(values, 1) if is_quoted(value)]:
            self.problems.append(f"{name} has quotes around entry {', '.join(quoted)}: remove them")
            return ()
        return values

    def url(self, name: str) -> str | None:
        """Return an http address, or None."""
        value = self._get(name)
        if value and not is_http(value):
            self.problems.append(f"{name} must be an http address")
        elif value and (more := beyond(value)):
            self.problems.append(f"{name} must not have {more}: it is the part of a URL before /v1")
        return value.rstrip("/") or None

    def mongodb(self, name: str, default: str) -> str:
        """Return a MongoDB address that names its database, without options that the code does not allow."""
        value = self._get(name) or default
        self.problems += [f"{name} {why}" for why in objections(value, live=self.live)]
        return value

    def prefix(self, name: str) -> str:
        """Return the prefix of our collections' names."""
        value = self._get(name)
        self.problems += [f"{name} {why}" for why in objections_to_prefix(value)]
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
        """Return a number of days, at least `least`."""
        value = self._get(name) or str(default)
        if not DAYS.fullmatch(value) or int(value) < least:
            self.problems.append(f"{name} must be a whole number of days, {least} or more")
            return default
        return int(value)


def objections_to_prefix(prefix: str) -> Iterator[str]:
    """Yield each reason why this cannot be the prefix of collections, beginning with a verb; "" is always valid."""
    if not prefix:
        return
    if not PREFIX.fullmatch(prefix) or ".." in prefix:
        yield "must be a letter or _, then letters, digits, _, - and single dots, at most 40 in all: billing_"
    if prefix.startswith(RESERVED):
        yield f"must not begin with {' or '.join(RESERVED)}: those collections are MongoDB's own"
    for between, (longer, shorter) in sorted(_between([model.plural() for model in models.stored_things()]).items()):
        if prefix.endswith(between):
            yield f"must not end with {between}: its {shorter} could be the {longer} of another installation"


def _between(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return each text that turns one of these names into another, with both names."""
    pairs = ((longer, shorter) for longer, shorter in product(names, repeat=2) if longer != shorter)
    return {longer.removesuffix(shorter): (longer, shorter) for longer, shorter in pairs if longer.endswith(shorter)}


def beyond(address: str) -> str | None:
    """Return the part that a base address must not have, or None. Credentials would be sent in place of the key."""
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        return "a user or a password"
    if "?" in address or "#" in address:
        return "a ? or a #"
    return "/v1 at its end" if parts.path.rstrip("/").endswith("/v1") else None


def is_http(address: str) -> bool:
    """Whether this is an http or https address that names a host. Its length is asked first: Python normalises the
    name, which takes time that grows with the square of it.
    """
    if len(address) > LONGEST_URL:
        return False
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
