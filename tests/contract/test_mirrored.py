"""The table of mirrored types has every type of stripe-python, so a version with a new type fails."""

import importlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import stripe
from stripe._object_classes import OBJECT_CLASSES

from stripe_mongo_sync.models import created_kinds, kinds
from stripe_mongo_sync.models.base.resource import Resource
from stripe_mongo_sync.models.lists.filters import UNDATED, WITH_CUSTOMER, WITH_STATUS
from stripe_mongo_sync.models.mirrored import REASONS, ROWS
from stripe_mongo_sync.sync.inbox.arrival import NAMED_BY_CUSTOMER
from stripe_mongo_sync.sync.operator.catalogue import event_types, ignored, kinds_of
from tests.contract.library import CALL

LIBRARY = Path(stripe.__file__).parent
ALIASES = {"file_upload"}  # an old name of file
OURS = {kind for kind, model in created_kinds().items() if not model.resource.path}  # kinds that Stripe does not have
IMPORT = re.compile(r"from (stripe[\w.]*) import \(?\s*(\w+)")
METHOD = re.compile(
    r"\n    def (list|retrieve)\((.*?)\) -> \"([^\n]*)\":\n(.*?)(?=\n    (?:async )?def |\Z)", re.DOTALL
)
PAGED = {"limit", "starting_after"}
PARTIAL = {"tax_id", "payment_method"}  # without a parameter, their lists show only a part


@dataclass
class Reads:
    """How stripe-python reads a kind: the paths of one object, and of lists that need no parameter."""

    one: set[str] = field(default_factory=set)
    all: dict[str, bool] = field(default_factory=dict)  # path -> whether the list can be filtered by `created`


def reads() -> dict[str, Reads]:
    """Return what the services of stripe-python can read, by kind."""
    kinds_of_class = {(module, name): kind for kind, (module, name) in OBJECT_CLASSES.items() if kind not in ALIASES}
    found = {kind: Reads() for kind in kinds_of_class.values()}
    for file in LIBRARY.rglob("_*_service.py"):
        source = file.read_text()
        origin = {name: module for module, name in IMPORT.findall(source)}
        for method, arguments, returns, body in METHOD.findall(source):
            call = CALL.search(body)
            shown = [kinds_of_class.get((origin.get(name, ""), name)) for name in re.findall(r"\w+", returns)]
            for kind in filter(None, shown if call else []):
                assert call is not None
                verb, path = call.groups()
                assert verb == "get"
                if method == "retrieve":
                    found[kind].one.add(re.sub(r"/\{\w+\}$", "", path))
                elif "{" not in path:
                    _note(found[kind], path, arguments, origin)
    return found


def _note(known: Reads, path: str, arguments: str, origin: dict[str, str]) -> None:
    (name,) = re.findall(r"\w+ListParams", arguments)
    params: Any = getattr(importlib.import_module(origin[name]), name)
    if (
        params.__annotations__.keys() >= PAGED
        and not params.__required_keys__ - stripe.RequestOptions.__annotations__.keys()
    ):
        known.all[path] = "created" in params.__annotations__


READS = reads()


def test_every_type_of_event_is_about_a_kind_that_is_kept_or_ignored_for_a_reason() -> None:
    allow_unknown = [type for type in event_types() if not kinds_of(type) and not ignored(type)]

    assert not allow_unknown, "stripe-python knows new events: add a row to models/mirrored.py, or say why not"


def test_every_object_is_created_mirrored_or_left_out_for_a_reason() -> None:
    heard, theirs = {*kinds(), *REASONS, *ALIASES}, kinds().keys() - OURS

    assert not OBJECT_CLASSES.keys() - heard, "stripe-python knows new objects: add a row to models/mirrored.py"
    assert not theirs - OBJECT_CLASSES.keys(), "stripe-python no longer has these objects"
    assert not REASONS.keys() - OBJECT_CLASSES.keys() - set(event_types()), "stripe-python no longer has these"
    assert not kinds().keys() & REASONS.keys(), "both mirrored and not mirrored"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_a_row_is_read_as_stripe_python_reads_it(row: Resource) -> None:
    theirs = READS[row.kind]

    assert {_unnamed(path) for path in row.path.split()} <= {_unnamed(path) for path in theirs.one}
    assert row.events_only == (not theirs.one), "an object that can be read is not events-only"
    if row.kind in PARTIAL:
        assert not row.listable
    else:
        assert row.listable == bool(theirs.all)
    if row.listable:
        assert (row.path, row.created_filter) in theirs.all.items()


@pytest.mark.parametrize(("field", "having"), [("customer", WITH_CUSTOMER), ("status", WITH_STATUS)])
def test_a_filter_of_copies_is_a_field_that_stripe_python_knows(field: str, having: frozenset[str]) -> None:
    assert {row.kind for row in ROWS if field in _fields(row.kind)} == having


def test_the_types_without_a_second_of_their_creation_are_those_of_stripe_python() -> None:
    assert {kind for kind in kinds().keys() - OURS if "created" not in _fields(kind)} == UNDATED


def _fields(kind: str) -> set[str]:
    module, name = OBJECT_CLASSES[kind]
    return set(getattr(importlib.import_module(module), name).__annotations__)


def _unnamed(path: str) -> str:
    """Return a path without the names of its parameters: the registry says {fee} where the library says {id}."""
    return re.sub(r"\{\w+\}", "{}", path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_a_row_names_fields_that_its_objects_have(row: Resource) -> None:
    named = {"id"} if row.kind not in NAMED_BY_CUSTOMER else {"customer"}
    assert {*named, *re.findall(r"\{(\w+)\}", row.path)} <= _fields(row.kind)


def test_a_kind_with_a_file_of_its_own_is_not_mirrored() -> None:
    assert not any(model.resource.mirrored for model in created_kinds().values())
    assert {row.kind for row in ROWS} | created_kinds().keys() == kinds().keys()
    assert list(kinds())[: len(created_kinds())] == list(created_kinds())
