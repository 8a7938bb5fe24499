"""The reference pages are as the code has them; docs/TYPES.md and docs/python.md have tests of their own."""

from collections.abc import Callable

import pytest

from stripe_mongo_sync.models import created_kinds, kinds, stored_things
from tests.support import ROOT
from tests.support.commands import commands
from tests.support.pages import data_model
from tests.support.pages.every import PAGES


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=PAGES)
def test_a_page_is_as_the_code_has_it(name: str, page: Callable[[], str]) -> None:
    assert (ROOT / name).read_text() == page(), "the code has changed: run `make types`"


def test_the_page_has_the_help_of_every_command() -> None:
    page = (ROOT / "docs/commands.md").read_text()

    assert len(commands()) > 30
    assert not [name for name in commands() if f"\nusage: stripe-mongo-sync {name}" not in page]


def test_what_is_created_here_and_what_the_engine_has_is_in_the_pictures() -> None:
    page = data_model.page()
    copied = [model for model in kinds().values() if model.resource.mirrored]

    for model in stored_things():
        assert f"\n    {model.plural()} {{\n" in page or model in copied, model
    assert page.count("\n    orders {\n") == 1, "each is in one of them"
    assert '    prices }o--o{ subscriptions : "items.price"' in page
    assert '    customers |o--o{ invoices : "customer"' in page
    assert len(created_kinds()) > 20
