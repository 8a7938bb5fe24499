"""Erases a person: deletes their customer at Stripe, and removes their personal data from the rows here.

Ids, amounts, states and times stay, for accounting. Every step is idempotent, so a killed run is simply started again.
Reconcile continues until no personal data is left, and checks once more some time later, because requests that were in
flight at the beginning may still have written something.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from stripe_mongo_sync.models import Customer, Delivery, Erasure, Event, StagedDocument, State, Status, UsageRecord
from stripe_mongo_sync.models.base.resource import is_id
from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.models.rows.sure import sure
from stripe_mongo_sync.models.username import folded_before
from stripe_mongo_sync.sync.engine.saga import delete
from stripe_mongo_sync.sync.errors import InProgress, NotDeletable, NotFound, NotPossible, Refused
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.personal.persons import PersonalRows, personal_rows, read
from stripe_mongo_sync.sync.process.stop import STOP


@dataclass
class Erased:
    """The result of a run, or of a dry run."""

    id: ObjectId
    counts: Counter[str] = field(default_factory=Counter)
    waiting_for: list[str] = field(default_factory=list)  # what is still in progress, and was not changed
    would_delete: str | None = None  # of a dry run: what it would delete at Stripe
    dry: bool = False

    @property
    def exit_code(self) -> int:
        """0 no personal data is left here, 1 something is still in progress."""
        return 1 if self.waiting_for else 0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        waiting = {"waiting_for": self.waiting_for, "waits": self.waiting_for}  # `waits` is an old name, until 0.3
        told = {"id": str(self.id), "counts": dict(self.counts), **waiting, "exit_code": self.exit_code}
        return {**told, "would_delete": self.would_delete} if self.dry else told

    @property
    def lines(self) -> list[str]:
        """What the command prints without `--json`."""
        told = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items())) or "nothing"
        lines = [f"customer {self.id}: {'would erase' if self.dry else 'erased'} {told}"]
        if self.would_delete:
            lines.append(f"would first delete {self.would_delete} at Stripe, which cancels its subscriptions")
        lines += [f"✘ {what}" for what in self.waiting_for]
        return [*lines, "run the command again when that has ended"] if self.waiting_for else lines


def erase(reference: str, *, dry: bool = False) -> Erased:
    """Erase the customer with this username, our id or Stripe's, even if it was deleted.

    Raises NotFound; NotPossible when Stripe refuses the deletion or an operation is in progress, so the customer stays.
    """
    customer = customer_of(reference)
    if customer.is_current:
        _require_idle(customer)
    found = rows_of_customer(customer, dry=dry)
    if dry:
        deleted = customer.stripe_id if customer.is_current else None
        return Erased(customer.id, found.counts, dry=True, would_delete=deleted)
    erasure = Erasure.begin(customer.id, found.known)
    if customer.is_current:
        customer = _deleted(customer, erasure)
        if customer.is_current:
            told = f"{customer.stripe_id} is being deleted at Stripe: the outcome is not known yet"
            return Erased(customer.id, waiting_for=[told])
    return scrub(erasure)


def customer_of(reference: str) -> Customer:
    """Return the current customer with this id or name, else the last that had it. Raises NotFound or NotPossible.

    A chosen Stripe id may also be the former username of another customer. That is NotPossible, because nobody may be
    erased by a guess.
    """
    if (live := Customer.by_username(reference)) is not None:
        return live
    named = next(iter(Customer.with_username(reference, is_current=False)), None)
    of_id = Customer.by_stripe_id(reference) if is_id(reference) else None
    if named is not None and of_id is not None and named.id != of_id.id:
        told = f"That was the name of customer {named.id}, and is Stripe's id of {of_id.id}: say which of these."
        raise NotPossible(told)
    if (found := named or of_id) is None:
        raise NotFound("There is no such customer. An erased customer is found by the document's id only.")
    return found


def rows_of_customer(customer: Customer, *, dry: bool) -> PersonalRows:
    """Find all rows of a customer's person. Unless `dry`, what is read gets its owners, where it had none."""
    return personal_rows({customer.id, *_of_the_same_name(customer)}, _named(customer), dry)


def _require_idle(customer: Customer) -> None:
    operation = customer.operation
    if customer.review_reason is not None:
        raise NotPossible(f"Customer {customer.id} is in review: resolve that first, see `operations list --review`.")
    if customer.status == Status.PENDING or (operation is not None and operation.verb not in ("update", "delete")):
        raise NotPossible(f"An operation is in progress on customer {customer.id}: wait until it has ended.")


def _deleted(customer: Customer, erasure: Erasure) -> Customer:
    if customer.operation is not None and customer.operation.verb == "delete":
        return customer  # begun before: reconcile resolves it
    try:
        deleted = delete(customer)
    except NotFound:
        return customer.fetch_latest()  # another process deleted it
    except (Refused, InProgress, NotDeletable) as error:
        if not erasure.cancel():
            log.info("the erasure of customer %s was asked for again", customer.id)
        raise NotPossible(f"The customer stays: {error}") from error
    return sure(deleted, Customer)


def scrub(erasure: Erasure) -> Erased:
    """Remove the personal data from all rows of a person, except those with work in progress.

    The customer's own document comes last, because a run that continues finds the others by its username.
    """
    customer = Customer.objects(id=erasure.id).first()
    same = _of_the_same_name(customer) if customer else ()
    found = personal_rows({erasure.id, *same}, set(erasure.stripe_ids))
    erasure = Erasure.begin(erasure.id, found.known) if found.known > set(erasure.stripe_ids) else erasure
    done = Erased(erasure.id)
    _rows(found, done)
    for model, ids in found.documents.items():
        for id in ids - {erasure.id}:
            STOP.here()
            _document(model, id, done)
    _document(Customer, erasure.id, done)
    while True:  # what others were writing when their documents were not erased yet
        documents = done.counts.keys() - {Event.plural(), Delivery.plural(), UsageRecord.plural()}
        erasure.wait(erased=any(done.counts[name] for name in documents))
        late = personal_rows({erasure.id}, set(erasure.stripe_ids))
        _rows(late, done)
        if late.known <= set(erasure.stripe_ids):
            break
        erasure = Erasure.begin(erasure.id, late.known)
    State.forget_places(erasure.stripe_ids)
    done.counts = +done.counts
    if not done.waiting_for and erasure.record_clean_pass() is None:
        log.info("the erasure of customer %s was asked for again", erasure.id)
    return done


def continue_erasures() -> int:
    """Continue unfinished erasures, and check finished ones once more; return how many rows were scrubbed."""
    count = 0
    for erasure in Erasure.overdue(clock.now()):
        claimed = erasure.claim()
        customer = Customer.objects(id=erasure.id).first()
        if claimed is None or (customer is not None and customer.is_current):
            continue  # to delete somebody is the operator's: `status` tells them that it was not finished
        count += scrub(claimed).counts.total()
    return count


def _named(customer: Customer) -> set[str]:
    return {id for id in (customer.stripe_id, *customer.orphans, *customer.undone_orphans) if id}


def _of_the_same_name(customer: Customer) -> set[ObjectId]:
    """Return the tombstones with the same username: attempts to create this customer, or earlier customers."""
    if customer.username is None:
        return set()
    name = folded_before(customer.username)  # of an old name that only looks the same, nobody knows whose it was
    return {
        one.id
        for one in Customer.with_username(customer.username, is_current=False)
        if folded_before(str(one.username)) == name
    }


# --- what is taken from them ---


def _document(model: type[StagedDocument], id: ObjectId, done: Erased) -> None:
    while (document := model.objects(id=id).first()) is not None:
        if not document.is_idle:
            verb = document.operation.verb if document.operation else document.status
            done.waiting_for.append(f"{model.resource.kind} {id} waits for its {verb} to end")
            return
        erased = document.erase()
        if erased is not None:
            done.counts[model.plural()] += erased is not document
            return


def _rows(found: PersonalRows, done: Erased) -> None:
    done.counts[Event.plural()] += sum(map(_event, found.events))
    done.counts[Delivery.plural()] += sum(map(_delivery, found.deliveries))
    done.counts[UsageRecord.plural()] += sum(map(_usage, found.usage))


def _event(id: str) -> bool:
    while (row := Event.objects(id=id).first()) is not None and row.erased_at is None:
        if row.erase({**(read({"raw": row.raw}) or {}), "id": row.id, "type": row.type}) is not None:
            return True
    return False


def _delivery(id: str) -> bool:
    while (row := Delivery.objects(id=id).first()) is not None and row.erased_at is None:
        if row.erase() is not None:
            return True
    return False


def _usage(id: ObjectId) -> bool:
    while (row := UsageRecord.objects(id=id).first()) is not None and row.erased_at is None:
        if row.erase() is not None:
            return True
    return False
