"""The doctor checks everything that the service depends on, and says how to repair what is wrong.

It writes nothing. It sends three GETs to Stripe, and with a restricted key up to eleven more, because what the key may
read is found by reading one object of each type. Only if it is asked to ping, it lets Stripe send something.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from stripe_mongo_sync.models import Event, kinds
from stripe_mongo_sync.models.event import EventState, Via
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.database import database
from stripe_mongo_sync.models.state import CHECKPOINT, STRIPE, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.database.in_force import deviations, in_force
from stripe_mongo_sync.sync.database.strangers import neighbours, rivals
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission, WrongAccount
from stripe_mongo_sync.sync.inbox.checkpoint import WEBHOOK_DELAY, require_continuity
from stripe_mongo_sync.sync.operator.catalogue import kinds_of
from stripe_mongo_sync.sync.operator.endpoint import Endpoint, list_endpoints, pings
from stripe_mongo_sync.sync.operator.findings import Finding, Level, exit_code
from stripe_mongo_sync.sync.operator.mongodb import INDEXES, indexes, protection, secrecy
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.process.mongodb_address import read_address
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.process.stop import STOP
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.stripe.answers import Reply, api_version
from stripe_mongo_sync.sync.stripe.permissions import CREATED, members

TOLERANCE = timedelta(seconds=300)  # a signature may be this old, and searches for an object allow as much
SKEW_WARNING = timedelta(seconds=60)  # clocks that NTP keeps differ by less than a second
READS = 11  # types that are tried with a restricted key; Stripe allows at least some 14 GETs an hour
RECENT = 20  # webhooks; they arrive in any order, and the one with the newest event counts

KEYS = "https://dashboard.stripe.com/apikeys"
RIVALS = "if it is a slip, give all processes one COLLECTION_PREFIX, and drop the collections of the other"
ALL = "docs/SECURITY.md lists all the permissions that it needs"


@dataclass
class Diagnosis:
    """What was examined, the findings, and how many requests to Stripe they cost."""

    place: dict[str, Any]  # the account, the mode and the database
    findings: list[Finding] = field(default_factory=list)
    asked: int = 0

    @property
    def exit_code(self) -> int:
        """0 healthy or only warnings, 1 problems, 2 could not check everything."""
        return exit_code(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        findings = [finding.as_json() for finding in self.findings]
        return {**self.place, "findings": findings, "asked": self.asked, "exit_code": self.exit_code}

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        account, database = self.place["account"] or "an account that is not known yet", self.place["database"]
        where = f"{word(account)} in {self.place['mode']} mode, and the database {word(database['name'])}"
        where += f" at {', '.join(map(word, database['hosts']))}"
        where += f" with the prefix {database['prefix']}" if database["prefix"] else ""
        return [where, *(finding.line for finding in self.findings), f"({self.asked} requests to Stripe)"]


def examine(url: str | None = None, *, ping: bool = False, pause: Callable[[float], None] = STOP.wait) -> Diagnosis:
    """Check everything; `url` is the service's webhook address, if its path is not /webhooks/stripe.

    With `ping`, Stripe sends an event to each event destination that points here; `pause` waits for it.
    """
    before, found = current().gateway.request_count, Diagnosis(place(current().settings))
    account = _account(found)
    if account is not None:
        now = clock.now()
        if account.earliest:  # else the reply had no date
            now, mongodb = datetime.fromtimestamp(account.latest - 1, UTC), now
            found.findings += clocks(clock.local_now(), mongodb, now)
        found.place["account"] = account.remote["id"]
        for check in (_permissions, lambda: _endpoints(url), lambda: _webhooks(now)):
            found.findings += _with_failure(check())
        if ping:
            found.findings += _with_failure(pings(url, pause))
    found.findings += [*secrecy(current().settings), *_mongodb(), *status().findings]
    if all(finding.check != INDEXES for finding in found.findings):  # else `status` has looked
        found.findings += [*indexes()] or [Finding(INDEXES, Level.OK, "all indexes exist, and all are right")]
    found.asked = current().gateway.request_count - before
    return found


def place(settings: Settings) -> dict[str, Any]:
    """Return the account to which the database is bound, the mode, and the database without its user and password."""
    bound = State.read(STRIPE) or {}
    hosts, name = read_address(settings.mongodb_uri).hosts, database().name
    where = {"hosts": [*hosts], "name": name, "prefix": settings.collection_prefix}
    return {"account": bound.get("account"), "mode": "live" if settings.livemode else "test", "database": where}


def _with_failure(check: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings of a check at Stripe; if it fails, that is a finding, too."""
    try:
        yield from check
    except MissingPermission as error:
        yield Finding("permissions", Level.WARNING, str(error), f"allow it at {KEYS}; {ALL}")
    except WrongAccount as error:
        told, _, do = str(error).partition(". Nothing was touched. ")
        yield Finding("stripe", Level.PROBLEM, told, do)
    except CannotReadStripe as error:
        do = error.advice or "try again in a minute"
        yield Finding("stripe", Level.UNSEEN, f"Stripe could not be read ({error})", do)


# --- Stripe ---


def _account(found: Diagnosis) -> Reply | None:
    """Read the account of the key; return None when further checks at Stripe make no sense."""
    settings, told = current().settings, found.findings
    try:
        reply = current().gateway.get("/v1/account")
    except BadKey as error:
        told.append(Finding("key", Level.PROBLEM, str(error), f"create a new key at {KEYS}, and restart every process"))
    except WrongAccount as error:
        told.append(Finding("key", Level.PROBLEM, str(error), "correct STRIPE_SECRET_KEY or MONGODB_URI"))
    except MissingPermission as error:
        told.append(Finding("key", Level.PROBLEM, str(error), f"allow it to read the account, at {KEYS}"))
    except CannotReadStripe as error:
        do = error.advice or "try again; see https://status.stripe.com"
        told.append(Finding("key", Level.UNSEEN, f"Stripe could not be asked ({error})", do))
    else:
        if reply is not None:
            mode = "live" if settings.livemode else "test"
            bound = "" if State.read(STRIPE) else ", to which this database will be bound"
            told.append(Finding("key", Level.OK, f"of {reply.remote['id']} in {mode} mode{bound}"))
            return reply
        told.append(Finding("key", Level.UNSEEN, "Stripe shows no account for this key", f"check it at {KEYS}"))
    return None


def clocks(here: datetime, mongodb: datetime, stripe: datetime) -> Iterator[Finding]:
    """Compare the clocks with Stripe's: this machine's checks signatures, and MongoDB's decides what is due."""
    good = []
    for name, skew, harm in (
        ("this machine's", here - stripe, "webhooks are refused"),
        ("MongoDB's", mongodb - stripe, "objects are searched for in the wrong time window"),
    ):
        side = "behind" if skew < timedelta() else "ahead of"
        told = f"{name} clock is {abs(skew).total_seconds():.0f} s {side} Stripe's"
        if abs(skew) < SKEW_WARNING:
            good.append(told)
            continue
        level = Level.PROBLEM if abs(skew) >= TOLERANCE else Level.WARNING
        yield Finding("clock", level, f"{told}; from 300 s on, {harm}", "keep it in time with NTP (chrony, timesyncd)")
    if good:
        yield Finding("clock", Level.OK, ", ".join(good))


def _permissions() -> Iterator[Finding]:
    """Try what a restricted key may read, beginning with the types in use. What it may write cannot be tried."""
    if not current().settings.stripe_secret_key.startswith("rk_"):
        return
    listable = [(kind, kinds()[kind]) for kind in members([CREATED]) if kinds()[kind].resource.listable]
    tried = sorted(listable, key=lambda each: each[1].objects.first() is None)[:READS]
    denied = []
    for kind, model in tried:
        try:
            current().gateway.first(model.resource.path)
        except MissingPermission:
            denied.append(kind)
    if denied:
        told = f"the restricted key may not read {', '.join(denied)}"
        yield Finding("permissions", Level.PROBLEM, told, f"allow it to read and write them, at {KEYS}; {ALL}")
    else:
        told = f"the restricted key may read the {len(tried)} types that were tried, out of {len(listable)}"
        yield Finding("permissions", Level.OK, told)


def _endpoints(url: str | None) -> Iterator[Finding]:
    everything = list_endpoints()
    ours = [each for each in everything if (each.url == url if url else each.points_here)]
    if not ours:
        told = f"no webhook endpoint of this account points to {url or 'this service'}"
        told += f" ({len(everything)} point elsewhere)" if everything else ""
        if _arrived() is not None:
            do = "if an event destination sends thin events, `doctor --ping` tests it, and Stripe's Workbench shows it"
            yield Finding("endpoint", Level.WARNING, f"{told}, but events have arrived", do)
        else:
            do = f"`{PROGRAM} endpoint create {url or 'https://<your host>/webhooks/stripe'}`"
            yield Finding("endpoint", Level.PROBLEM, told, f"{do}; or name its address with --url")
    for endpoint in ours:
        beside = [other for other in ours if other is not endpoint and other.url == endpoint.url]
        spare = any(other.is_correct and other.secret_configured is not False for other in beside)
        faults = list(_faults(endpoint, spare))
        told = f"{endpoint.id} sends all covered events to {word(endpoint.url)}"
        yield from faults or [Finding("endpoint", Level.OK, told)]
    for address in {endpoint.url for endpoint in ours}:
        same = sorted((e for e in ours if e.url == address), key=lambda e: int(e.remote.get("created", 0)))
        if len(same) > 1:
            told = f"{len(same)} endpoints send the same events to {word(address)}"
            yield Finding("endpoint", Level.WARNING, told, f"end the roll: `endpoint delete {same[0].id}`")


def _faults(endpoint: Endpoint, spare: bool) -> Iterator[Finding]:
    """Yield what is wrong with an endpoint; these are only warnings when a `spare` one does its work."""
    id, bad = endpoint.id, Level.WARNING if spare else Level.PROBLEM
    update = f"`endpoint update {id}`"
    if not endpoint.enabled:
        told = f"{id} is disabled, so Stripe sends it nothing"
        yield Finding("endpoint", bad, told, f"see why its deliveries failed in the Dashboard, then run {update}")
    if endpoint.missing:
        yield Finding("endpoint", bad, f"{id} does not send {', '.join(endpoint.missing)}", update)
    if endpoint.questions:
        told = f"{id} sends {', '.join(endpoint.questions)}: Stripe waits for a decision, and declines without one"
        yield Finding("endpoint", Level.PROBLEM, told, f"{update}, and name them at an endpoint that decides")
    if extra := [type for type in endpoint.extra if type not in endpoint.questions]:
        told = f"{id} sends events that update nothing here ({', '.join(map(word, extra))})"
        yield Finding("endpoint", Level.WARNING, told, update)
    if endpoint.version != api_version():
        version = word(endpoint.version) if endpoint.version else "of the account"
        told = f"{id} sends version {version}, not {api_version()}: each event costs a GET"
        yield Finding("endpoint", Level.WARNING, told, f"`endpoint roll {id}` creates one in our version")
    if endpoint.secret_configured is False:
        told = f"STRIPE_WEBHOOK_SECRET lacks the secret of {id}, so its events are refused"
        yield Finding("endpoint", bad, told, f"add it; if it is lost, `endpoint roll {id}`")


def _arrived() -> int | None:
    """Return the Stripe second of the newest event among the last webhooks; None when none ever arrived."""
    # Naming every state lets the index on it give the order.
    where = {"state": {"$in": [str(state) for state in EventState]}, "via": Via.WEBHOOK}
    rows = Event.objects(__raw__=where).order_by("-received_at").limit(RECENT)
    return max((row.created for row in rows if row.created is not None), default=None)


def _webhooks(now: datetime) -> Iterator[Finding]:
    """Compare Stripe's newest events with those that arrived by webhooks."""
    newest = next(current().gateway.pages("/v1/events"))
    if checkpoint := State.read(CHECKPOINT):
        require_continuity(checkpoint, newest, newest.earliest)
    until = int((now - WEBHOOK_DELAY).timestamp())
    page = newest.remote["data"]
    if newest.remote.get("has_more") and page[-1]["created"] > until:  # so many come that none of these is old enough
        page = next(current().gateway.pages("/v1/events", created={"lte": until})).remote["data"]
    due = [event for event in page if kinds_of(event["type"]) and event["created"] <= until]
    arrived = _arrived()
    late = [event for event in due if arrived is None or event["created"] > arrived]
    if late:
        since = datetime.fromtimestamp(min(event["created"] for event in late), UTC)
        told = f"{len(late)} events since {since:%Y-%m-%d %H:%M} UTC came by no webhook"
        do = "see the endpoint's deliveries in the Dashboard (is its address reachable, and is its secret ours?)"
        yield Finding("webhooks", Level.PROBLEM, told, f"{do}; until then reconcile reads them")
    elif due:
        yield Finding("webhooks", Level.OK, "webhooks arrive: all recent events of covered types were received")
    else:
        yield Finding("webhooks", Level.OK, "no recent events, so webhooks could not be checked")


# --- MongoDB ---


def _mongodb() -> Iterator[Finding]:
    opened = database()
    version = ".".join(map(str, opened.client.server_info()["versionArray"][:3]))
    hello, settings = opened.client.admin.command("hello"), current().settings
    yield deployment(version, hello, in_force(State._get_collection()), live=settings.livemode)
    for wrong in deviations(opened, State._get_collection(), hello):
        told = f"MongoDB must be {wrong}"
        yield Finding("mongodb", Level.PROBLEM, told, "correct MONGODB_URI, and restart every process")
    if others := neighbours(names := opened.list_collection_names()):
        told = f"COLLECTION_PREFIX is {settings.collection_prefix!r}; this database has other installations: "
        same = ", ".join(rivals(names))
        told += ", ".join(others) + (f"; of the same Stripe account: {same}" if same else "")
        yield Finding("mongodb", Level.WARNING if same else Level.OK, told, RIVALS if same else "")
    yield from protection(settings.mongodb_uri, live=settings.livemode)


def deployment(version: str, hello: dict[str, Any], in_force: str, *, live: bool) -> Finding:
    """Judge how MongoDB is deployed; `in_force` says how it is read and written."""
    alone = "setName" not in hello and hello.get("msg") != "isdbgrid"
    where = "a single server" if alone else hello.get("setName") or "a sharded cluster"
    told = f"MongoDB {version}, {where}, {in_force}"
    if alone and live:
        do = "use a replica set: a single server loses everything with its disk"
        return Finding("mongodb", Level.WARNING, told, do)
    return Finding("mongodb", Level.OK, told)
