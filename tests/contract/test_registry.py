"""The registry's facts agree with stripe-python: paths, lists, deletions and events of each type."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
import stripe
from stripe import _event

from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.models import created_kinds, kinds
from tests.contract import library

SENT = [
    kind
    for kind, model in created_kinds().items()
    if model.resource.path and kind in RESOURCES and RESOURCES[kind].create
]
EVENTS = set(re.findall(r'"([a-z_.]+\.[a-z_]+)"', inspect.getsource(_event)))


@pytest.mark.parametrize("kind", SENT)
def test_a_type_is_what_stripe_python_says(kind: str) -> None:
    theirs, ours = (library.object(kind) or {})["class"], kinds()[kind].resource

    assert ours.path == theirs.class_url()
    assert (ours.deletable or ours.readable_after_delete) == hasattr(theirs, "delete")
    assert not ours.listable or ours.created_filter == (
        "created" in (library.call("get", ours.path) or {})["properties"]
    )
    assert ours.has_created_event == (ours.created_event in EVENTS)


@cache
def deletions() -> dict[str, set[str]]:
    """Return the paths of stripe-python's DELETEs, and the methods that send them."""
    found: dict[str, set[str]] = {}
    sources = (file.read_text(encoding="utf-8") for file in Path(stripe.__file__).parent.rglob("*_service.py"))
    for source in (each for each in sources if '"delete"' in each):
        for method in ast.walk(ast.parse(source)):
            if not isinstance(method, ast.FunctionDef):
                continue
            for call in (node for node in ast.walk(method) if isinstance(node, ast.Call) and node.args[1:]):
                verb, path = call.args[:2]
                if isinstance(verb, ast.Constant) and verb.value == "delete":
                    template = next(one.value for one in ast.walk(path) if isinstance(one, ast.Constant))
                    found.setdefault(re.sub(r"{\w+}", "{}", str(template)), set()).add(method.name)
    return found


@pytest.mark.parametrize("kind", kinds())
def test_what_lasts_is_what_stripe_python_cannot_delete(kind: str) -> None:
    """Detaching a source or canceling a subscription is no deletion: both can be read afterwards."""
    resource = kinds()[kind].resource
    paths = [re.sub(r"{\w+}", "{}", path) + "/{}" for path in resource.path.split()]

    paths += (
        ["/v1/customers/{}/sources/{}"] if kind == "payment_method" else []
    )  # the path of a card, which is a payment method, too

    assert (resource.deletable or resource.removable) == any("delete" in deletions().get(path, ()) for path in paths)
    assert not (resource.deletable and resource.removable)
    assert not (resource.mirrored and resource.deletable)


@pytest.mark.parametrize(
    "kind", ["payment_intent", "charge", "refund", "subscription", "price", "checkout.session", "payment_method"]
)
def test_these_last(kind: str) -> None:
    assert kinds()[kind].resource.lasts({})
