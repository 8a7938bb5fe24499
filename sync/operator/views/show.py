"""Shows everything that decides about one operation: what was staged, what Stripe has, and what each remedy would do.

It reads Stripe for `READS` seconds at most, and after a request without an answer no more: then it says so.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import Customer, StagedDocument, Status, SyncedDocument
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.dry_run.run import NotRehearsed
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.clock import stopwatch
from stripe_mongo_sync.models.rows.content import shown
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.find import Finder
from stripe_mongo_sync.sync.engine.resolve import amount_of, calls_of
from stripe_mongo_sync.sync.errors import CannotReadStripe, NotPossible
from stripe_mongo_sync.sync.operator import inbox_admin, operations
from stripe_mongo_sync.sync.operator.link import side_by_side
from stripe_mongo_sync.sync.operator.plan import plan, sent
from stripe_mongo_sync.sync.process.screen import in_json, quoted, when, word
from stripe_mongo_sync.sync.process.starting import PROGRAM
from stripe_mongo_sync.sync.stripe.answers import Answer, Unknown
from stripe_mongo_sync.sync.stripe.dashboard import page_of
from stripe_mongo_sync.sync.stripe.money import amount_in, readable
from stripe_mongo_sync.sync.stripe.throttle import CALL_POLICY

READS = 20.0  # s; the request that is under way then may take 18 s more, so an answer comes within the 60 s of a proxy
MOST = 5  # candidates that are read and compared; more are only named
ABOUT = ("link", "customer", "amount", "staged", "at_stripe", "candidates")
UNSEEN: dict[str, Any] = {"found": None, "error": None, "object": None, "agrees": [], "differs": []}
Json = dict[str, Any]
NOTHING: Json = {}


def everything(id: str, *, personal: bool = True, beside: str | None = None) -> Json:
    """Return everything of a document or an event that `operations list` shows. Raises NotFound.

    `beside` is the id of an object that somebody takes for the document's: it is shown beside the candidates.

    Without `personal`, the values that are shown are those that may stay of an erased person: ids, amounts, states.
    """
    with _bounded(READS):
        if not ObjectId.is_valid(id):
            return _event(id, personal)
        entry = operations.entry_of(id)
        if entry["status"] == operations.UNREADABLE:
            return {**entry, **dict.fromkeys(ABOUT), "remedies": []}
        document = operations.document_of(id)
        told = _of(document, personal, beside)
        found = told["candidates"]["data"] if told["candidates"] else []
        return {**operations.shown(document), **told, "remedies": _remedies(document, found, personal)}


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Ask Stripe nothing more after so many seconds, or after a request that was not answered."""
    ends, silent = stopwatch() + seconds, list[Answer]()

    def ask(call: Callable[[], Answer]) -> Answer:
        if stopwatch() > ends:
            silent.append(Unknown(f"not asked: the {seconds:.0f} s for this were over"))
        answer = silent[0] if silent else call()
        silent.extend([answer] if isinstance(answer, Unknown) and not silent else [])
        return answer

    token = CALL_POLICY.set(ask)
    try:
        yield
    finally:
        CALL_POLICY.reset(token)


def _of(document: StagedDocument, personal: bool, beside: str | None) -> Json:
    operation, remote = document.operation, document.stripe or {}
    params = operation.params if operation is not None else {}
    staged = operation and {
        "verb": operation.verb,
        "since": operation.staged_at,
        "attempts": operation.attempts,
        "sent_at": operation.sent_at,
        "outcome_unknown": operation.outcome_unknown,
        "saved_error_at": operation.saved_error_at,
        "moves_money": document.resource.moves_money(operation.verb, params),
        "api_version": operation.api_version,
        "calls": [sent(call, personal=personal) for call in calls_of(document)],
    }
    customer = params.get("customer") or getattr(document, "customer", None) or remote.get("customer")
    return {
        "link": _link(document.resource.kind, document.stripe_id),
        "customer": _customer(document, customer, personal),
        "amount": _amount(amount_of(document)),
        "staged": staged,
        "at_stripe": _at_stripe(document, personal) if isinstance(document, SyncedDocument) else None,
        "candidates": _candidates(document, personal, beside) if isinstance(document, SyncedDocument) else None,
    }


def _link(kind: str, stripe_id: Any) -> str | None:
    return page_of(kind, stripe_id, livemode=current().settings.livemode) if isinstance(stripe_id, str) else None


def _customer(document: StagedDocument, stripe_id: Any, personal: bool) -> Json | None:
    """Return whom it is about, as far as that is known here."""
    if isinstance(document, Customer):
        customer: Customer | None = document
    else:
        customer = Customer.by_stripe_id(stripe_id) if isinstance(stripe_id, str) else None
    if customer is None:
        return (
            {"id": None, "username": None, "stripe_id": stripe_id, "link": _link("customer", stripe_id)}
            if (isinstance(stripe_id, str))
            else None
        )
    username = customer.username if personal else None
    known = {"id": str(customer.id), "username": username, "stripe_id": customer.stripe_id}
    return {**known, "link": _link("customer", customer.stripe_id)}


def _amount(found: tuple[int, str] | None) -> Json | None:
    """Return an amount in the minor unit, and as a person reads it."""
    return {"amount": found[0], "currency": found[1], "text": readable(*found)} if found else None


def _at_stripe(document: SyncedDocument, personal: bool) -> Json:
    """Return what Stripe shows of its object now."""
    if document.stripe_id is None or not document.path:
        return {**UNSEEN}
    return {**UNSEEN, **_looked_at(document, document.path, personal)}


def _looked_at(document: SyncedDocument, path: str, personal: bool) -> Json:
    try:
        reply = current().gateway.get(path)
    except CannotReadStripe as error:
        return {"error": str(error)}
    if reply is None or reply.gone:
        return {"found": False}
    same, differences = side_by_side(document, reply.remote)
    values = [{"name": each.name, "staged": each.staged, "at_stripe": each.at_stripe} for each in differences]
    remote = shown(reply.remote)
    return {
        "found": True,
        "amount": _amount(amount_in(reply.remote)),
        "object": remote if personal else scrub(remote),
        "agrees": same,
        "differs": values if personal else [{**each, "staged": None, "at_stripe": None} for each in values],
    }


def _candidates(document: SyncedDocument, personal: bool, beside: str | None) -> Json:
    """Return the objects that may be the document's, or that its key created beside it, as Stripe shows them now."""
    found, error = dict.fromkeys(document.orphans, "orphan"), None
    operation = document.operation
    if operation is not None and operation.verb == "create" and document.status != Status.ACTIVE:
        try:
            found |= dict.fromkeys(Finder().candidates(document, clock.now()), "candidate")
        except CannotReadStripe as failure:
            error = str(failure)
    found |= {beside: "given"} if beside is not None and is_id(beside) and beside not in found else {}
    path = document.resource.object_path
    looked = [
        {
            **{"id": id, "as": role, "link": _link(document.resource.kind, id), "amount": None, **UNSEEN},
            **(_looked_at(document, path(id, document), personal) if number < MOST or role == "given" else {}),
        }
        for number, (id, role) in enumerate(found.items())
    ]
    return {"error": error, "data": looked}


# --- what each remedy would do ---


def _remedies(document: StagedDocument, candidates: list[Json], personal: bool) -> list[Json]:
    id = str(document.id)
    told = [
        _remedy(f"operations retry {id}", lambda: operations.retry(id), personal),
        _remedy(f"operations roll-back {id}", lambda: operations.roll_back(id), personal),
    ]
    for one in candidates:
        if one["as"] != "orphan" and one["found"]:
            force = bool(one["differs"]) or document.operation is None
            command = f"operations link {id} {one['id']}{' --force' if force else ''}"
            given = {"stripe_id": one["id"], "force": force}
            told.append(_remedy(command, partial(operations.link, id, **given), personal, given))
    return told


def _remedy(command: str, act: Callable[[], Any], personal: bool, given: Json = NOTHING) -> Json:
    """Return what an act would do, or why it is not possible; `possible` is null if that cannot be told now."""
    blank: Json = {"act": command.split()[1], "command": command, "given": {**given}, "why_not": None}
    blank |= {"would": [], "writes": [], "sends": []}
    try:
        told = plan(act).as_json(personal=personal)
        return {**blank, "possible": True, **{name: told[name] for name in ("would", "writes", "sends")}}
    except NotPossible as error:
        return {**blank, "possible": False, "why_not": str(error)}
    except (CannotReadStripe, NotRehearsed) as error:
        return {**blank, "possible": None, "why_not": str(error)}


def _event(id: str, personal: bool) -> Json:
    """Return everything of an event of the inbox."""
    row = inbox_admin.event_of(id)
    return {
        **operations.dead(row),
        **dict.fromkeys(ABOUT),
        "link": _link("event", id),
        "remedies": [
            _remedy(f"events replay {id}", lambda: inbox_admin.replay(row), personal),
            _remedy(f"events ignore {id}", lambda: inbox_admin.ignore(row), personal),
        ],
    }


# --- in lines ---


def is_whole(told: Json) -> bool:
    """Whether Stripe was read as far as it was asked."""
    found = [told["at_stripe"] or {}, *((told["candidates"] or {}).get("data", ())), told["candidates"] or {}]
    return not any(each.get("error") for each in found)


def lines(told: Json) -> list[str]:
    """Return all of it as the command prints it."""
    found = [operations.line(told), *([told["link"]] if told["link"] else [])]
    if (customer := told["customer"]) is not None:
        found.append(f"customer: {' '.join(word(each) for each in customer.values() if each)}")
    if told["amount"]:
        found.append(f"amount: {told['amount']['text']}")
    if (staged := told["staged"]) is not None:
        known = "an attempt ended without an answer" if staged["outcome_unknown"] else "no attempt is in doubt"
        known = f"Stripe saved a 5xx at {when(staged['saved_error_at'])}" if staged["saved_error_at"] else known
        found.append(
            f"staged: {word(staged['verb'])} at {when(staged['since'])}, attempts {staged['attempts']}: {known}"
        )
        found += [f"  {_call(call)}" for call in staged["calls"]]
    if (own := told["at_stripe"]) is not None and told["stripe_id"]:
        found += _compared(f"at Stripe now: {word(told['stripe_id'])}", own)
    for one in (told["candidates"] or {}).get("data", ()):
        found += _compared(f"{one['as']} {word(one['id'])} {one['link']}", one)
    if error := (told["candidates"] or {}).get("error"):
        found.append(f"candidates: Stripe could not be asked: {quoted(error)}")
    for one in told["remedies"]:
        found.append(f"{PROGRAM} {one['command']}" + (f": not now: {one['why_not']}" if one["why_not"] else ""))
        found += [f"  would: {sentence}" for sentence in one["would"]]
    return found


def _call(call: Json) -> str:
    return f"{call['method'].upper()} {word(call['path'])} {in_json(call['params'])}"


def _compared(title: str, one: Json) -> list[str]:
    if one["error"]:
        return [f"{title}: Stripe could not be asked: {quoted(one['error'])}"]
    there = {None: "not read", False: "Stripe does not have it", True: "it is there"}[one["found"]]
    amount = f", {one['amount']['text']}" if one.get("amount") else ""
    same = [f"  agrees: {', '.join(one['agrees'])}"] if one["agrees"] else []
    return [f"{title}: {there}{amount}", *same, *(f"  differs: {_difference(each)}" for each in one["differs"])]


def _difference(each: Json) -> str:
    return f"{each['name']}: staged {in_json(each['staged'])}, at Stripe {in_json(each['at_stripe'])}"
