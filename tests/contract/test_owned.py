"""The registry's facts about lists agree with stripe-python: what they omit, their owners, and where they are cut."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe._object_classes import OBJECT_CLASSES

from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.owned import OWNED, UNLISTED, Owned, owned_kinds
from tests.contract.library import CALL
from tests.contract.test_mirrored import METHOD

LIBRARY = Path(stripe.__file__).parent
PARTLY = re.compile(
    r"\b(in?active|exclud\w+|open|only|unless|not been|specif\w+|include[sd]?|by default)\b", re.IGNORECASE
)
# Lists whose documentation was read by hand. The registry requests what a list omits, or says what is missing.
WHOLE = {
    "apps.install": "what other accounts have is not ours",
    "billing.alert": "active and inactive ones",
    "invoice": "all of them, or those of one customer",
    "refund": "all of them; it is charges that show ten",
    "treasury.inbound_transfer": "of one financial account, whom the walk asks",
    "treasury.outbound_payment": "likewise",
    "treasury.outbound_transfer": "likewise",
}
# Lists in an object that are shown only with `expand`, which the service does not use.
EXPANDED = {
    *("checkout.session line_items", "payment_link line_items", "quote line_items", "quote Upfront.line_items"),
    *("customer sources", "customer subscriptions", "customer tax_ids", "charge refunds", "invoice payments"),
    *("payment_intent AmountDetails.line_items",),
}
# Lists of which a snapshot has the beginning and `has_more`: their objects have own documents, or are unlimited.
CUT = {"account external_accounts", "file links", "radar.value_list list_items"}
CUT |= {"entitlements.active_entitlement_summary entitlements"}  # then `access` says that it is not certain

KEPT = {kind: model for kind, model in kinds().items() if model.resource.path or model.resource.mirrored}


def class_of(kind: str) -> Any:
    module, name = OBJECT_CLASSES[kind]
    return getattr(importlib.import_module(module), name)


def lists_in(of: Any, prefix: str = "") -> Iterator[str]:
    """Yield the fields of a class, and of the classes in it, that are list objects."""
    for name, told in of.__annotations__.items():
        if "ListObject" in str(told):
            yield prefix + name
    for name, inner in vars(of).items():
        if isinstance(inner, type) and issubclass(inner, stripe.StripeObject):
            yield from lists_in(inner, f"{name}.")


def listing_params() -> dict[str, Any]:
    """Return the parameters of the list at each path."""
    found = {}
    for file in LIBRARY.rglob("_*_service.py"):
        source = file.read_text()
        origin = {name: module for module, name in re.findall(r"from (stripe[\w.]*) import \(?\s*(\w+)", source)}
        for method, arguments, _, body in METHOD.findall(source):
            call, names = CALL.search(body), re.findall(r"\w+ListParams", arguments)
            if method == "list" and call and names:
                found[re.sub(r"\{\w+\}", "{id}", call.group(2))] = getattr(
                    importlib.import_module(origin[names[0]]), names[0]
                )
    return found


PARAMS = listing_params()


@pytest.mark.parametrize("kind", [kind for kind in KEPT if hasattr(class_of(kind), "list")])
def test_a_list_that_leaves_something_out_is_asked_for_it_or_the_registry_says_what(kind: str) -> None:
    words, resource = class_of(kind).list.__doc__ or "", KEPT[kind].resource
    found = PARTLY.findall(words)

    if kind in WHOLE:
        assert found, "nothing to explain any more"
    elif found:
        asked = {value for question in resource.list_params for value in question.values()}
        assert asked or resource.unlisted, (
            f"Stripe's list of {kind} does not show everything: {' '.join(words.split())}"
        )
    else:
        assert resource.list_params == ({},)


@pytest.mark.parametrize("kind", KEPT)
def test_a_kind_is_listed_as_a_whole_for_its_owners_or_nowhere(kind: str) -> None:
    resource = KEPT[kind].resource

    assert [resource.listable, kind in owned_kinds(), kind in UNLISTED].count(True) == 1


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: f"{owned.path} of {owned.owner}")
def test_what_an_owner_has_is_listed_as_stripe_python_lists_it(owned: Owned) -> None:
    params = PARAMS[owned.path]

    assert owned.query.keys() <= params.__annotations__.keys()
    assert params.__required_keys__ - stripe.RequestOptions.__annotations__.keys() <= owned.query.keys()
    for kind in owned.kinds:
        assert owned.named in class_of(kind).__annotations__, f"{kind} does not name its owner so"
    if owned.shown:
        assert owned.shown in lists_in(class_of(owned.owner))


@pytest.mark.parametrize("kind", KEPT)
def test_a_list_in_an_object_is_read_on_or_says_that_it_is_cut(kind: str) -> None:
    shown = {name for name in lists_in(class_of(kind)) if f"{kind} {name}" not in EXPANDED | CUT}

    assert shown == KEPT[kind].resource.parts.keys()
    for address in KEPT[kind].resource.parts.values():
        assert address.partition("?")[0] in PARAMS


def test_no_reviewed_list_is_unknown() -> None:
    fields = {f"{kind} {name}" for kind in KEPT for name in lists_in(class_of(kind))}

    assert fields >= EXPANDED | CUT
    assert WHOLE.keys() <= KEPT.keys()


@pytest.mark.parametrize("kind", [kind for kind in KEPT if "test_clock" in class_of(kind).__annotations__])
def test_what_tells_its_test_clock_is_asked_of_that_clock_or_its_customers(kind: str) -> None:
    asked = {kind for owned in OWNED if owned.in_time for kind in owned.kinds}

    assert kind in asked
