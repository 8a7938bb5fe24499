"""The doctor looks at everything that the service rests on, and says of each thing that is wrong what to do about it.

It writes nothing. At Stripe it costs three GETs, and for a restricted key up to eleven more: what the key may read is
learned by reading one object of each type.
"""

from collections.abc import Iterator
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
from stripe_mongo_sync.sync.database.indexes import COMMAND, gaps
from stripe_mongo_sync.sync.database.strangers import neighbours
from stripe_mongo_sync.sync.errors import BadKey, CannotLook, MissingPermission, WrongAccount
from stripe_mongo_sync.sync.inbox.checkpoint import require_continuity
from stripe_mongo_sync.sync.operator.catalogue import kinds_of
from stripe_mongo_sync.sync.operator.endpoint import Endpoint, listed
from stripe_mongo_sync.sync.operator.findings import Finding, Level, exit_code
from stripe_mongo_sync.sync.operator.mongodb_security import protection, secrecy
from stripe_mongo_sync.sync.operator.status import status
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.stripe.answers import Reply, api_version
from stripe_mongo_sync.sync.stripe.permissions import CREATED, members

TOLERANCE = timedelta(seconds=300)  # of a signature's time, and of the windows in which an object is looked for
UNEASY = timedelta(seconds=60)  # clocks that are kept in time differ by less than one
ARRIVES = timedelta(minutes=5)  # by then a webhook has come, or was refused and will be repeated
READS = 11  # types that a restricted key is tried on: Stripe's floor is some 14 GETs an hour
RECENT = 20  # webhooks; they come in any order, and the newest of them is meant

KEYS = "https://dashboard.stripe.com/apikeys"
ALL = "all that it must be allowed: docs/SECURITY.md"


@dataclass
class Diagnosis:
    """What was found, and how many requests it cost at Stripe."""

    findings: list[Finding] = field(default_factory=list)
    asked: int = 0

    @property
    def exit_code(self) -> int:
        """0 healthy or only warnings, 1 problems, 2 could not look at everything."""
        return exit_code(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        findings = [finding.as_json() for finding in self.findings]
        return {"findings": findings, "asked": self.asked, "exit_code": self.exit_code}

    @property
    def lines(self) -> list[str]:
        """What people are told."""
        return [*(finding.line for finding in self.findings), f"({self.asked} requests to Stripe)"]


def examine(url: str | None = None) -> Diagnosis:
    """Look at everything; `url` is the address at which Stripe reaches the service, where its path is another."""
    before, found = current().gateway.request_count, Diagnosis()
    account = _account(found)
    if account is not None:
        now = clock.now()
        if account.earliest:  # else the answer had no date
            now, mongodb = datetime.fromtimestamp(account.latest - 1, UTC), now
            found.findings += clocks(clock.here(), mongodb, now)
        for look in (_permissions, lambda: _endpoints(url), lambda: _webhooks(now)):
            found.findings += _seen(look())
    found.findings += [*secrecy(current().settings), *_mongodb(), *_indexes(), *status().findings]
    found.asked = current().gateway.request_count - before
    return found


def _seen(look: Iterator[Finding]) -> Iterator[Finding]:
    """What a look at Stripe finds; that it fails is a finding, too."""
    try:
        yield from look
    except MissingPermission as error:
        yield Finding("permissions", Level.WARNING, str(error), f"let it read that, at {KEYS}; {ALL}")
    except WrongAccount as error:
        told, _, do = str(error).partition(". Nothing was touched. ")
        yield Finding("stripe", Level.PROBLEM, told, do)
    except CannotLook as error:
        yield Finding(
            "stripe", Level.UNSEEN, f"Stripe could not be read ({error})", error.do or "try again in a minute"
        )


# --- Stripe ---


def _account(found: Diagnosis) -> Reply | None:
    """Look who we are at Stripe; None when it makes no sense to ask for more."""
    settings, told = current().settings, found.findings
    try:
        reply = current().gateway.get("/v1/account")
    except BadKey as error:
        told.append(Finding("key", Level.PROBLEM, str(error), f"make a new one at {KEYS}, and restart every process"))
    except WrongAccount as error:
        told.append(Finding("key", Level.PROBLEM, str(error), "correct STRIPE_SECRET_KEY or MONGODB_URI"))
    except MissingPermission as error:
        told.append(Finding("key", Level.PROBLEM, str(error), f"let it read the account, at {KEYS}"))
    except CannotLook as error:
        do = error.do or "try again; see https://status.stripe.com"
        told.append(Finding("key", Level.UNSEEN, f"Stripe could not be asked ({error})", do))
    else:
        if reply is not None:
            mode = "live" if settings.livemode else "test"
            bound = "" if State.read(STRIPE) else ", to which this database will be bound"
            told.append(Finding("key", Level.OK, f"of {reply.remote['id']} in {mode} mode{bound}"))
            return reply
        told.append(Finding("key", Level.UNSEEN, "Stripe knows no account of this key", f"look at {KEYS}"))
    return None


def clocks(here: datetime, mongodb: datetime, stripe: datetime) -> Iterator[Finding]:
    """Compare the clocks that matter: signatures are checked by ours, and what is due is decided by MongoDB's."""
    good = []
    for name, skew, harm in (
        ("this machine's", here - stripe, "webhooks are refused"),
        ("MongoDB's", mongodb - stripe, "objects are looked for at the wrong time"),
    ):
        side = "behind" if skew < timedelta() else "ahead of"
        told = f"{name} clock is {abs(skew).total_seconds():.0f} s {side} Stripe's"
        if abs(skew) < UNEASY:
            good.append(told)
            continue
        level = Level.PROBLEM if abs(skew) >= TOLERANCE else Level.WARNING
        yield Finding("clock", level, f"{told}; from 300 s on, {harm}", "let NTP keep it in time (chrony, timesyncd)")
    if good:
        yield Finding("clock", Level.OK, ", ".join(good))


def _permissions() -> Iterator[Finding]:
    """Try what a restricted key may read, the types that are used here first. What it may write cannot be tried."""
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
        yield Finding("permissions", Level.PROBLEM, told, f"let it read and write them, at {KEYS}; {ALL}")
    else:
        told = f"the restricted key may read the {len(tried)} types that were tried, of {len(listable)}"
        yield Finding("permissions", Level.OK, told)


def _endpoints(url: str | None) -> Iterator[Finding]:
    everything = listed()
    ours = [each for each in everything if (each.url == url if url else each.ours)]
    if not ours:
        told = f"no webhook endpoint of this account leads to {url or 'this service'}"
        told += f" ({len(everything)} lead elsewhere)" if everything else ""
        if _arrived() is not None:
            do = "if it is an event destination that sends thin events, look at it in Stripe's Workbench"
            yield Finding("endpoint", Level.WARNING, f"{told}, though events have come", do)
        else:
            do = f"`{PROGRAM} endpoint create {url or 'https://<your host>/webhooks/stripe'}`"
            yield Finding("endpoint", Level.PROBLEM, told, f"{do}; or say its address with --url")
    for endpoint in ours:
        beside = [other for other in ours if other is not endpoint and other.url == endpoint.url]
        spare = any(other.right and other.known is not False for other in beside)
        faults = list(_faults(endpoint, spare))
        told = f"{endpoint.id} sends what is covered to {word(endpoint.url)}"
        yield from faults or [Finding("endpoint", Level.OK, told)]
    for address in {endpoint.url for endpoint in ours}:
        same = sorted((e for e in ours if e.url == address), key=lambda e: int(e.remote.get("created", 0)))
        if len(same) > 1:
            told = f"{len(same)} endpoints send everything to {word(address)}"
            yield Finding("endpoint", Level.WARNING, told, f"end the roll: `endpoint delete {same[0].id}`")


def _faults(endpoint: Endpoint, spare: bool) -> Iterator[Finding]:
    """Yield what is wrong with an endpoint; with another right one beside it, it is no more than a warning."""
    id, bad = endpoint.id, Level.WARNING if spare else Level.PROBLEM
    update = f"`endpoint update {id}`"
    if not endpoint.enabled:
        told = f"{id} is disabled: Stripe sends it nothing"
        yield Finding("endpoint", bad, told, f"see in the Dashboard why its deliveries failed, then {update}")
    if endpoint.missing:
        yield Finding("endpoint", bad, f"{id} does not send {', '.join(endpoint.missing)}", update)
    if endpoint.questions:
        told = f"{id} sends {', '.join(endpoint.questions)}: Stripe waits for a decision, and without one declines"
        yield Finding("endpoint", Level.PROBLEM, told, f"{update}, and let an endpoint that decides be sent them")
    if extra := [type for type in endpoint.extra if type not in endpoint.questions]:
        told = f"{id} sends what nothing here is kept by ({', '.join(map(word, extra))})"
        yield Finding("endpoint", Level.WARNING, told, update)
    if endpoint.version != api_version():
        version = word(endpoint.version) if endpoint.version else "of the account"
        told = f"{id} sends version {version}, not {api_version()}: each event costs a GET"
        yield Finding("endpoint", Level.WARNING, told, f"`endpoint roll {id}` makes one in our version")
    if endpoint.known is False:
        told = f"STRIPE_WEBHOOK_SECRET here does not have the secret of {id}: its events are refused"
        yield Finding("endpoint", bad, told, f"add it; if nobody has it any more, `endpoint roll {id}`")


def _arrived() -> int | None:
    """Return the Stripe time of the newest event that came by a webhook lately; None when none ever did."""
    # Every state is named, so that the index on it gives the order.
    where = {"state": {"$in": [str(state) for state in EventState]}, "via": Via.WEBHOOK}
    rows = Event.objects(__raw__=where).order_by("-received_at").limit(RECENT)
    return max((row.created for row in rows if row.created is not None), default=None)


def _webhooks(now: datetime) -> Iterator[Finding]:
    """Compare Stripe's newest events with those that webhooks brought."""
    newest = next(current().gateway.pages("/v1/events"))
    if checkpoint := State.read(CHECKPOINT):
        require_continuity(checkpoint, newest, newest.earliest)
    page = newest.remote["data"]
    due = [event for event in page if kinds_of(event["type"]) and event["created"] <= (now - ARRIVES).timestamp()]
    arrived = _arrived()
    late = [event for event in due if arrived is None or event["created"] > arrived]
    if late:
        since = datetime.fromtimestamp(min(event["created"] for event in late), UTC)
        told = f"{len(late)} events since {since:%Y-%m-%d %H:%M} UTC came by no webhook"
        do = "see the endpoint's deliveries in the Dashboard (is its address reachable, is its secret ours?)"
        yield Finding("webhooks", Level.PROBLEM, told, f"{do}; until then reconcile reads them")
    elif due:
        yield Finding("webhooks", Level.OK, "what Stripe tells of, webhooks bring")
    else:
        yield Finding("webhooks", Level.OK, "Stripe has told of nothing that should have come by now")


# --- MongoDB ---


def _mongodb() -> Iterator[Finding]:
    opened = database()
    version = ".".join(map(str, opened.client.server_info()["versionArray"][:3]))
    hello, settings = opened.client.admin.command("hello"), current().settings
    yield deployment(version, hello, in_force(State._get_collection()), live=settings.livemode)
    for wrong in deviations(opened, State._get_collection(), hello):
        told = f"MongoDB must be {wrong}"
        yield Finding("mongodb", Level.PROBLEM, told, "correct MONGODB_URI, and restart every process")
    if others := ", ".join(neighbours(opened.list_collection_names())):
        told = f"COLLECTION_PREFIX is {settings.collection_prefix!r}; this database has other installations: {others}"
        yield Finding("mongodb", Level.OK, told)
    yield from protection(settings.mongodb_uri, live=settings.livemode)


def deployment(version: str, hello: dict[str, Any], in_force: str, *, live: bool) -> Finding:
    """Judge how MongoDB is run; `in_force` is how it is read and written."""
    alone = "setName" not in hello and hello.get("msg") != "isdbgrid"
    where = "a single server" if alone else hello.get("setName") or "a sharded cluster"
    told = f"MongoDB {version}, {where}, {in_force}"
    if alone and live:
        return Finding("mongodb", Level.WARNING, told, "use a replica set: this one loses all with its disk")
    return Finding("mongodb", Level.OK, told)


def _indexes() -> Iterator[Finding]:
    found = list(gaps(current().settings))
    if missing := [name for gap in found for name in (*gap.unique, *gap.others)]:
        told = f"these indexes are missing, or not as they should be: {', '.join(missing)}"
        yield Finding("indexes", Level.PROBLEM, told, f"{COMMAND} builds them")
    if foreign := [name for gap in found for name in gap.foreign]:
        told = f"these unique indexes are not ours, and forbid what we do not: {', '.join(foreign)}"
        yield Finding("indexes", Level.PROBLEM, told, "drop them")
    if not found:
        yield Finding("indexes", Level.OK, "all are there, as they should be")
