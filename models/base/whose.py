"""Finds the customer to whom an object belongs, by Stripe's own fields.

Free text (metadata, a description, a name) is never searched, because it may mention anybody. An id is accepted in any
form: an id from before 2018, or of an import, may be any text, and may also be the id of another type's object. The
tables below list the fields; tests/contract/test_whose.py compares them with all types of stripe-python.

Each document, event and delivery stores these ids in the indexed field `owners`, from its first write on, so that an
erasure reads only what a person has. Whoever changes the tables adds a migration that computes them again.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from stripe_mongo_sync.models.base.resource import KINDS, is_id
from stripe_mongo_sync.models.rows.clock import Expression
from stripe_mongo_sync.models.rows.scrub import ID

Json = Mapping[str, Any]
CUSTOMER = "customer"
DEEPEST = 3  # levels of expanded objects, each inside the one before


def _paths(listed: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in listed.split())


# Paths to fields: `*` stands for any name, and the items of a list have the path of the list.
# The fields in which objects of any kind name their customer.
CUSTOMERS = _paths(
    """
    customer customer_account related_customer customer_details.customer customer_details.customer_account
    account_holder.customer account_holder.customer_account owner.customer owner.customer_account
    three_d_secure.customer usage_threshold.filters.customer
    """
)
# The fields that name the object of which this one is a part: if it names no customer, that object decides.
PART_OF = _paths(
    """
    charge payment_intent setup_intent invoice subscription subscription_schedule schedule quote checkout_session
    payment_record payment_method source mandate credit_grant credit_note refund dispute fee file transfer
    verification_session originating_transaction source_charge
    source_transaction source_transaction.refund source_transaction.dispute fee_source.charge
    credit.credits_application_invoice_voided.invoice debit.credits_applied.invoice
    payment.charge payment.payment_intent payment.payment_record payment_method_details.payment_method
    """
)
# The fields that name what only one person uses, such as a card: after it is detached, it may name no customer.
USED = _paths(
    """
    payment_method default_payment_method source default_source sources.data invoice_settings.default_payment_method
    default_settings.default_payment_method phases.default_payment_method payment_method_details.payment_method
    payment_method_details.*.generated_sepa_debit payment_method_details.*.generated_card
    evidence.* document.files selfie.document selfie.selfie
    """
)
ONE_PERSONS = ("pm_", "card_", "src_", "ba_", "file_")  # the prefixes of such ids
# The fields of a stored document from which its owners follow.
NAMING = frozenset(("stripe", "stripe_id", "operation", *(path[0] for path in (*CUSTOMERS, *PART_OF))))
NOBODY = ""  # in place of no owner: to an index, an empty list is like a missing one, by which old rows are found
QUOTED = re.compile(rb'"(?=((?:[^"\\]|\\.)*)")')  # also what begins where another ends


def listed(owners: Iterable[str]) -> list[str]:
    """Return the value of the field `owners` of a row."""
    return sorted(owners) or [NOBODY]


def named_by(owners: Iterable[str]) -> dict[str, Any]:
    """Return the query of the rows that have one of these owners, and of rows without the field, of an older version.

    The latter belong to anybody until they were read.
    """
    return {"owners": {"$in": [*sorted(owners), None]}}


def owners(remote: Json, depth: int = DEEPEST) -> set[str]:
    """Return the ids that show whose an object is: of its customer; else its own, and of what it is a part of."""
    id, kind = remote.get("id"), remote.get("object")
    if kind == CUSTOMER:
        return _ids([id])
    if customers := _ids(_at_any(remote, CUSTOMERS)):
        return customers
    model = KINDS.get(str(kind))
    named = () if model is not None and model.resource.accepts_custom_id else (id,)  # a coupon's may equal a customer's
    above = list(_at_any(remote, PART_OF))
    shown = (owners(part, depth - 1) for part in above if isinstance(part, Mapping) and depth)
    return _ids([*named, *above]).union(*shown)


def uses(remote: Json) -> set[str]:
    """Return the ids in an object of what only its owner uses: cards, bank accounts, files, their customer account."""
    account = _ids([remote.get("customer_account")]) if remote.get("object") == CUSTOMER else set()
    return account | {*filter(_is_one_persons, _ids(_at_any(remote, USED)))}


def _is_one_persons(id: Any) -> bool:
    return is_id(id) and id.startswith(ONE_PERSONS) and ID.fullmatch(id) is not None


def owners_of_event(event: Json) -> set[str]:
    """Return the ids that show whose an event is: the owners of its object, and its previous customers."""
    return owners_of_object(event) | owners_before(event)


def owners_of_object(event: Json) -> set[str]:
    """Return the ids that show whose the object of an event is."""
    remote = _data(event).get("object")
    return owners(remote) | left_by(event) if isinstance(remote, Mapping) else set()


def left_by(event: Json) -> set[str]:
    """Return the previous customers of what only one person uses, if the event shows that it has no customer now.

    A detached card still shows the person's name, and Stripe lets no other customer have it.
    """
    remote = _data(event).get("object")
    if not isinstance(remote, Mapping) or not _is_one_persons(remote.get("id")) or _ids(_at_any(remote, CUSTOMERS)):
        return set()
    return owners_before(event)


def owners_before(event: Json) -> set[str]:
    """Return the previous customers of an object, if its event shows that it has another customer now, or none."""
    before = _data(event).get("previous_attributes")
    return _ids(_at_any(before, CUSTOMERS)) if isinstance(before, Mapping) else set()


def quoted(raw: bytes) -> set[str]:
    """Return every text in quotes in the body of an event that is no JSON, so that nobody can tell whose it is."""
    found = set()
    for text in QUOTED.findall(raw):
        with suppress(ValueError):
            found.add(json.loads(b'"%b"' % text))
    return {id for id in found if is_id(id)}


def owners_of_document(kind: str, row: Json) -> set[str]:
    """Return the ids that show whose a stored document is: by its snapshot, its fields and its staged parameters."""
    if kind == CUSTOMER:
        return _ids([row.get("stripe_id")])
    sights = _sights(kind, row)
    customers = set().union(*(_ids(_at_any(sight, CUSTOMERS)) for sight in sights))
    return customers or set().union(*map(owners, sights))


def owners_after(kind: str, row: Json, changes: Json) -> dict[str, Any]:
    """Return the change of a document's `owners` that follows from other changes; {} if none does.

    Of the stored `row` it needs `owners`, and the fields of `NAMING`; what is changed by an expression stays as it is.
    """
    news = {name: changes[name] for name in NAMING & changes.keys() if not isinstance(changes[name], Expression)}
    owned = listed(owners_of_document(kind, {**row, **news}))
    return {} if owned == row.get("owners") else {"owners": owned}


def used_by(kind: str, row: Json) -> set[str]:
    """Return what `uses` returns, for a stored document."""
    return set().union(*map(uses, _sights(kind, row)))


def _sights(kind: str, row: Json) -> list[Json]:
    staged = row.get("operation") or {}
    calls = [staged, *(staged.get("prerequisites") or ())] if isinstance(staged, Mapping) else []
    params = [call.get("params") for call in calls if isinstance(call, Mapping)]
    named = {"id": row.get("stripe_id"), "object": kind}
    shown = [row, row.get("stripe"), *params]
    return [{**sight, **named} for sight in shown if isinstance(sight, Mapping)]


def _data(event: Json) -> Json:
    data = event.get("data")
    return data if isinstance(data, Mapping) else {}


def _ids(values: Iterable[Any]) -> set[str]:
    """Return the ids of these values, each of which may be an id or an expanded object."""
    given = (value.get("id") if isinstance(value, Mapping) else value for value in values)
    return {id for id in given if is_id(id)}


def _at_any(remote: Json, paths: tuple[tuple[str, ...], ...]) -> Iterator[Any]:
    for path in paths:
        if path[0] in remote:
            yield from _at(remote, path)


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for part in value:
            yield from _at(part, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        names = value if path[0] == "*" else (path[0],)
        for name in names:
            if name in value:
                yield from _at(value[name], path[1:])
