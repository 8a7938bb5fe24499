"""Whatever the code asks of Stripe is in the table of permissions: each verb and action of each kind, each path that is
written down, and each command."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.emulator.engine import calls
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.sync.commands import SECTIONS
from stripe_mongo_sync.sync.stripe.permissions import FILE, NEEDS, members
from tests.support import ROOT, samples
from tests.support.world import World

KEY = "rk_test_restricted"
SERVICE = next(iter(NEEDS))
ACTED = sorted(kind for kind in samples.ACTS.keys() | samples.CHANGES if kinds()[kind].resource.path)


@pytest.fixture
def shop(world: World) -> World:
    """A world whose key may do all, until a test lets it do only what the row of the service says."""
    world.settings["STRIPE_SECRET_KEY"] = KEY
    world.start()
    world.reconcile()
    return world


@pytest.mark.parametrize("kind", ACTED)
def test_every_change_of_every_kind_needs_nothing_but_the_row_of_the_service(shop: World, kind: str) -> None:
    """Stripe looks at permissions first, so a change that the object's state forbids shows the same."""
    document, resource = samples.create(kind), kinds()[kind].resource
    changes = {action: samples.given(kind, action) for action in resource.actions}
    changes |= {"update": samples.CHANGES[kind]} if kind in samples.CHANGES else {}
    needs = NEEDS[SERVICE]
    allowed = dict.fromkeys(members(needs.read), "write") | dict.fromkeys(members(needs.write), "none")
    shop.stripe.restrict(KEY, {"*": "all", **allowed})
    for verb, given in changes.items():
        with suppress(sync.Refused):
            _ = sync.update(document, given) if verb == "update" else sync.act(document, verb, given)
        assert document.fetch_latest().operation is None, (verb, document.fetch_latest().error)
    if resource.deletable:
        with suppress(sync.Refused):
            sync.delete(document)
        assert document.fetch_latest().operation is None


def test_every_kind_that_can_be_changed_is_one_that_the_row_writes() -> None:
    every = {kind: model.resource for kind, model in kinds().items() if model.resource.path}
    own = [
        kind for kind, each in every.items() if each.mirrored or not each.owners
    ]  # else the owner's permission counts
    written = {kind for kind in own if not every[kind].mirrored or every[kind].actions or every[kind].deletable}

    assert written | {FILE} == {*members(NEEDS[SERVICE].write)} & every.keys(), "evidence is uploaded"
    assert {*ACTED} & {*own} <= written


# --- what is written down ---


def paths() -> set[str]:
    """Every path of Stripe's API that the code names, outside the registry."""
    found = set()
    for top in ("sync", "api", "webhooks"):
        for file in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                texts = [part.value if isinstance(part, ast.Constant) else "x_1" for part in parts]
                if isinstance(texts[0], str) and texts[0].startswith("/v1/"):
                    found.add("".join(map(str, texts)).rstrip("/"))
    return found


def test_every_path_that_the_code_names_is_of_a_kind_in_the_table() -> None:
    known = set().union(*(needs.names() for needs in NEEDS.values()))
    found = paths()
    kinds_of = {path: call.row.kind for path in found for call in _calls(path)}

    assert len(found) > 5
    assert kinds_of.keys() == found, "the emulator has each of them"
    lacking = {path: kind for path, kind in kinds_of.items() if not {f"rak_{kind}_read", f"rak_{kind}_write"} & known}
    assert lacking == {}


def _calls(path: str) -> Iterator[calls.Call]:
    for method in ("GET", "POST"):
        with suppress(Problem):  # there is no such call
            yield calls.route(method, path)


def test_every_command_is_in_the_table() -> None:
    commands = {name for section in SECTIONS.values() for name in section}
    named = set(re.findall(r"[a-z-]+", " ".join(part for row in NEEDS for part in re.findall(r"`([^`]*)`", row))))

    assert commands - {"serve"} <= named, "`serve` is the service"
