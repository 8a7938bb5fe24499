"""The stubs, by which a user's mypy sees what the Python API returns, are as the code has them."""

import pytest

from tests.support.stubs import ROOT, formatted, stubs


@pytest.mark.parametrize("name", stubs())
def test_the_stubs_are_as_the_code_has_them(name: str) -> None:
    assert (ROOT / name).read_text() == formatted(stubs()[name]), "the API has changed: run `make types`"
