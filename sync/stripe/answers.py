"""Stripe's answers, and what each means for us.

Every answer is one of a few things: a `Reply` was done, a `Refusal` was certainly not, an `Unknown` may have been.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any

from stripe_mongo_sync.models.base.resource import is_deleted
from stripe_mongo_sync.sync.errors import CannotLook, LostCursor, NoOwner, NotAvailable, ReadRefused

if TYPE_CHECKING:
    import stripe

    from stripe_mongo_sync.sync.stripe.silence import Silence

DECLINED_KINDS = ("payment_intent", "setup_intent")  # what a declined card leaves at Stripe, to be confirmed again


@cache
def api_version() -> str:
    """Return the version of the API that this version of stripe-python was made for."""
    import stripe  # late: to tell what an answer meant, nobody has to load all that can ask

    version: str = stripe.api_version
    return version


@dataclass(frozen=True)
class Reply:
    """Stripe did it. It looked like this between `earliest` and `latest`, in Stripe's seconds."""

    remote: dict[str, Any] = field(repr=False)
    earliest: int
    latest: int
    replayed: bool  # up to a day old: proves the id, says nothing of the content
    request_id: str
    version: str = field(default_factory=api_version)  # of the API, in which it is rendered
    expanded: frozenset[str] = frozenset()  # what was asked for that is not shown otherwise

    @property
    def gone(self) -> bool:
        """Whether this is the stub of a deleted object."""
        return is_deleted(self.remote)

    @property
    def last(self) -> dict[str, Any]:
        """The last object of a page that has an id. Raises CannotLook."""
        for remote in reversed(self.remote["data"]):
            if isinstance(remote, dict) and isinstance(remote.get("id"), str):
                return remote
        raise CannotLook("a page of Stripe's list has no object with an id")


@dataclass(frozen=True)
class Refusal:
    """Stripe did not do it, and said why: a parsed 400, 402 or 404 that is not about the idempotency key itself."""

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
    """Nobody knows whether Stripe did it."""

    reason: str
    saved: bool = False  # this key gives this answer for ever, so repeating it can teach nothing
    retry_later: bool = False  # Stripe asks for patience: repeating it at once would only add to the load
    retry_after: float | None = None  # seconds that it, or a proxy before it, asks us to wait
    silence: "Silence | None" = None  # what stood in the way, where it was not Stripe that answered

    def __str__(self) -> str:
        return self.reason


Answer = Reply | Refusal | Unknown


# --- how they are read ---


@dataclass(frozen=True)
class Asked:
    """How an answer was asked for."""

    version: str
    expanded: frozenset[str]


def read_reply(remote: dict[str, Any], headers: Mapping[str, str], started: float, asked: Asked) -> Reply:
    """Return what a good answer shows, and between which two seconds; its request `started` then by time.monotonic."""
    duration = time.monotonic() - started
    try:
        at = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError):
        at = 0.0  # at an unknown time: anything else is newer
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
    """Return what a parsed refusal says; `alone`: its request named nothing but a path, so what is missing is that."""
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


def unreadable(path: str, refusal: Refusal) -> CannotLook:
    """Return the error that a refused list is."""
    why, about = f"GET {path}: {refusal.problem['message']}", refusal.problem["param"]
    if refusal.problem["code"] == "resource_missing" and about not in ("starting_after", "ending_before"):
        return NoOwner(why)
    if about is None:  # the whole path: an unrecognized URL, or a product that the account did not activate
        return NotAvailable(why)
    return LostCursor(why) if about == "starting_after" else ReadRefused(why)


def unread(path: str, answer: Answer) -> CannotLook:
    """Return the error that a read without an answer is."""
    told = CannotLook(f"GET {path}: {answer}")
    told.do = answer.silence.do if isinstance(answer, Unknown) and answer.silence else None
    return told


def read_unknown(error: "stripe.StripeError", base: str) -> Unknown:
    """Return what an error of stripe-python says that leaves open whether Stripe, at `base`, did it."""
    import stripe

    from stripe_mongo_sync.sync.stripe.silence import silence

    if isinstance(error, stripe.IdempotencyError):
        return Unknown("Stripe knows this key with other parameters", saved=True)
    status = error.http_status
    if (silent := silence(error, base)) is not None:
        return Unknown(f"no readable answer from Stripe ({silent.why})", silence=silent)
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
