"""The gateway, the only caller of Stripe: it sends frozen calls, reads, and classifies the answers (`answers.py`).

It raises only errors that concern the whole run: a rejected key, a missing permission, a failed read.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import Any

import stripe

from stripe_mongo_sync.models.base.embedded import Call, Operation
from stripe_mongo_sync.models.base.resource import is_deleted
from stripe_mongo_sync.models.dry_run.run import dry_run
from stripe_mongo_sync.models.state import STRIPE, State
from stripe_mongo_sync.sync import metrics, traces
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission, WrongAccount
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.deadline import TIMEOUT, in_time, time_left
from stripe_mongo_sync.sync.process.fork import in_every_child
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.stripe import about
from stripe_mongo_sync.sync.stripe.about import ACCOUNT, About, is_of_another, misses_another
from stripe_mongo_sync.sync.stripe.answers import (
    Answer,
    Asked,
    Refusal,
    Reply,
    Unknown,
    api_version,
    read_refusal,
    read_reply,
    read_unknown,
    unread,
)
from stripe_mongo_sync.sync.stripe.files import Files
from stripe_mongo_sync.sync.stripe.reading import Reading
from stripe_mongo_sync.sync.stripe.throttle import CALL_POLICY
from stripe_mongo_sync.sync.stripe.transport import Name, Transport, let_go

stripe.enable_telemetry = False  # the first request would write into the home directory

UPLOAD = (15.0, 15.0)  # seconds to connect, or to send a file, and to read
QUICK = (0.5, 1.0)  # s to connect and to read inside a webhook, which must be answered in 3 s: enough for two reads
KINDS = {"object", "next_page_url"}  # each object says its kind; a list of the v2 API has none
UPLOADING = {"base": "files", "content_type": "multipart/form-data"}  # stripe-python's options of an upload


def _counted(once: Callable[..., Answer]) -> Callable[..., Answer]:
    """Count and trace each request, with what Stripe took to answer it."""

    @wraps(once)
    def counted(gateway: "Gateway", client: stripe.StripeClient, method: str, path: str, *rest: Any) -> Answer:
        began, outcome = time.monotonic(), "denied"
        with traces.span(f"Stripe {method.upper()} {'/'.join(path.split('/')[:3])}") as span:
            try:
                answer = once(gateway, client, method, path, *rest)
                outcome = type(answer).__name__.lower()
                return answer
            finally:
                metrics.count_stripe_request(method, outcome, time.monotonic() - began)
                if outcome in ("unknown", "denied"):
                    traces.fails(span, outcome)

    return counted


class Gateway(Reading, Files):
    """One Stripe account in one mode. All threads may use it; each forked child has connections of its own.

    An `http_client` of another class must handle forks itself; stripe-python's own are renewed here.
    """

    def __init__(self, settings: Settings, http_client: stripe.HTTPClient | None = None) -> None:
        # What stands in for Stripe serves its files, too.
        own = settings.stripe_api_base
        self._bases = {"api": own or stripe.DEFAULT_API_BASE, "files": own or stripe.DEFAULT_UPLOAD_API_BASE}
        times = (TIMEOUT, QUICK, UPLOAD)
        self._ways = [http_client or Transport(each, settings.ca_bundle) for each in times]
        self._client, self._quick, self._patient = (
            stripe.StripeClient(
                settings.stripe_secret_key,
                stripe_version=api_version(),
                base_addresses=self._bases,  # type: ignore[arg-type]  # a TypedDict
                max_network_retries=0,  # `send` retries itself, because it must know about each attempt
                http_client=way,
            )
            for way in self._ways
        )
        self._settings = settings
        self._checked = self._bound = False
        self._checking = threading.Lock()
        self._silent: dict[str, str | None] = {}  # why Stripe did not answer the last request, by its base
        self.request_count = 0  # of requests sent; without a lock, so it is exact for one thread only
        in_every_child(self._renew)

    def _renew(self) -> None:
        self._checking = threading.Lock()
        self._part()

    def _part(self) -> None:
        """Abandon all present connections; the next request opens a new one."""
        for way in self._ways:
            if isinstance(way, Transport):
                way.renew()
            elif isinstance(way, stripe.RequestsClient):
                way._thread_local = threading.local()  # it keeps a session for each thread here
                if way._session is not None:  # or one session that the application gave it
                    let_go(way._session)

    @property
    def restricted(self) -> bool:
        """Whether the key is a restricted one, so that a refusal may be due to a missing permission."""
        return self._settings.restricted

    # --- writing ---

    def send(self, operation: Operation, fits: About) -> Answer:
        """Send an operation's frozen calls.

        The prerequisites are sent first; the first call that Stripe does not do ends the operation with its answer.
        `fits` checks the reply to the last call. Raises BadKey, MissingPermission or WrongAccount.
        """
        *_, last = calls = operation.calls
        if (run := dry_run()) is not None:
            run.do_not_send(calls)
        for call in calls:
            own = fits if call is last else _whatever
            answer = self.write_once_more(call, own, operation.api_version)
            if not isinstance(answer, Reply):
                break
        return answer

    def write_once_more(
        self, call: Call, fits: About, version: str | None = None, *, is_upload: bool = False
    ) -> Answer:
        """Send one request as `write` does; after a lost answer, once more with the same key."""
        answer = self.write(call, fits, version, is_upload=is_upload)
        if isinstance(answer, Unknown) and not answer.saved and not answer.retry_later:
            answer = self.write(call, fits, version, is_upload=is_upload)
            if isinstance(answer, Refusal):
                answer = replace(answer, earlier_attempt_unknown=True)
        return answer

    def write(
        self, call: Call, fits: About, version: str | None = None, *, is_upload: bool = False, bind: bool = True
    ) -> Answer:
        """Send one request that changes something, unless the caller's deadline could pass before the answer.

        Every write uses this method. A reply that does not fit counts as Unknown. Without `bind`, nothing is written
        to the database. Raises BadKey, MissingPermission or WrongAccount.
        """
        if (run := dry_run()) is not None:
            run.do_not_send([call])
        self.verify_account(bind=bind)
        client, times = (self._patient, UPLOAD) if is_upload else (self._client, TIMEOUT)
        options: dict[str, Any] = {"stripe_version": version or api_version(), **(UPLOADING if is_upload else {})}
        if call.method == "post":
            options["idempotency_key"] = call.key  # on a DELETE it has no effect

        def attempt() -> Answer:  # checks the deadline each time, because a throttle may have waited since the last
            if not in_time(times):
                return Unknown("not sent: the time limit of this request ended first")
            return self._once(client, call.method, call.path, dict(call.params), options, fits)

        return CALL_POLICY.get()(attempt)

    # --- the right account ---

    def verify_account(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongAccount unless the key belongs to the account and mode of this database.

        It reads the account once for each new key, and stores the key's digest beside the account. A database without
        an account is bound to this one, unless `bind` is false.
        """
        if self._checked and (self._bound or not bind):
            return
        with self._checking:
            key = hashlib.sha256(self._settings.stripe_secret_key.encode()).hexdigest()
            known, fresh = State.read(STRIPE), None
            if not known or key not in known["keys"]:
                answer = self._read(ACCOUNT, {}, about.at(ACCOUNT), self._reader(quick=quick))
                if not isinstance(answer, Reply):
                    raise unread(ACCOUNT, answer)
                fresh = {"account": answer.remote["id"], "livemode": self._settings.livemode}
                known = State.bind_account(**fresh, key=key) if bind else known or fresh
                if known["account"] != answer.remote["id"]:
                    raise WrongAccount(
                        f"This database belongs to the Stripe account {known['account']}, but STRIPE_SECRET_KEY is of "
                        f"{answer.remote['id']}: use that account's key, or another database."
                    )
            if known["livemode"] != self._settings.livemode:
                raise WrongAccount(
                    "This database belongs to the other mode (test or live) than STRIPE_SECRET_KEY: use a key of that "
                    "mode, or another database."
                )
            self._checked, self._bound = True, bind or fresh is None or known is not fresh

    # --- the one place where stripe-python is called and its errors are read ---

    def _reader(self, *, quick: bool) -> stripe.StripeClient:
        if quick and time_left() < sum(QUICK):
            raise CannotReadStripe("not sent: the time limit of this webhook would end first")
        return self._quick if quick else self._client

    def _read(
        self, path: str, params: dict[str, Any], fits: About, client: stripe.StripeClient | None = None
    ) -> Answer:
        return CALL_POLICY.get()(partial(self._once, client or self._client, "get", path, params, {}, fits))

    @_counted
    def _once(
        self,
        client: stripe.StripeClient,
        method: str,
        path: str,
        params: dict[str, Any],
        options: dict[str, Any],
        fits: About,
    ) -> Answer:
        started = time.monotonic()
        self.request_count += 1
        expanded = frozenset(name.removeprefix("data.") for name in params.get("expand", ()))
        asked = Asked(options.get("stripe_version", api_version()), expanded)
        wrong: str | None = None
        base = options.get("base", "api")
        try:
            response = client.raw_request(
                method, path, **{Name(name): each for name, each in params.items()}, **options
            )
            headers: Mapping[str, str] = response.headers
            if not (isinstance(response.data, dict) and (is_deleted(response.data) or KINDS & response.data.keys())):
                return Unknown("Stripe's answer could not be read")
            wrong = fits(response.data)
            answer: Answer = read_reply(response.data, response.headers, started, asked)
        except stripe.AuthenticationError as error:
            raise BadKey from error
        except stripe.PermissionError as error:
            raise MissingPermission(
                f"STRIPE_SECRET_KEY may not {method.upper()} {path}: {error.user_message}"
            ) from error
        except (stripe.InvalidRequestError, stripe.CardError) as error:
            headers = error.headers or {}
            answer = read_refusal(error, started, asked, alone=not params.keys() - {"expand"})
            # The answer to a POST repeats its key, and may name what is not in it: an invoice's payment method, say.
            if (
                method != "post"
                and isinstance(answer, Refusal)
                and misses_another(answer.problem["message"], path, params)
            ):
                wrong = "another's refusal"
        except stripe.StripeError as error:
            headers = error.headers or {}
            answer = read_unknown(error, self._bases[base])
        except (AttributeError, TypeError, ValueError) as error:  # stripe-python fails on the answers of some proxies
            return Unknown(f"Stripe's answer could not be read ({type(error).__name__})")
        if wrong := ("another's key" if is_of_another(headers, options.get("idempotency_key")) else wrong):
            return self._not_ours(method, path, wrong)
        self._note(answer, base)
        return answer

    def _not_ours(self, method: str, path: str, wrong: str) -> Unknown:
        """Log it, and abandon the connection: every further answer on it may belong to the request before."""
        self._part()
        message = f"Stripe's answer is about something else ({wrong})"
        log.error(
            "%s %s: %s: a proxy, a cache or another process uses our connection; this counts as no answer",
            *(method.upper(), path, message),
        )
        return Unknown(message)

    def _note(self, answer: Answer, base: str) -> None:
        """Log why Stripe does not answer, once for each reason, and when it answers again."""
        silent = str(answer.silence) if isinstance(answer, Unknown) and answer.silence else None
        if silent == self._silent.get(base):
            return
        self._silent[base] = silent
        of_files = " to uploads" if base == "files" else ""
        if silent:
            log.error("Stripe does not answer%s: %s", of_files, silent)
        else:
            log.info("Stripe answers%s again", of_files)


def _whatever(remote: dict[str, Any]) -> None:
    """Accept any reply to a prerequisite: only its idempotency key is checked."""
