"""The facts of the registry are stripe-python's: where a type lives, how it is listed, deleted and announced."""

import inspect
import re

import pytest
from stripe import _event

from emulator.resources import RESOURCES
from models import created_kinds, kinds
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
    assert ours.prefix == RESOURCES[kind].prefix.partition("{")[0]
    assert (ours.deletable or ours.ends) == hasattr(theirs, "delete")
    assert not ours.listed or ours.dated == ("created" in (library.call("get", ours.path) or {})["properties"])
    assert ours.announced == (ours.created_event in EVENTS)
