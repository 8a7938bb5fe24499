"""The stubs, by which a user's mypy sees what the Python API returns, are as the code has them."""

from tests.support.stubs import ROOT, formatted, stubs


def test_the_stubs_are_as_the_code_has_them() -> None:
    for name, text in stubs().items():
        assert (ROOT / name).read_text() == formatted(text), "the API has changed: run `make types`"
