"""The only caller of Stripe: it sends a frozen operation or reads, and says what the answer means for us.

Every answer is one of a few things: a `Reply` was done, a `Refusal` was certainly not, an `Unknown` may have been.
Raised are only the errors that concern the whole run: a key that is not accepted, a permission that is missing, a read
that failed.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from math import ceil, inf
from typing import Any
from urllib.parse import parse_qsl

import stripe

from models.clock import stopwatch
from models.lifecycle import LEASE
from models.parts import Call, Operation
from models.resource import expansions, is_gone, shortened
from models.state import STRIPE, State
from sync.errors import BadKey, CannotLook, Forbidden, LostCursor, NoOwner, NotAvailable, ReadRefused, WrongStripe
from sync.settings import Settings

stripe.enable_telemetry = False  # the first request would write into the home directory

API_VERSION: str = stripe.api_version  # the one that this version of stripe-python was made for
TIMEOUT = (3.05, 15.0)  # seconds to connect and to read; the library's own default is 80
QUICK = (0.5, 1.0)  # the same inside a webhook, which has 3 s: Stripe waits for our answer. Twice, if need be
LEFT = ("payment_intent", "setup_intent")  # what a declined card leaves at Stripe, to be confirmed again
PAGE = 100  # objects in a page, the most that Stripe gives

# By `stopwatch`: after it, nothing that changes anything is sent. Where nobody has set one, nothing ever is.
DEADLINE: ContextVar[float | None] = ContextVar("DEADLINE", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Send nothing later than that: who was asleep so long has lost the lease, and perhaps the key."""
    ours, outer = stopwatch() + seconds, DEADLINE.get()
    token = DEADLINE.set(ours if outer is None else min(outer, ours))
    try:
        yield
    finally:
        DEADLINE.reset(token)


def time_left() -> float:
    """Return the seconds until the deadline; where there is none, there is no end."""
    deadline = DEADLINE.get()
    return inf if deadline is None else deadline - stopwatch()


def in_time() -> bool:
    """Whether something may be sent: an answer would come before the deadline."""
    return DEADLINE.get() is not None and time_left() >= sum(TIMEOUT)


leased = within(LEASE.total_seconds())  # decorates what takes a lease and then sends
prompt = within(45.0)  # decorates what sends for whoever waits for it, and concerns no document


@dataclass(frozen=True)
class Reply:
    """Stripe did it. It looked like this between `earliest` and `latest`, in Stripe's seconds."""

    remote: dict[str, Any] = field(repr=False)
    earliest: int
    latest: int
    replayed: bool  # up to a day old: proves the id, says nothing of the content
    request_id: str
    version: str = API_VERSION  # of the API, in which it is rendered
    expanded: frozenset[str] = frozenset()  # what was asked for that is not shown otherwise

    @property
    def gone(self) -> bool:
        """Whether this is the stub of a deleted object."""
        return is_gone(self.remote)

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
    missing: bool  # the object at this path does not exist
    doubtful: bool = False  # an earlier attempt of this key may have been done
    left: Reply | None = None  # the object that is there all the same: a payment whose card was declined

    def __str__(self) -> str:
        named = [str(self.problem[name]) for name in ("type", "code", "param") if self.problem.get(name)]
        return f"Stripe refused it ({', '.join(named)})"


@dataclass(frozen=True)
class Unknown:
    """Nobody knows whether Stripe did it."""

    why: str
    stored: bool = False  # this key gives this answer for ever, so repeating it can teach nothing
    busy: bool = False  # Stripe asks for patience: repeating it at once would only add to the load
    after: float | None = None  # seconds that it, or a proxy before it, asks us to wait

    def __str__(self) -> str:
        return self.why


Answer = Reply | Refusal | Unknown
Ask = Callable[[Callable[[], Answer]], Answer]

ASK: ContextVar[Ask] = ContextVar(
    "ASK", default=lambda call: call()
)  # how a request is made: at once, or with patience


class Gateway:
    """One Stripe account in one mode. Made after the fork, used by all threads."""

    def __init__(self, settings: Settings, http_client: stripe.HTTPClient | None = None) -> None:
        base = {"api": settings.stripe_api_base} if settings.stripe_api_base else {}

        def client(timeout: tuple[float, float]) -> stripe.StripeClient:
            return stripe.StripeClient(
                settings.stripe_secret_key,
                stripe_version=API_VERSION,
                base_addresses=base,  # type: ignore[arg-type]  # a TypedDict
                max_network_retries=0,  # `send` repeats, because it must know that it did
                http_client=http_client or stripe.RequestsClient(timeout=timeout),
            )

        self._settings = settings
        self._client, self._quick = client(TIMEOUT), client(QUICK)
        self._checked = self._bound = False
        self._checking = threading.Lock()
        self.asked = 0  # how many requests were sent to Stripe, as far as one thread can tell

    # --- writing ---

    def send(self, operation: Operation) -> Answer:
        """Send an operation as it was frozen; after a lost answer, once more with the same key.

        What must come before it is sent before it, and unless that is done, its answer is the operation's. Raises
        BadKey, Forbidden or WrongStripe.
        """
        for call in operation.calls:
            answer = self.write(call, operation.api_version)
            if isinstance(answer, Unknown) and not answer.stored and not answer.busy:
                answer = self.write(call, operation.api_version)
                if isinstance(answer, Refusal):
                    answer = replace(answer, doubtful=True)
            if not isinstance(answer, Reply):
                break
        return answer

    def write(self, call: Call, api_version: str = API_VERSION) -> Answer:
        """Send one request that changes something, unless the deadline of whoever asks may be over meanwhile.

        The only way out for all of them. Raises BadKey, Forbidden or WrongStripe.
        """
        self.require_right_stripe()
        options: dict[str, Any] = {"stripe_version": api_version}
        if call.method == "post":
            options["idempotency_key"] = call.key  # on a DELETE it has no effect

        def attempt() -> Answer:  # looks each time: who has patience may have waited since the last
            if not in_time():
                return Unknown("the time for this was used up before Stripe could be asked")
            return self._once(self._client, call.method, call.path, dict(call.params), options)

        return ASK.get()(attempt)

    # --- reading ---

    def get(self, path: str, *, quick: bool = False) -> Reply | None:
        """Read one object as it is now, with its lists whole; None when Stripe says that it does not exist.

        Raises CannotLook, of which ReadRefused says that Stripe answered. `quick` is for a webhook: each read ends
        within the time that is left for it, or is not begun.
        """
        self.require_right_stripe(bind=False, quick=quick)
        answer = self._read(path, _asking(path), self._reader(quick=quick))
        match answer:
            case Reply():
                return self.read_on(answer, quick=quick)
            case Refusal(missing=True):
                return None
            case Refusal():
                raise ReadRefused(f"GET {path}: {answer}")
        raise CannotLook(f"GET {path}: {answer}")

    def _reader(self, *, quick: bool) -> stripe.StripeClient:
        if quick and time_left() < sum(QUICK):
            raise CannotLook("the time of this webhook is used up")
        return self._quick if quick else self._client

    def read_on(self, reply: Reply, *, quick: bool = False) -> Reply:
        """Return a reply with the lists whole of which its object shows the first ten. Raises CannotLook.

        It then looked like this at some time between the first read and the last.
        """
        for name, address in shortened(reply.remote).items():
            path, _, query = address.partition("?")
            shown, parts = reply.remote[name], list[dict[str, Any]]()
            for page in self.pages(path, quick=quick, **dict(parse_qsl(query))):
                parts += page.remote["data"]
                reply = replace(reply, latest=max(reply.latest, page.latest))
            place = {part["id"]: number for number, part in enumerate(shown["data"])}  # in the order of the object
            parts.sort(key=lambda part: place.get(part["id"], len(place)))
            told = {"total_count": len(parts)} if "total_count" in shown else {}
            whole = {**shown, **told, "data": parts, "has_more": False}
            reply = replace(reply, remote={**reply.remote, name: whole})
        return reply

    def pages(self, path: str, *, after: str | None = None, quick: bool = False, **params: Any) -> Iterator[Reply]:
        """Read a list page by page, newest first; `remote` is the page. Raises CannotLook: whole or not at all.

        `after` is the id of an object to go on from. Raises LostCursor if that one, or the last of a page, was removed
        meanwhile; ReadRefused when Stripe shows no such list: NotAvailable to this account, NoOwner as that is gone.
        """
        self.require_right_stripe(bind=False)
        params |= _asking(path)
        cursor = {"starting_after": after} if after else {}
        while True:
            answer = self._read(path, {**params, "limit": PAGE, **cursor}, self._reader(quick=quick))
            if isinstance(answer, Refusal):
                raise _unreadable(path, answer)
            if not isinstance(answer, Reply) or not isinstance(answer.remote.get("data"), list):
                raise CannotLook(f"GET {path}: {answer}")
            yield answer
            if not answer.remote.get("has_more") or not answer.remote["data"]:
                return
            last = answer.last["id"]
            if last == cursor.get("starting_after"):  # a cache on the way gives the same page for ever
                raise CannotLook(f"GET {path}: the list does not go on after {last}")
            cursor = {"starting_after": last}

    def first(self, path: str, **params: Any) -> dict[str, Any] | None:
        """Return the newest object of a list, or None when it is empty. Raises CannotLook."""
        answer = self._read(path, {**params, "limit": 1})
        if not isinstance(answer, Reply):
            raise CannotLook(f"GET {path}: {answer}")
        return next(iter(answer.remote["data"]), None)

    # --- the right Stripe ---

    def require_right_stripe(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongStripe unless the key belongs to the account and mode that this database knows.

        Stripe is asked once for each new key: a digest of it is stored beside the account. A database that knows none
        is bound to this one, unless `bind` is false.
        """
        if self._checked and (self._bound or not bind):
            return
        with self._checking:
            key = hashlib.sha256(self._settings.stripe_secret_key.encode()).hexdigest()
            known, fresh = State.read(STRIPE), None
            if not known or key not in known["keys"]:
                answer = self._read("/v1/account", {}, self._reader(quick=quick))
                if not isinstance(answer, Reply):
                    raise CannotLook(f"GET /v1/account: {answer}")
                fresh = {"account": answer.remote["id"], "livemode": self._settings.livemode}
                known = State.belong(**fresh, key=key) if bind else known or fresh
                if known["account"] != answer.remote["id"]:
                    raise WrongStripe(
                        f"This database belongs to the Stripe account {known['account']}, but STRIPE_SECRET_KEY is of "
                        f"{answer.remote['id']}: use that account's key, or another database."
                    )
            if known["livemode"] != self._settings.livemode:
                raise WrongStripe("This database belongs to the other mode (test or live) than STRIPE_SECRET_KEY.")
            self._checked, self._bound = True, bind or fresh is None or known is not fresh

    # --- the one place where stripe-python is called and its errors are read ---

    def _read(self, path: str, params: dict[str, Any], client: stripe.StripeClient | None = None) -> Answer:
        return ASK.get()(partial(self._once, client or self._client, "get", path, params, {}))

    def _once(
        self, client: stripe.StripeClient, method: str, path: str, params: dict[str, Any], options: dict[str, Any]
    ) -> Answer:
        started = time.monotonic()
        self.asked += 1
        expanded = frozenset(name.removeprefix("data.") for name in params.get("expand", ()))
        asked = _Asked(options.get("stripe_version", API_VERSION), expanded)
        try:
            response = client.raw_request(method, path, **params, **options)
        except stripe.AuthenticationError as error:
            raise BadKey from error
        except stripe.PermissionError as error:
            raise Forbidden(f"STRIPE_SECRET_KEY may not {method.upper()} {path}: {error.user_message}") from error
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            return _refusal(error, started, asked, alone=not params.keys() - {"expand"})
        except stripe.StripeError as error:
            return _unknown(error)
        except (AttributeError, TypeError, ValueError) as error:  # stripe-python stumbles over what a proxy answers
            return Unknown(f"the answer could not be read ({type(error).__name__})")
        if not isinstance(response.data, dict) or not (is_gone(response.data) or "object" in response.data):
            return Unknown("Stripe's answer could not be read")
        return _reply(response.data, response.headers, started, asked)


def _asking(path: str) -> dict[str, Any]:
    asked = expansions(path)
    return {"expand": asked} if asked else {}


@dataclass(frozen=True)
class _Asked:
    """How an answer was asked for."""

    version: str
    expanded: frozenset[str]


def _reply(remote: dict[str, Any], headers: Mapping[str, str], started: float, asked: _Asked) -> Reply:
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


def _refusal(
    error: stripe.InvalidRequestError | stripe.CardError, started: float, asked: _Asked, *, alone: bool
) -> Answer:
    body = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    if not body.get("type"):
        return Unknown("Stripe's refusal could not be read")
    problem = {name: body.get(name) for name in ("type", "code", "decline_code", "param")}
    problem["message"] = body.get("message") or "Stripe gave no reason."
    left = next((body[kind] for kind in LEFT if isinstance(body.get(kind), dict)), None)
    return Refusal(
        problem=problem,
        replayed=_replayed(error),
        missing=error.http_status == 404
        and body.get("code") == "resource_missing"
        and (alone or body.get("param") in (None, "id")),
        left=_reply(left, error.headers or {}, started, asked) if left else None,
    )


def _unreadable(path: str, refusal: Refusal) -> CannotLook:
    why, about = f"GET {path}: {refusal.problem['message']}", refusal.problem["param"]
    if refusal.problem["code"] == "resource_missing" and about not in ("starting_after", "ending_before"):
        return NoOwner(why)
    if about is None:  # the whole path: an unrecognized URL, or a product that the account did not activate
        return NotAvailable(why)
    return LostCursor(why) if about == "starting_after" else ReadRefused(why)


def _unknown(error: stripe.StripeError) -> Unknown:
    if isinstance(error, stripe.IdempotencyError):
        return Unknown("Stripe knows this key with other parameters", stored=True)
    status = error.http_status
    if status is None or status < 400:
        return Unknown(f"no readable answer from Stripe ({type(error).__name__})")
    code = getattr(error.error, "code", None)
    return Unknown(
        f"Stripe answered {status}{f' ({code})' if code else ''}",
        stored=status >= 500 and _replayed(error),
        busy=status in (409, 429),
        after=_seconds((error.headers or {}).get("Retry-After")),
    )


def _seconds(told: str | None) -> float | None:
    return float(told) if told and told.isascii() and told.isdigit() else None


def _replayed(error: stripe.StripeError) -> bool:
    return (error.headers or {}).get("Idempotent-Replayed") == "true"
