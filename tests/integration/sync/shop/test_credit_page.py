"""The code of docs/credit.md prints what the page says, and both sides agree afterwards."""

import re

import pytest

from tests.support import ROOT
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

PAGE = (ROOT / "docs/credit.md").read_text()


def test_the_page_on_credit_prints_what_it_says(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    said = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)

    exec(compile(code, "docs/credit.md", "exec"), {})

    assert capsys.readouterr().out.splitlines() == said
    assert len(said) == code.count("print(")
    world.deliver()
    world.advance(hours=1)
    world.converge()
    world.reconcile(full=True)
    assert_in_sync(world)
