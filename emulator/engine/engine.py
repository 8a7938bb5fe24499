"""Passes a request through Stripe's layers: authentication, rate limit, idempotency, validation, execution."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from stripe_mongo_sync.emulator.engine import calls, expand, thin
from stripe_mongo_sync.emulator.engine.auth import KeyCheck
from stripe_mongo_sync.emulator.engine.calls import Call
from stripe_mongo_sync.emulator.engine.execution import Execution
from stripe_mongo_sync.emulator.engine.faults import Fault, Faults
from stripe_mongo_sync.emulator.engine.limiter import Limiter
from stripe_mongo_sync.emulator.engine.scheduler import run_due
from stripe_mongo_sync.emulator.protocol import errors, replies, versions
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.forms import params_of, shown
from stripe_mongo_sync.emulator.protocol.render import rendered
from stripe_mongo_sync.emulator.protocol.values import VERSIONS
from stripe_mongo_sync.emulator.protocol.wire import ConnectionCut, CutKind, Json, LogEntry, Reply, Request
from stripe_mongo_sync.emulator.state.clock import Clock
from stripe_mongo_sync.emulator.state.deferred import DeferredWork
from stripe_mongo_sync.emulator.state.events import EventLog
from stripe_mongo_sync.emulator.state.idempotency import Keys, saved_body
from stripe_mongo_sync.emulator.state.ids import Ids
from stripe_mongo_sync.emulator.state.store import Realm, Store
from stripe_mongo_sync.emulator.state.webhooks import Webhooks

BEFORE: dict[str, CutKind] = {"cut_before": "reset", "timeout_before": "timeout", "refuse": "refused"}
AFTER: dict[str, CutKind] = {"cut_after": "reset", "timeout_after": "timeout"}
LOG_SIZE = 100_000  # requests in the log


class Engine:
    """Answers requests. One lock guards all state, and no thread waits for anything else while it holds it."""

    def __init__(self, store: Store, seed: int, account: str, api_version: str) -> None:
        self.store = store
        self.lock = threading.RLock()
        meta = store.table("meta")
        saved = meta.get("clock", {"offset": 0.0})
        self.clock = Clock(saved["offset"], self._moved)
        self.account: str = meta.get("account", {"id": account})["id"]
        self.ids = Ids(store, seed)
        self.faults = Faults()
        self.key_check = KeyCheck()
        self.limiter = Limiter()
        self.keys = Keys()
        self.events = EventLog(self.clock, self.ids.draw, api_version)
        self.events.chance = self.faults.chance
        self.webhooks = Webhooks(
            store, self.clock, seed, self.faults.chance, self.state, thin.notification, thin.admission
        )
        self.deferred = DeferredWork(store, self.clock.now)
        self.renderings = itertools.count(1)
        self.api_version = api_version
        self.log: deque[LogEntry] = deque(maxlen=LOG_SIZE)

    @contextmanager
    def state(self) -> Iterator[None]:
        """Hold the lock while state is read and written; commit at the end."""
        with self.lock:
            try:
                yield
            finally:
                self.store.commit()

    def _moved(self, offset: float) -> None:
        with self.state():
            self.store.put("meta", "clock", {"offset": offset})
            self.release_late_requests(due=True)

    def realm(self, livemode: bool = False, account: str | None = None) -> Realm:
        return Realm(self.store, account or self.account, livemode)

    def execution(self, realm: Realm, cause: Json | None) -> Execution:
        return Execution(realm, int(self.clock.now()), self.ids.draw, self._announce, cause)

    def _execution_at(self, realm: Realm, second: int) -> Execution:
        """Return the effects of work that was due at this second. No request is their cause."""
        ctx = self.execution(realm, None)
        ctx.second = second
        return ctx

    def _announce(self, realm: Realm, type: str, object: Json, previous: Json | None, cause: Json | None) -> None:
        if type == thin.PING:  # of the v2 API: no list of /v1/events has it
            self.webhooks.send(realm, object["related_object"]["id"], object)
            return
        shown = rendered(expand.without_includes(object), self.renderings)
        for row in self.events.record(realm, type, shown, previous, cause):
            self.webhooks.enqueue(realm, row, self.realm(realm.livemode))

    def answer(self, request: Request) -> Reply:
        """Return Stripe's reply. Raises ConnectionCut if the connection ends without one."""
        with self.state():
            self.release_late_requests(due=True)
            entry = self._entry(request)
            fault = self.faults.pick(entry)
            entry.fault = fault.name if fault is not None else None
            if fault is None or fault.name != "refuse":
                self.log.append(entry)
            self._before(request, fault)
        trouble = fault.name if fault is not None else None
        if trouble == "503_edge":
            entry.status = 503
            return replies.EDGE
        reply = self._layers(request, entry, fault)
        if fault is not None and trouble in ("slow_after", "hold_after"):
            _wait(fault)
        if fault is not None and trouble in AFTER:
            raise ConnectionCut(AFTER[fault.name], fault.seconds)
        entry.status = reply.status
        return replies.corrupted(reply, trouble)

    def _entry(self, request: Request) -> LogEntry:
        headers = request.headers
        entry = LogEntry(
            method=request.method,
            path=request.path,
            request_id="req_" + self.ids.draw(14, "base62"),
            at=self.clock.now(),
            key=headers.get("idempotency-key") or None,
            version=headers.get("stripe-version"),
            on_behalf=headers.get("stripe-account"),
        )
        try:
            entry.kind = calls.route(request.method, request.path).row.kind
            entry.params = shown(params_of(request))
        except Problem:
            pass  # `_layers` refuses it, after authentication
        return entry

    def _before(self, request: Request, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.name in BEFORE:
            raise ConnectionCut(BEFORE[fault.name], fault.seconds)
        if fault.name == "late_request":
            self.deferred.postpone(self.ids.draw(14, "base62"), request, fault.seconds)
            raise ConnectionCut("timeout")

    def _layers(self, request: Request, entry: LogEntry, fault: Fault | None) -> Reply:
        key, realm, claimed = None, self.realm(), False
        original = entry.request_id
        try:
            with self.state():
                if fault is not None and fault.name == "refuse_401":
                    raise errors.unauthorized("sk_test_refused_by_fault")
                secret, livemode = self.key_check.admit(request.headers.get("authorization"))
                realm = self.realm(livemode, entry.on_behalf)
                entry.livemode, entry.account = livemode, realm.account
                if entry.version is not None:
                    versions.check(entry.version)
                if (fault is not None and fault.name == "rate_limit") or self.limiter.exceeded(realm, self.clock.now()):
                    raise errors.rate_limited()
                call = calls.route(request.method, request.path)
                if fault is not None and fault.name == "refuse_403":
                    raise errors.forbidden(secret, realm.account, f"rak_{call.row.kind}_write")
                self.key_check.allow(secret, realm.account, call.row.kind, request.method)
                raw = params_of(request)
                if entry.key is not None and request.method == "POST":
                    key = entry.key
                    if fault is not None and fault.name == "idempotency_in_use":
                        raise errors.key_in_use(key)
                    saved = self.keys.begin(realm, key, request.path, raw, self.clock.now())
                    if saved is not None:
                        entry.replayed, original = True, saved["request_id"]
                        return self._reply(entry, saved["status"], saved_body(saved), original)
                    claimed = True
            if fault is not None and fault.name in ("slow", "hold"):
                _wait(fault)
            with self.state():
                return self._run(request, entry, call, realm, raw, key, fault)
        except Problem as problem:
            body = replies.as_bytes(problem.body())
            return self._reply(entry, problem.status, body, original, problem.headers)
        finally:
            if claimed and key is not None:
                self.keys.end(realm, key)

    def _run(
        self,
        request: Request,
        entry: LogEntry,
        call: Call,
        realm: Realm,
        raw: Json,
        key: str | None,
        fault: Fault | None,
    ) -> Reply:
        params = calls.validate(call, raw, self._version(entry))
        headers: dict[str, str] = {}
        try:
            body = self._execute(request, entry, call, realm, params, key, fault)
            status = 200
        except Problem as problem:
            if not problem.stored:
                raise
            body, status, headers = problem.body(), problem.status, problem.headers
        sent = replies.as_bytes(body)
        if status == 200 and call.way is not None and call.way.media:
            sent, headers = body["content"].encode("latin-1"), {"Content-Type": call.way.media}
        reply = self._reply(entry, status, sent, entry.request_id, headers)
        if key is not None:
            self.keys.save(realm, key, request.path, raw, self.clock.now(), entry.request_id, reply)
        return reply

    def _execute(
        self,
        request: Request,
        entry: LogEntry,
        call: Call,
        realm: Realm,
        params: Json,
        key: str | None,
        fault: Fault | None,
    ) -> Json:
        match fault.name if fault is not None else None:
            case "lock_timeout":
                raise errors.lock_timeout()
            case "decline":
                raise errors.declined()
            case "missing" if call.verb in ("get", "part"):
                raise errors.no_such(call.row.name(), call.part or call.id)
            case "500_before":
                raise errors.broken()
            case "500_repair":
                work = {"method": request.method, "path": request.path, "raw": params_of(request), "key": key}
                work["version"] = self._version(entry)
                self.deferred.add_repair(
                    entry.request_id, work | {"account": realm.account, "livemode": realm.livemode}
                )
                raise errors.broken()
        writes = request.method != "GET"
        cause = {"id": entry.request_id, "idempotency_key": key} if writes else None
        result = calls.execute(call, self.execution(realm, cause), params, self.events, request.path)
        if not call.reads_events:
            result = rendered(result, self.renderings)
        if fault is not None and fault.name == "500_after":
            raise errors.broken()
        return result

    def _version(self, entry: LogEntry) -> str:
        """What the request is read and answered in: the version it names, else the account's."""
        return entry.version if entry.version in VERSIONS else self.api_version

    def _reply(
        self, entry: LogEntry, status: int, body: bytes, original: str, extra: dict[str, str] | None = None
    ) -> Reply:
        return replies.reply(entry, self.clock.date(), self._version(entry), status, body, original, extra)

    def release_late_requests(self, due: bool = False) -> int:
        """Execute requests whose caller has given up (with `due`, only those whose time has come), and what is due."""
        run_due(self.store, self.clock.now, self._execution_at)
        late = self.deferred.late_requests(due)
        for request in late:
            entry = self._entry(request)
            entry.fault = "late_request"
            self.log.append(entry)
            entry.status = self._layers(request, entry, None).status
        return len(late)

    def repair(self, key: str | None, cause: Json | None) -> list[Json]:
        """Execute requests that saved a 500; `cause` is the `request` of the events (stripe-facts.md#server-errors)."""
        made = []
        for row in self.deferred.repairs(key):
            call = calls.route(row["method"], row["path"])
            ctx = self.execution(self.realm(row["livemode"], row["account"]), cause)
            with suppress(Problem):  # what it was about may be gone by now
                params = calls.validate(call, row["raw"], row.get("version", self.api_version))
                made.append(calls.execute(call, ctx, params, self.events, row["path"]))
        return made


def _wait(fault: Fault) -> None:
    fault.entered.set()
    fault.released.wait(fault.seconds if fault.name.startswith("slow") else None)
