"""A small Stripe, for the simulation in memory: objects, events, keys, and all that goes wrong on the way."""

from collections import Counter
from collections.abc import Callable
from math import ceil
from random import Random
from typing import Any

from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.models.base.facts import Observation
from stripe_mongo_sync.models.base.resource import Resource, Undo
from stripe_mongo_sync.models.rows.content import Sight
from stripe_mongo_sync.models.rows.content import digest as content_digest
from stripe_mongo_sync.sync.engine.observations import FOREVER
from stripe_mongo_sync.sync.stripe.answers import Answer, Refusal, Reply, Unknown

OURS = "sms1:ours"  # what our keys begin with
DAY = 24 * 3600
PAY_WITHIN = 20 * 60  # s: a payment that is made later would surprise its buyer
HIDDEN_FOR = 90  # s that a GET does not find what is there: less than a run, whatever the clocks do meanwhile
WRITES = (
    *("refuse", "refuse and save", "lost", "answer lost", "late", "unreadable", "busy", "refuse all"),
    *("500", "500 after", "500 to be repaired", "decline"),
)
READS = ("lost", "busy", "refuse all")

CUSTOMER = Resource("customer", "/v1/customers", (Undo.DELETE,), deletable=True)
PRODUCT = Resource("product", "/v1/products", (Undo.DELETE, Undo.ARCHIVE), deletable=True)  # two calls to change
COUPON = Resource("coupon", "/v1/coupons", (Undo.DELETE,), deletable=True, accepts_custom_id=True)
PRICE = Resource("price", "/v1/prices", (Undo.ARCHIVE,), expand=("applies_to",))
PAYMENT = Resource(
    "payment_intent", "/v1/payment_intents", (Undo.CANCEL,), moves_money_if=lambda verb, _: verb == "pay"
)
SESSION = Resource(
    "checkout.session", "/v1/checkout/sessions", (Undo.EXPIRE,), has_created_event=False, correlation_field="mark"
)
CHARGE = Resource("charge", "/v1/charges", (), mirrored=True)
DISCOUNT = Resource("discount", "", (), mirrored=True, listable=False)  # no GET reads it
KINDS = {kind.kind: kind for kind in (CUSTOMER, PRODUCT, COUPON, PRICE, PAYMENT, SESSION, CHARGE, DISCOUNT)}
PREFIXES = dict(zip(KINDS, ("cus", "prod", "", "price", "pi", "cs_test", "ch", "di"), strict=True))
STUBS = ("customer", "coupon")  # types whose deleted objects a GET shows as a stub; else it finds nothing
OURS_TO_MAKE = [kind for kind, resource in KINDS.items() if not resource.mirrored]


class CannotRead(Exception):
    """Stripe did not answer a GET, or refuses everything just now."""


class Object:
    """One object at Stripe, and what the truth about it is."""

    def __init__(self, resource: Resource, content: dict[str, Any], key: str | None, by: str, created: int) -> None:
        self.resource, self.content, self.key, self.by, self.created = resource, content, key, by, created
        self.gone = self.paid = False
        self.names = {content.get("name")}  # that it ever had
        self.hidden_until = 0.0  # GETs do not find it, although it is there

    @property
    def usable(self) -> bool:
        """Whether a buyer could use it."""
        return not self.gone and self.resource.is_usable(self.content)


class Event:
    """What Stripe tells of one change. All deliveries of it show the same."""

    def __init__(self, id: int, verb: str, object: Object, at: int, key: str | None) -> None:
        self.id, self.verb, self.object, self.at, self.key = id, verb, object, at, key
        resource, content = object.resource, object.content
        gone = verb == "deleted" and not resource.readable_after_delete
        unshown = tuple(name for name in resource.expand if name in content)
        shown = {name: value for name, value in content.items() if name not in unshown} if unshown else content
        if gone and resource.mirrored and not resource.accepts_custom_id:
            at = FOREVER
        elif resource.events_only and verb == "created":
            at -= 1
        self.seen = observation(
            f"event {id}",
            shown if not gone or resource.mirrored else None,
            content["id"],
            at,
            at,
            event=True,
            unshown=unshown,
            events_only=resource.events_only,
            deleted=gone,
            completed_key=key,
        )


UNCOUNTED = ("version", "applies_to")  # no content: the model's own count of changes, and what is shown on request only


def digest(remote: dict[str, Any]) -> str:
    """Return what is equal for equal contents, like the engine's digest, at a tenth of its time.

    Of what has a chosen id it is the engine's own, by which the engine sees whether a snapshot was edited.
    """
    if "created" in remote:
        return content_digest(remote)
    return str([value for name, value in remote.items() if name not in UNCOUNTED])


def observation(
    source: str, remote: dict[str, Any] | None, stripe_id: str, earliest: int, latest: int, **more: Any
) -> Observation:
    """Return an observation that knows its digest."""
    fields = {} if remote is None or "name" not in remote else {"name": remote["name"]}
    read = None if remote is None else Sight(remote, digest(remote), has_links=False)
    return Observation(source, stripe_id, remote, fields, earliest, latest, read=read, **more)


class Stripe:
    """Everything at Stripe, at its own time `now`, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.objects: dict[str, list[Object]] = {kind: [] for kind in KINDS}
        self.events: list[Event] = []
        self.letters: list[Event] = []  # to be delivered
        self.saved: dict[str, tuple[float, str, dict[str, Any], Any]] = {}  # key → when, path, parameters, answer
        self.overslept = False  # whether a process sent so late that nothing of this is its fault
        self.all: list[Object] = []
        self.late: list[tuple[Call, Resource, float]] = []  # requests that were given up on and still arrive
        self.repairs: list[tuple[Call, Resource]] = []  # what Stripe will do after it had answered 500
        self.made: Counter[str] = Counter()  # creations by key
        self.faults: Counter[str] = Counter()
        self.serial = 0
        self.lag = 0.0  # s that its list of events is behind
        self.first_sent: dict[str, float] = {}
        self.watch: Callable[[Call, Resource], None] = lambda call, resource: None

    # --- what it knows ---

    def find(self, resource: Resource, stripe_id: str) -> Object | None:
        """Return the object of an id: of a chosen id, the present one."""
        for object in reversed(self.objects[resource.kind]):
            if object.content["id"] == stripe_id:
                return object
        return None

    def listed(self, kind: str) -> list[Object]:
        """Return what its list of a type shows."""
        return [object for object in self.objects[kind] if not object.gone]

    def listed_events(self, since: float) -> list[Event]:
        """Return what its list of events shows."""
        return [event for event in self.events if since <= event.at <= self.now - self.lag]

    # --- what happens to it ---

    def create(self, resource: Resource, params: dict[str, Any], key: str | None, by: str) -> Object | None:
        """Make an object; None where the chosen id is taken."""
        self.serial += 1
        stripe_id = params.get("id") or f"{PREFIXES[resource.kind]}_{self.serial:08}"
        old = self.find(resource, stripe_id) if resource.accepts_custom_id else None
        if old is not None and (not old.gone or old.created == int(self.now)):  # two lives in one second look as one
            return None
        content = {"id": stripe_id, "object": resource.kind, "version": 0, "active": True, "name": params.get("name")}
        if "mark" in params:
            content["mark"] = params["mark"]
        if resource.accepts_custom_id:  # its versions go on, so that what is of the earlier object is older
            content |= {"created": int(self.now), "version": old.content["version"] + 1 if old else 0}
        if resource.expand:
            content["applies_to"] = [self.serial]
        object = Object(resource, content, key, by, int(self.now))
        self.objects[resource.kind].append(object)
        self.all.append(object)
        if resource.has_created_event:
            self._tell("created", object, key)
        return object

    def change(self, object: Object, key: str | None, **changes: Any) -> None:
        """Change an object, and tell it."""
        content = object.content
        if any(content.get(name) != value for name, value in changes.items()):
            applies = {"applies_to": content["applies_to"]} if "applies_to" in content else {}
            object.content = {**content, **changes, "version": content["version"] + 1, **applies}
            object.names.add(object.content["name"])
            object.paid |= changes.get("status") == "succeeded"
            self._tell("updated", object, key)

    def delete(self, object: Object, key: str | None = None) -> None:
        """Delete an object, and tell it."""
        object.gone = True
        self._tell("deleted", object, key)

    def _tell(self, verb: str, object: Object, key: str | None) -> None:
        event = Event(len(self.events), verb, object, int(self.now), key)
        self.events.append(event)
        self.letters.append(event)

    # --- requests ---

    def get(self, resource: Resource, stripe_id: str, fault: str | None) -> dict[str, Any] | None:
        """Answer a GET: the object, its stub, or None for a 404. Raises CannotRead."""
        self._may_fail(fault)
        object = self.find(resource, stripe_id)
        if object is None or object.hidden_until > self.now:
            return None
        if object.gone:
            return {"id": stripe_id, "deleted": True} if resource.kind in STUBS else None
        return object.content

    def _may_fail(self, fault: str | None) -> None:
        if fault is not None:
            self.faults["a GET fails"] += 1
            raise CannotRead(fault)

    def request(self, call: Call, resource: Resource, fault: str | None) -> Answer:
        """Answer a request that changes something, as far as its sender sees it. Raises CannotRead."""
        if fault is not None:
            self.faults[fault] += 1
        if call.method == "post":
            age = self.now - self.first_sent.setdefault(call.key, self.now)
            longest = PAY_WITHIN if call.path.endswith("/pay") else DAY
            assert age < longest or self.overslept, f"{call.key} is sent again after {age / 3600:.1f} h"
        match fault:
            case "lost":
                return Unknown("no answer")
            case "busy":
                return Unknown("busy", retry_later=True)
            case "refuse all":
                raise CannotRead(fault)
            case "late":
                self.late.append((call, resource, self.now))
                return Unknown("no answer")
        answer = self._answer(call, resource, fault)
        return Unknown("no answer") if fault in ("answer lost", "unreadable") else answer

    def _answer(self, call: Call, resource: Resource, fault: str | None) -> Answer:
        self.watch(call, resource)
        known = self.saved.get(call.key) if call.method == "post" else None
        if known is not None and self.now - known[0] < DAY:
            _, path, params, answer = known
            assert (path, params) == (call.path, call.params), f"one key, two requests: {call}"
            if answer == "500":
                return Unknown("Stripe failed", saved=True)
            if isinstance(answer, Refusal):
                declined = answer.declined_object
                again = declined and Reply(declined.remote, *self._bounds(), replayed=True, request_id="")
                return Refusal(answer.problem, True, answer.not_found, declined_object=again)
            return Reply(answer, *self._bounds(), replayed=True, request_id="")
        match fault:
            case "refuse":
                return refusal("no")
            case "refuse and save":
                return self._save(call, refusal("no"))
            case "500" | "500 to be repaired":
                if fault != "500":
                    self.repairs.append((call, resource))
                self._save(call, "500")
                return Unknown("Stripe failed")
        if fault == "decline" and call.path.endswith("/pay"):
            object = self.find(resource, call.path.split("/")[-2])
            done = refusal("not found", not_found=True) if object is None else object.content
        else:
            done = self.execute(call, resource, "post")
        if fault == "500 after":
            self._save(call, "500")
            return Unknown("Stripe failed")
        if isinstance(done, Refusal):
            return self._save(call, done)
        if fault == "decline" and resource.kind == "payment_intent":
            reply = Reply(done, *self._bounds(), replayed=False, request_id="")
            return self._save(
                call, Refusal({"type": "card_error", "message": "declined"}, False, False, declined_object=reply)
            )
        self._save(call, done)
        return Reply(done, *self._bounds(), replayed=False, request_id="")

    def _bounds(self) -> tuple[int, int]:
        at = int(self.now)  # its Date header
        return max(0, at - 1), ceil(at) + 1

    def _save(self, call: Call, answer: Any) -> Any:
        if call.method == "post":  # on a DELETE it has no effect
            self.saved[call.key] = self.now, call.path, call.params, answer
        return answer

    def execute(self, call: Call, resource: Resource, by: str) -> dict[str, Any] | Refusal:
        """Do what a request says. Its events carry its key, but not what Stripe repairs."""
        key = call.key or None if by == "post" else None
        path = call.path.removeprefix(resource.path)
        if not path:
            if by == "post":
                self.made[call.key] += 1
            made = self.create(resource, call.params, key, by)
            return refusal("that id is taken") if made is None else made.content
        stripe_id, _, way = path[1:].partition("/")
        object = self.find(resource, stripe_id)
        if object is None or object.gone:
            return refusal("not found", not_found=True)
        if call.method == "delete":
            self.delete(object)
            return {"id": stripe_id, "deleted": True}
        changes = {"cancel": {"status": "canceled"}, "expire": {"status": "expired"}, "pay": {"status": "succeeded"}}
        self.change(object, key, **changes.get(way, call.params))
        return object.content

    def land(self) -> None:
        """Let requests arrive whose senders have given up; none is under way for a day."""
        late, self.late = self.late, []
        for call, resource, _ in late:
            if call.method == "post" and self.now - self.first_sent[call.key] >= DAY:
                continue
            known = self.saved.get(call.key) if call.method == "post" else None
            if known is None or self.now - known[0] >= DAY:
                self.watch(call, resource)
                self._save(call, self.execute(call, resource, "post"))

    def repair(self) -> bool:
        """Do what had failed, now; the events carry no key. Return whether there was anything."""
        repairs, self.repairs = self.repairs, []
        for call, resource in repairs:
            self.execute(call, resource, "repair")
        return bool(repairs)


def refusal(why: str, *, not_found: bool = False) -> Refusal:
    """Return a certain no."""
    return Refusal({"type": "invalid_request_error", "code": None, "message": why}, False, not_found)


def draw_faults(chance: Random, names: tuple[str, ...]) -> list[str | None]:
    """Return what goes wrong with the first requests of a process."""
    if chance.random() < 0.5:
        return []
    name = names[int(chance.random() * len(names))]
    return [name] * (1 + (chance.random() < 0.5))
