"""The emulator takes exactly the parameters of stripe-python 16.1, which wins over the older OpenAPI file."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stripe_mongo_sync.emulator.engine import lists
from stripe_mongo_sync.emulator.engine.calls import EVENT
from stripe_mongo_sync.emulator.engine.resource import RESOURCES, ROUTES, Resource
from stripe_mongo_sync.emulator.objects.read_only import READ_ONLY
from stripe_mongo_sync.emulator.protocol.fields import Field, Many, Text, alive
from stripe_mongo_sync.emulator.protocol.versions import RENAMED, known
from stripe_mongo_sync.emulator.protocol.wire import API_VERSION
from tests.contract import library, openapi
from tests.contract.outsiders import EXCEPTIONS, parameter_differences, reviewed
from tests.contract.schemas import Json, branches

ROWS = [*(row for row in RESOURCES.values() if row not in READ_ONLY), EVENT]
SERVED = [row for row in ROWS if row.create is not None]
EXPAND: dict[str, Field] = {"expand": Many(each=Text())}


def served() -> Iterator[tuple[str, str, str, str, Mapping[str, Field]]]:
    """Yield every call of the emulator: its kind, name, method, path and parameters."""
    for kind, verb, method, path, fields in _calls():
        yield kind, verb, method, path, alive(fields, API_VERSION)


def _calls() -> Iterator[tuple[str, str, str, str, Mapping[str, Field]]]:
    for way in ROUTES:
        if (way.method.lower(), f"/v1/{way.path}") in library.calls():
            yield way.kind, way.path, way.method.lower(), f"/v1/{way.path}", {**EXPAND, **way.params}
    for row in ROWS:
        all, one = f"/v1/{row.path}", f"/v1/{row.path}/{{}}"
        if row.readable:
            yield row.kind, "list", "get", all, lists.fields(row)
        if row.create is not None:
            yield row.kind, "create", "post", all, {**EXPAND, **row.create}
        if row.update is not None:
            yield row.kind, "update", "post", one, {**EXPAND, **row.update}
        if row.delete_action is not None:
            yield row.kind, "delete", "delete", one, {**EXPAND, **row.delete_action.params}
        for action, does in row.actions.items():
            yield row.kind, action, "post", f"{one}/{action}", {**EXPAND, **does.params}


CALLS = pytest.mark.parametrize(
    ("kind", "verb", "method", "path", "fields"), [*served()], ids=lambda each: each if isinstance(each, str) else ""
)


@CALLS
def test_a_call_takes_every_parameter_with_its_type(
    kind: str, verb: str, method: str, path: str, fields: Mapping[str, Field]
) -> None:
    found = parameter_differences(method, path, fields)
    more = {each for each in found if each[0] == "-" and kind in EXCEPTIONS["partly"]}

    reviewed(((f"takes {kind}.{verb}", each) for each in found - more), f"takes {kind}.{verb}")


def test_what_is_said_to_be_served_in_part_is() -> None:
    partly = {
        kind
        for kind, _, method, path, fields in served()
        if any(each[0] == "-" for each in parameter_differences(method, path, fields))
    }

    assert partly == EXCEPTIONS["partly"].keys()


@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.kind)
def test_an_object_has_only_fields_that_the_library_knows(row: Resource) -> None:
    assert row.defaults.keys() <= library.resolve(library.object(row.kind) or {})["properties"].keys()


@pytest.mark.skipif(not openapi.PATH.exists(), reason="Stripe's OpenAPI file is not on this machine")
@CALLS
def test_what_the_library_no_longer_has_is_told_by_the_table_of_versions(
    kind: str, verb: str, method: str, path: str, fields: Mapping[str, Field]
) -> None:
    file, theirs = openapi.call(method, path), library.call(method, path)
    if file is None or theirs is None:
        return  # a call that is newer than the file
    lost, older = {*gone(file, theirs)}, known(kind, fields, openapi.VERSION).keys() - fields.keys()

    assert older == {each.old for each in RENAMED.get(kind, ()) if each.new in fields and each.went > openapi.VERSION}
    assert older <= lost | {each.old for each in RENAMED.get(kind, ()) if each.old not in file["properties"]}
    reviewed(((f"gone {kind}.{verb}", name) for name in lost - older), f"gone {kind}.{verb}")


def gone(file: Json, theirs: Json, prefix: str = "") -> Iterator[str]:
    """Yield the parameters that only the file has, at any depth."""
    for name, schema in file["properties"].items():
        if name not in theirs["properties"]:
            yield f"{prefix}{name}"
            continue
        inner = [hashes(openapi.resolve, schema), hashes(library.resolve, theirs["properties"][name])]
        if all(inner):
            yield from gone({"properties": inner[0]}, {"properties": inner[1]}, f"{prefix}{name}.")


def hashes(resolve: Any, schema: Json) -> Json:
    """Return the union of the branches of a schema that are hashes or lists of hashes."""
    found: Json = {}
    for each in branches(resolve, schema):
        found |= each.get("properties", {}) | (hashes(resolve, each["items"]) if each.get("type") == "array" else {})
    return found
