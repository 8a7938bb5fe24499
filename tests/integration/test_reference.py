"""The reference page of the Python API: made from docstrings, each of which is a promise, with an example that runs."""

from inspect import getdoc, isfunction
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import stripe_mongo_sync
from stripe_mongo_sync import create_customer
from stripe_mongo_sync.sync.notices import hooks
from tests.support import samples
from tests.support.reference import PAGES, examples, page
from tests.support.stubs import ROOT
from tests.support.world import World

ORDER = "665f1c2e9b1d4a3f8c7e6d5b"
CALLS = [name for name in stripe_mongo_sync.__all__ if isfunction(getattr(stripe_mongo_sync, name))]


def test_the_page_is_as_the_docstrings_have_it() -> None:
    assert (ROOT / "docs/python.md").read_text() == page(), "a docstring has changed: run `make types`"


@pytest.mark.parametrize("name", CALLS)
def test_a_docstring_promises_what_is_returned_and_raised_and_shows_it(name: str) -> None:
    told = getdoc(getattr(stripe_mongo_sync, name)) or ""

    assert name in [each for names in PAGES.values() for each in names]
    assert "eturn" in told
    assert "aises" in told
    assert len(examples(name)) == 1


@pytest.mark.parametrize("name", CALLS)
def test_every_example_runs(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    for registered in ("HOOKS", "HOOK_PATTERNS"):  # the example's own hook is not asked of any other test
        monkeypatch.setattr(hooks, registered, dict(getattr(hooks, registered)))
    if name != "create_customer":
        create_customer("user@here.com")
    monkeypatch.chdir(tmp_path)
    Path("receipt.pdf").write_bytes(b"%PDF-1.7")
    there: dict[str, Any] = {each: getattr(stripe_mongo_sync, each) for each in stripe_mongo_sync.__all__}

    exec(prepared(*examples(name)), {**there, "Flask": Flask, "__name__": "shop"})

    if name != "disconnect":
        assert stripe_mongo_sync.current().settings == world.read


def prepared(code: str) -> str:
    """Return an example with ids of what is there in place of those that it has."""
    if ORDER in code:
        paid = stripe_mongo_sync.create("order", samples.paid_order("user"))
        code = code.replace(ORDER, str(paid.id)).replace("price_123", paid.items[0].price)
    for shown, kind in (
        ("prod_123", "product"),
        ("price_123", "price"),
        ("in_123", "invoice"),
        ("pm_123", "payment_method"),
        ("sub_123", "subscription"),
        ("du_123", "dispute"),
    ):
        if shown in code:
            code = code.replace(shown, str(samples.create(kind, "user").stripe_id))
    return code
