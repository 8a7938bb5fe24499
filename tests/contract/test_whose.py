"""Where an object names whose it is, is what stripe-python says: no reference to a customer, or to what is theirs, is
missed.
"""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
import stripe

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.whose import CUSTOMERS, ONE_PERSONS, PART_OF, USED

LIBRARY = Path(stripe.__file__).parent
KEPT = sorted(kind for kind, model in kinds().items() if model.resource.path or model.resource.mirrored)
AN_OBJECT = re.compile(r'OBJECT_NAME: ClassVar\[Literal\["([\w.]+)"\]\]')
# Kinds that belong to at most one customer. All others belong to the shop, or to many: a price, a payout, an account.
THEIRS = {
    *("Charge", "PaymentIntent", "SetupIntent", "Invoice", "Subscription", "SubscriptionSchedule", "Quote", "Session"),
    *("PaymentMethod", "PaymentRecord", "Refund", "RefundResource", "Dispute", "DisputeResource", "CreditNote"),
    *("Mandate", "Source", "CreditGrant", "File", "ApplicationFee", "VerificationReport", "Discount"),
    *("CustomerBalanceTransaction", "CustomerCashBalanceTransaction"),
}
NAMING = {"customer", "customer_account", "related_customer"}
# Fields that name the owner of an object by an id of type string.
TEXTS = {
    *("charge", "customer", "customer_account", "related_customer", "payment_intent", "payment_method", "invoice"),
    *("subscription", "source", "verification_session"),
}
# References that do not name the owner of the object that has them.
NOTHING_SAID = {
    "terminal.reader": "what it does at the moment: it is the shop's",
    "account": "of an account, not of a customer",
    "person": "likewise",
    "issuing.cardholder": "likewise",
    "issuing.dispute": "likewise",
    "issuing.transaction": "its dispute is one of Issuing",
    "issuing.personalization_design": "a logo",
    "terminal.configuration": "a splash screen",
    "payout": "of many people",
    "transfer.destination_payment": "in another account",
    "treasury.inbound_transfer": "the shop's own money",
    "treasury.outbound_transfer": "likewise",
    "treasury.outbound_payment": "likewise",
}
# Further references of objects that name their customer. Their targets name the customer, too, directly or not.
DOWNWARDS = re.compile(
    r"latest_\w+|(failure_)?balance_transaction|last_\w+_error\..*|application_fee|schedule|mandate|single_use_mandate|"
    r".*\.mandate|.*generated_sepa_debit_mandate|.*discounts?|.*\.discount|discounts|pending_setup_intent|"
    r"customer_balance_transaction|.*generated_from\.\w+|from_(invoice|quote)\.\w+|.*credit_balance_transaction|"
    r"adjusted_for_overdraft\..*|.*\.refund|.*_to_payment\..*|.*_from_payment\..*|parent\..*|proration_details\..*|"
    r"flow\..*|payment_record|invoice|subscription|charge|payment_intent|setup_intent|subscription_schedule|"
    r"tax\.location\.source|credit_note|checkout_session|review|last_verification_report"
)


@cache
def sources() -> dict[str, str]:
    """Return the source of each kind's class."""
    texts = (file.read_text() for file in LIBRARY.rglob("_*.py") if not file.name.endswith("_params.py"))
    return {found[1]: text for text in texts if (found := AN_OBJECT.search(text))}


@cache
def references(kind: str) -> list[tuple[str, set[str]]]:
    """Yield the fields of a kind that are ids of other objects, with the classes of these."""
    classes = [node for node in ast.parse(sources().get(kind, "")).body if isinstance(node, ast.ClassDef)]
    for own in classes:
        inner = {node.name: node for node in ast.walk(own) if isinstance(node, ast.ClassDef) and node is not own}
        if any("OBJECT_NAME" in ast.unparse(node) for node in own.body if isinstance(node, ast.AnnAssign)):
            return list(_references(own, inner, ""))
    return []


def _references(of: ast.ClassDef, inner: dict[str, ast.ClassDef], above: str) -> Iterator[tuple[str, set[str]]]:
    for node in of.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)) or above.count(".") > 4:
            continue
        path, told = f"{above}{node.target.id}", ast.unparse(node.annotation)
        if "ExpandableField[" in told:
            yield path, set(re.findall(r"\b[A-Z]\w+", told)) - {"Optional", "ExpandableField", "List", "Union"}
        elif node.target.id in TEXTS and re.fullmatch(r"'?(Optional\[)?str\]?'?", told):
            yield path, {"a text"}
        for name in set(re.findall(r"\b[A-Z]\w+", told)) & inner.keys():
            if inner[name] is not of:
                yield from _references(inner[name], inner, f"{path}.")


def is_in(path: str, table: tuple[tuple[str, ...], ...]) -> bool:
    parts = path.split(".")
    return any(
        len(each) == len(parts) and all(a in ("*", b) for a, b in zip(each, parts, strict=True)) for each in table
    )


def said_of(kind: str, path: str) -> bool:
    return not {kind, f"{kind}.{path}"} & NOTHING_SAID.keys()


@pytest.mark.parametrize("kind", KEPT)
def test_every_place_that_says_whose_an_object_is_is_known(kind: str) -> None:
    found = [(path, of) for path, of in references(kind) if said_of(kind, path)]
    customers = [path for path, of in found if "Customer" in of or path.rpartition(".")[2] in NAMING]

    assert [path for path in customers if not is_in(path, CUSTOMERS)] == []
    others = [path for path, of in found if path not in customers and of & (THEIRS | {"a text"})]
    missed = [path for path in others if not is_in(path, PART_OF) and not is_in(path, USED)]
    assert [path for path in missed if not (customers and DOWNWARDS.fullmatch(path))] == []


def test_the_library_was_read() -> None:
    read = {kind: references(kind) for kind in KEPT}
    assert sum(map(len, read.values())) > 250
    assert sum(any("Customer" in of for _, of in found) for found in read.values()) > 20
    assert ("evidence.receipt", {"File"}) in read["dispute"]


def test_every_exception_is_one() -> None:
    for name in NOTHING_SAID:
        kind = next(kind for kind in KEPT if name == kind or name.startswith(f"{kind}."))
        assert references(kind), name


def test_whoever_changes_where_owners_are_named_has_the_stored_owners_computed_again() -> None:
    told = "add a migration that gives each row its `owners` anew (sync/runs/migrations.py), and then this digest"
    digest = sha256(json.dumps([CUSTOMERS, PART_OF, ONE_PERSONS]).encode()).hexdigest()[:12]
    assert digest == "64933255efbd", f"{told}: {digest}"
