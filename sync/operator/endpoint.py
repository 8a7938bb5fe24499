"""Webhook endpoints at Stripe: made with exactly what is covered here, judged, and rolled without losing an event.

Stripe has no call that rolls a secret, and shows one only in the reply that made it. So a roll is a second endpoint for
the same address: both send until everybody has the new secret, each event counts once, and only then the old one goes.
Of a secret we keep a digest, to tell whether STRIPE_WEBHOOK_SECRET has it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.mirrored import QUESTIONS
from stripe_mongo_sync.models.state import ENDPOINT, State
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.errors import CannotLook, NotFound, NotPossible
from stripe_mongo_sync.sync.operator.catalogue import NAMED, covered_events
from stripe_mongo_sync.sync.process.deadline import prompt
from stripe_mongo_sync.sync.settings import is_http
from stripe_mongo_sync.sync.stripe.about import About, an, of_id
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown, api_version

PATH = "/v1/webhook_endpoints"
OURS = "/webhooks/stripe"  # where the service takes events
ALL = "*"


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint as Stripe has it, and what of it is not as it should be."""

    remote: dict[str, Any]
    digest: str | None  # of its secret, where it was made here

    @property
    def id(self) -> str:
        """Stripe's."""
        return str(self.remote["id"])

    @property
    def url(self) -> str:
        """Where it sends to."""
        return str(self.remote["url"])

    @property
    def ours(self) -> bool:
        """Whether it leads to this service, as far as can be told."""
        return self.digest is not None or urlsplit(self.url).path.rstrip("/").endswith(OURS)

    @property
    def enabled(self) -> bool:
        """Whether Stripe sends to it."""
        return self.remote.get("status") == "enabled"

    @property
    def version(self) -> str | None:
        """The API version that its events come in; None: the account's default."""
        return self.remote.get("api_version")

    @property
    def missing(self) -> list[str]:
        """The types of event that are covered here, and not sent by it."""
        enabled = set(self.remote["enabled_events"])
        if ALL in enabled:
            enabled |= set(covered_events()) - NAMED
        return [type for type in covered_events() if type not in enabled]

    @property
    def questions(self) -> list[str]:
        """The types of event sent by it to which the answer is a decision, which nobody here makes."""
        return sorted(QUESTIONS.intersection(self.remote["enabled_events"]))

    @property
    def extra(self) -> list[str]:
        """The types of event that are sent by it for nothing."""
        return sorted(set(self.remote["enabled_events"]) - set(covered_events()))

    @property
    def known(self) -> bool | None:
        """Whether STRIPE_WEBHOOK_SECRET has its secret; None where that cannot be told."""
        if self.digest is None:
            return None
        return self.digest in {_digest(secret) for secret in current().settings.webhook_secrets}

    @property
    def right(self) -> bool:
        """Whether it sends everything that is covered, in our version, and asks for no decision."""
        return self.enabled and not self.missing and not self.questions and self.version == api_version()

    def shown(self) -> dict[str, Any]:
        """Return what an operator needs to know of it."""
        return {
            "id": self.id,
            "url": self.url,
            "ours": self.ours,
            "status": self.remote.get("status"),
            "api_version": self.version,
            "missing": self.missing,
            "extra": self.extra,
            "secret_known": self.known,
        }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _state(id: str) -> str:
    return f"{ENDPOINT} {id}"


def _endpoint(remote: dict[str, Any]) -> Endpoint:
    noted = State.read(_state(remote["id"]))
    return Endpoint(remote, str(noted["digest"]) if noted else None)


def listed() -> list[Endpoint]:
    """Return the webhook endpoints of this account and mode. Raises CannotLook."""
    return [_endpoint(remote) for page in current().gateway.pages(PATH) for remote in page.remote["data"]]


def endpoint_of(id: str | None) -> Endpoint:
    """Return the endpoint of that id; without one, the only one that leads here. Raises NotFound or NotPossible."""
    found = listed()
    if id is not None:
        named = next((endpoint for endpoint in found if endpoint.id == id), None)
        if named is None:
            raise NotFound("Stripe has no such webhook endpoint: see `endpoint list`.")
        return named
    ours = [endpoint for endpoint in found if endpoint.ours]
    if len(ours) == 1:
        return ours[0]
    if not ours:
        raise NotFound("There is no such webhook endpoint that leads here: make one with `endpoint create URL`.")
    raise NotPossible(f"Several lead here, say which: {', '.join(endpoint.id for endpoint in ours)}")


@prompt
def create(url: str) -> tuple[Endpoint, str]:
    """Make an endpoint for a new address; return it and its secret, which nobody can read again.

    Raises NotPossible; CannotLook when Stripe's answer was lost, and with it the secret.
    """
    live = current().settings.livemode
    if not is_http(url) or (live and urlsplit(url).scheme != "https"):
        raise NotPossible(f"The address must begin with {'https' if live else 'http'}://, and name a host.")
    if known := [endpoint.id for endpoint in listed() if endpoint.url == url]:
        raise NotPossible(f"{known[0]} has this address already: `endpoint update` or `endpoint roll` it.")
    return _make(url)


@prompt
def roll(old: Endpoint) -> tuple[Endpoint, str]:
    """Make a second endpoint for the address of an old one, which goes on as before. Return it and its secret."""
    if others := [endpoint.id for endpoint in listed() if endpoint.url == old.url and endpoint.id != old.id]:
        raise NotPossible(f"{others[0]} has this address, too: end that roll first, with `endpoint delete`.")
    return _make(old.url)


def _make(url: str) -> tuple[Endpoint, str]:
    wanted = {"url": url, "enabled_events": list(covered_events()), "api_version": api_version()}
    made = _done(_post(PATH, wanted, an("webhook_endpoint", url=url)))
    secret = str(made.pop("secret"))
    State.write(_state(made["id"]), {"digest": _digest(secret)})
    return _endpoint(made), secret


@prompt
def update(endpoint: Endpoint) -> Endpoint:
    """Let an endpoint send exactly what is covered, and enable it; its version can never change. Raises as `create`."""
    wanted = {"enabled_events": list(covered_events()), "disabled": False}
    return _endpoint(_done(_post(f"{PATH}/{endpoint.id}", wanted, of_id(endpoint.id))))


@prompt
def delete(old: Endpoint, *, force: bool = False) -> None:
    """Remove an endpoint at Stripe, unless events would then be lost. Raises NotPossible; CannotLook."""
    if not force and old.ours and old.enabled:
        _require_successor(old)
    answer = current().gateway.write(Call(f"{PATH}/{old.id}", {}, "delete"), of_id(old.id))
    if not (isinstance(answer, Refusal) and answer.not_found):  # it is gone, and that is all that was wanted
        _done(answer)
    State.clear(_state(old.id))


def _require_successor(old: Endpoint) -> None:
    right = [each for each in listed() if each.url == old.url and each.id != old.id and each.right]
    if not right:
        raise NotPossible("No other endpoint sends these events here: `endpoint roll` first, or use --force.")
    if not any(each.known for each in right):
        raise NotPossible(
            f"STRIPE_WEBHOOK_SECRET here does not have the secret of {right[0].id}: add it, restart the service, and "
            "try again; or, if you are sure, use --force."
        )


def _post(path: str, params: dict[str, Any], fits: About) -> Answer:
    """Send it, and after a lost answer once more: the same key is answered alike, with the same secret."""
    call = Call(path, params, key=f"endpoint-{secrets.token_hex(12)}")
    answer = current().gateway.write(call, fits)
    return current().gateway.write(call, fits) if isinstance(answer, Unknown) else answer


def _done(answer: Answer) -> dict[str, Any]:
    match answer:
        case Reply(remote=remote):
            return dict(remote)
        case Refusal(problem=problem):
            raise NotPossible(f"Stripe refused: {problem['message']}")
        case Unknown(reason=why):
            raise CannotLook(
                f"It is not known whether Stripe did it ({why}): look with `endpoint list`, and delete the endpoint "
                "whose secret nobody has."
            )
