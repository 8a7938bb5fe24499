"""Classifies Stripe's answers: a `Reply` was done, a `Refusal` was certainly not done, an `Unknown` may have been."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stripe_mongo_sync.models.base.resource import is_deleted
from stripe_mongo_sync.sync.errors import CannotReadStripe, LostCursor, NoOwner, NotAvailable, ReadRefused

if TYPE_CHECKING:
    import stripe

    from stripe_mongo_sync.sync.stripe.silence import Silence

DECLINED_KINDS = ("payment_intent", "setup_intent")  # exist at Stripe after a decline, and can be confirmed again


@cache
def api_version() -> str:
    """Return the API version of the installed stripe-python."""
    import stripe  # late, because a process that only reads MongoDB must not load it

    version: str = stripe.api_version
    return version


@dataclass(frozen=True)
class Reply:
    """Stripe did it. The object looked like this at some time between `earliest` and `latest`, in Stripe's seconds."""

    remote: dict[str, Any] = field(repr=False)
    earliest: int
    latest: int
    replayed: bool  # up to a day old: proves the id, but not the present content
    request_id: str
    version: str = field(default_factory=api_version)  # the API version that it is rendered in
    expanded: frozenset[str] = frozenset()  # the fields that the request expanded

    @property
    def gone(self) -> bool:
        """Whether this is Stripe's stub of a deleted object."""
        return is_deleted(self.remote)

    @property
    def last(self) -> dict[str, Any]:
        """The last object on a page that has an id. Raises CannotReadStripe if none has."""
        for remote in reversed(self.remote["data"]):
            if isinstance(remote, dict) and isinstance(remote.get("id"), str):
                return remote
        raise CannotReadStripe("a page of Stripe's list has no object with an id")


@dataclass(frozen=True)
class Refusal:
    """Stripe did not do it and said why: a parsed 400, 402 or 404 that is not about the idempotency key itself."""

    problem: dict[str, Any] = field(repr=False)  # its message may quote what was sent
    replayed: bool
    not_found: bool  # the object at this path does not exist
    earlier_attempt_unknown: bool = False  # an earlier attempt of this key may have been done
    declined_object: Reply | None = None  # the object that is there all the same: a payment whose card was declined

    def __str__(self) -> str:
        named = [str(self.problem[name]) for name in ("type", "code", "param") if self.problem.get(name)]
        return f"Stripe refused it ({', '.join(named)})"


@dataclass(frozen=True)
class Unknown:
    """Stripe may or may not have done it."""

    reason: str
    saved: bool = False  # Stripe saved this answer for the key, so a retry would return the same
    retry_later: bool = False  # a 409 or 429: an immediate retry would only add to the load
    retry_after: float | None = None  # seconds, from the Retry-After header of Stripe or a proxy
    silence: "Silence | None" = None  # what prevented an answer, if Stripe gave none

    def __str__(self) -> str:
        return self.reason


Answer = Reply | Refusal | Unknown


# --- parsing ---


@dataclass(frozen=True)
class Asked:
    """The API version and the expanded fields of a request."""

    version: str
    expanded: frozenset[str]


def read_reply(remote: dict[str, Any], headers: Mapping[str, str], started: float, asked: Asked) -> Reply:
    """Return a successful answer as a Reply, with the two seconds that bound it. `started` is by time.monotonic."""
    duration = time.monotonic() - started
    try:
        at = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        at = 0.0  # the time is unknown, so any other observation counts as newer
    return Reply(
        remote=remote,
        earliest=max(0, int(at - duration - 1)),  # Date has whole seconds, rounded down
        latest=ceil(at) + 1,
        replayed=headers.get("Idempotent-Replayed") == "true",
        request_id=headers.get("Request-Id", ""),
        version=headers.get("Stripe-Version", asked.version),
        expanded=asked.expanded,
    )


def read_refusal(
    error: "stripe.InvalidRequestError | stripe.CardError", started: float, asked: Asked, *, alone: bool
) -> Answer:
    """Return a parsed refusal. `alone` says that its request named only a path: a missing object is then that one."""
    body = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    if not body.get("type"):
        return Unknown("Stripe's refusal could not be read")
    problem = {name: body.get(name) for name in ("type", "code", "decline_code", "param")}
    problem["message"] = body.get("message") or "Stripe gave no reason."
    declined = next((body[kind] for kind in DECLINED_KINDS if isinstance(body.get(kind), dict)), None)
    return Refusal(
        problem=problem,
        replayed=_replayed(error),
        not_found=error.http_status == 404
        and body.get("code") == "resource_missing"
        and (alone or body.get("param") in (None, "id")),
        declined_object=read_reply(declined, error.headers or {}, started, asked) if declined else None,
    )


def unreadable(path: str, refusal: Refusal) -> CannotReadStripe:
    """Return the error to raise for a refused list."""
    why, about = f"GET {path}: {refusal.problem['message']}", refusal.problem["param"]
    if refusal.problem["code"] == "resource_missing" and about not in ("starting_after", "ending_before"):
        return NoOwner(why)
    if about is None:  # Stripe refuses the whole path: an unknown URL, or a product that this account has not activated
        return NotAvailable(why)
    return LostCursor(why) if about == "starting_after" else ReadRefused(why)


def unread(path: str, answer: Answer) -> CannotReadStripe:
    """Return the error to raise for a read that got no usable answer."""
    error = CannotReadStripe(f"GET {path}: {answer}")
    error.advice = advice(answer) if isinstance(answer, Unknown) else None
    return error


def advice(answer: Unknown) -> str:
    """Return what an operator can do about an answer that did not come, or came from a Stripe in trouble."""
    return answer.silence.advice if answer.silence else "try again; see https://status.stripe.com"


def read_unknown(error: "stripe.StripeError", base: str) -> Unknown:
    """Return the Unknown for an error of stripe-python after which Stripe, at `base`, may or may not have done it."""
    import stripe

    from stripe_mongo_sync.sync.stripe.silence import silence

    if isinstance(error, stripe.IdempotencyError):
        return Unknown("Stripe knows this idempotency key with other parameters", saved=True)
    status = error.http_status
    if (silent := silence(error, base)) is not None:
        host = urlsplit(base).netloc.rpartition("@")[2]
        return Unknown(f"no readable answer from Stripe at {host} ({silent.reason})", silence=silent)
    if status is None or status < 400:
        return Unknown(f"no readable answer from Stripe ({type(error).__name__})")
    code = getattr(error.error, "code", None)
    return Unknown(
        f"Stripe answered {status}{f' ({code})' if code else ''}",
        saved=status >= 500 and _replayed(error),
        retry_later=status in (409, 429),
        retry_after=_seconds((error.headers or {}).get("Retry-After")),
    )


def _seconds(told: str | None) -> float | None:
    return float(told) if told and told.isascii() and told.isdigit() else None


def _replayed(error: "stripe.StripeError") -> bool:
    return (error.headers or {}).get("Idempotent-Replayed") == "true"
