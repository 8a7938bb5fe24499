"""Creates, checks and rolls the webhook endpoints at Stripe: with exactly the covered events, and without losing one.

Stripe has no call that rolls a secret, and shows a secret only in the reply that created it. So a roll is a second
endpoint for the same address: both send until every process has the new secret, and each event counts once. Only then
the old one is deleted. We keep a digest of each secret, to check whether STRIPE_WEBHOOK_SECRET contains it.

Event destinations, which send thin events, are made in Stripe's Workbench; Stripe sends a ping to one when asked.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stripe_mongo_sync.models import Event
from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.mirrored import QUESTIONS
from stripe_mongo_sync.models.state import ENDPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotReadStripe, NotFound, NotPossible
from stripe_mongo_sync.sync.operator.catalogue import NAMED, covered_events
from stripe_mongo_sync.sync.operator.findings import Finding, Level
from stripe_mongo_sync.sync.process.deadline import prompt
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.settings import is_http
from stripe_mongo_sync.sync.stripe.about import About, an, of_id
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown, api_version

PATH = "/v1/webhook_endpoints"
DESTINATIONS = "/v2/core/event_destinations"
PINGED = "v2.core.event"
OURS = "/webhooks/stripe"  # the path at which the service receives events
PATIENCE, LOOKS = 0.5, 20  # s between two looks for a ping in the inbox, and how many: Stripe sends it within seconds
ALL = "*"


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint as Stripe shows it, and what is wrong with it."""

    remote: dict[str, Any]
    digest: str | None  # of its secret, if it was created here

    @property
    def id(self) -> str:
        """Its id at Stripe."""
        return str(self.remote["id"])

    @property
    def url(self) -> str:
        """The address to which it sends."""
        return str(self.remote["url"])

    @property
    def points_here(self) -> bool:
        """Whether it seems to point to this service."""
        return self.digest is not None or _points_here(self.url)

    @property
    def enabled(self) -> bool:
        """Whether Stripe sends to it."""
        return self.remote.get("status") == "enabled"

    @property
    def version(self) -> str | None:
        """The API version of its events; None means the account's default."""
        return self.remote.get("api_version")

    @property
    def missing(self) -> list[str]:
        """The covered event types that it does not send."""
        enabled = set(self.remote["enabled_events"])
        if ALL in enabled:
            enabled |= set(covered_events()) - NAMED
        return [type for type in covered_events() if type not in enabled]

    @property
    def questions(self) -> list[str]:
        """The event types that it sends although Stripe expects a decision in reply, which this service never makes."""
        return sorted(QUESTIONS.intersection(self.remote["enabled_events"]))

    @property
    def extra(self) -> list[str]:
        """The event types that it sends although they update nothing here."""
        return sorted(set(self.remote["enabled_events"]) - set(covered_events()))

    @property
    def secret_configured(self) -> bool | None:
        """Whether STRIPE_WEBHOOK_SECRET contains its secret; None when it was not created here."""
        if self.digest is None:
            return None
        return self.digest in {_digest(secret) for secret in current().settings.webhook_secrets}

    @property
    def is_correct(self) -> bool:
        """Whether it sends all covered events in our version, and none that expects a decision."""
        return self.enabled and not self.missing and not self.questions and self.version == api_version()

    def shown(self) -> dict[str, Any]:
        """Return what an operator needs to know about it."""
        return {
            "id": self.id,
            "url": self.url,
            "points_here": self.points_here,
            "status": self.remote.get("status"),
            "api_version": self.version,
            "missing": self.missing,
            "extra": self.extra,
            "secret_configured": self.secret_configured,
            "ours": self.points_here,  # an old name, as is the next: until 0.3
            "secret_known": self.secret_configured,
        }


def _points_here(url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith(OURS)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _state(id: str) -> str:
    return f"{ENDPOINT} {id}"


def _endpoint(remote: dict[str, Any]) -> Endpoint:
    noted = State.read(_state(remote["id"]))
    return Endpoint(remote, str(noted["digest"]) if noted else None)


def list_endpoints() -> list[Endpoint]:
    """Return the webhook endpoints of this account and mode. Raises CannotReadStripe."""
    return [_endpoint(remote) for page in current().gateway.pages(PATH) for remote in page.remote["data"]]


def endpoint_of(id: str | None) -> Endpoint:
    """Return the endpoint with that id; without one, the only one that points here. Raises NotFound or NotPossible."""
    found = list_endpoints()
    if id is not None:
        named = next((endpoint for endpoint in found if endpoint.id == id), None)
        if named is None:
            raise NotFound(f"Stripe has no webhook endpoint {ascii(id)[1:-1]}: see `endpoint list`.")
        return named
    here = [endpoint for endpoint in found if endpoint.points_here]
    if len(here) == 1:
        return here[0]
    if not here:
        raise NotFound("No webhook endpoint points here: create one with `endpoint create URL`.")
    raise NotPossible(f"Several endpoints point here. Name one: {', '.join(endpoint.id for endpoint in here)}.")


@prompt
def create(url: str) -> tuple[Endpoint, str]:
    """Create an endpoint for a new address; return it and its secret, which cannot be read again.

    Raises NotPossible; CannotReadStripe when Stripe's reply was lost, and the secret with it.
    """
    live = current().settings.livemode
    if not is_http(url) or (live and urlsplit(url).scheme != "https"):
        raise NotPossible(f"The address must begin with {'https' if live else 'http'}:// and name a host.")
    if known := [endpoint.id for endpoint in list_endpoints() if endpoint.url == url]:
        raise NotPossible(f"{known[0]} already has this address: run `endpoint update` or `endpoint roll` instead.")
    return _make(url)


@prompt
def roll(old: Endpoint) -> tuple[Endpoint, str]:
    """Create a second endpoint for the address of an old one, which goes on sending. Return it and its secret.

    Raises as `create`.
    """
    if others := [endpoint.id for endpoint in list_endpoints() if endpoint.url == old.url and endpoint.id != old.id]:
        raise NotPossible(f"{others[0]} has this address, too. End that roll first with `endpoint delete`.")
    return _make(old.url)


def _make(url: str) -> tuple[Endpoint, str]:
    wanted = {"url": url, "enabled_events": list(covered_events()), "api_version": api_version()}
    made = _done(_post(PATH, wanted, an("webhook_endpoint", url=url)))
    secret = str(made.pop("secret"))
    State.write(_state(made["id"]), {"digest": _digest(secret)})
    return _endpoint(made), secret


@prompt
def update(endpoint: Endpoint) -> Endpoint:
    """Make an endpoint send exactly the covered events; its version can never change. Raises as `create`."""
    wanted = {"enabled_events": list(covered_events()), "disabled": False}
    return _endpoint(_done(_post(f"{PATH}/{endpoint.id}", wanted, of_id(endpoint.id))))


@prompt
def delete(old: Endpoint, *, force: bool = False) -> None:
    """Delete an endpoint at Stripe, unless events would then be lost. Raises NotPossible; CannotReadStripe."""
    if not force and old.points_here and old.enabled:
        _require_successor(old)
    answer = current().gateway.write(Call(f"{PATH}/{old.id}", {}, "delete"), of_id(old.id))
    if not (isinstance(answer, Refusal) and answer.not_found):  # it is deleted already
        _done(answer)
    State.clear(_state(old.id))


def _require_successor(old: Endpoint) -> None:
    correct = [each for each in list_endpoints() if each.url == old.url and each.id != old.id and each.is_correct]
    if not correct:
        raise NotPossible("No other endpoint sends these events here: run `endpoint roll` first, or use --force.")
    if not any(each.secret_configured for each in correct):
        raise NotPossible(
            f"STRIPE_WEBHOOK_SECRET lacks the secret of {correct[0].id}. Add it, restart the service, and try again; "
            "if you are sure, use --force."
        )


def _post(path: str, params: dict[str, Any], fits: About, *, bind: bool = True) -> Answer:
    """Send the call, and once more if its reply is lost: Stripe repeats its reply to a key, with the same secret."""
    call = Call(path, params, key=f"endpoint-{secrets.token_hex(12)}")
    answer = current().gateway.write(call, fits, bind=bind)
    return current().gateway.write(call, fits, bind=bind) if isinstance(answer, Unknown) else answer


def _done(answer: Answer) -> dict[str, Any]:
    match answer:
        case Reply(remote=remote):
            return dict(remote)
        case Refusal(problem=problem):
            raise NotPossible(f"Stripe refused: {problem['message']}")
        case Unknown(reason=why):
            raise CannotReadStripe(
                f"It is not known whether Stripe did it ({why}). See `endpoint list`, and delete an endpoint whose "
                "secret was not shown."
            )


# --- event destinations ---


def pings(url: str | None, pause: Callable[[float], None]) -> Iterator[Finding]:
    """Let Stripe ping each event destination that points to `url`, or here, and tell whether the ping arrived.

    It is an event: it comes by the same way as all others, and is stored as `ignored`. `pause` waits between two looks.
    Raises CannotReadStripe.
    """
    # Stripe allows 16 destinations, and shows 20 on a page; it has no ping for an endpoint of /v1/webhook_endpoints.
    found = current().gateway.page(DESTINATIONS, include=["webhook_endpoint.url"])
    told = [(each, str((each.get("webhook_endpoint") or {}).get("url") or "")) for each in found]
    here = [each for each, address in told if (address == url if url else _points_here(address))]
    if not here:
        yield Finding("ping", Level.OK, "Stripe can ping event destinations only, and none points here")
    for each in here:
        if each.get("status") != "enabled":
            told_of = f"{word(each['id'])} is disabled, so Stripe sends it nothing"
            yield Finding("ping", Level.PROBLEM, told_of, "enable it in Stripe's Workbench")
        else:
            yield _ping(str(each["id"]), pause)


def _ping(id: str, pause: Callable[[float], None]) -> Finding:
    answer = _send_ping(id)
    if isinstance(answer, Refusal):
        told = f"Stripe refused to ping {word(id)}: {answer.problem['message']}"
        return Finding("ping", Level.WARNING, told, "ping it in Stripe's Workbench")
    if isinstance(answer, Unknown):
        raise CannotReadStripe(f"the ping of {id}: {answer}")
    for look in range(LOOKS):
        if look:
            pause(PATIENCE)
        if Event.own_rows().find_one({"_id": answer.remote["id"]}, {"_id": 1}):
            return Finding("ping", Level.OK, f"a ping that Stripe sent to {word(id)} arrived here")
    told = f"Stripe sent a ping to {word(id)}, and it did not arrive here within {PATIENCE * LOOKS:.0f} s"
    do = "see its deliveries in Stripe's Workbench (is its address reachable, and is its secret ours?)"
    return Finding("ping", Level.PROBLEM, told, do)


@prompt
def _send_ping(id: str) -> Answer:
    return _post(f"{DESTINATIONS}/{id}/ping", {}, an(PINGED), bind=False)
