"""The page on subscriptions tells the truth: its code runs from top to bottom, and both sides are one afterwards."""

import re
from typing import Any

from tests.support import ROOT
from tests.support.in_sync import assert_in_sync
from tests.support.world import World

PAGE = (ROOT / "docs/subscriptions.md").read_text()


def test_the_code_of_the_page_runs(world: World) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    for block in blocks:
        exec(block, names)

    assert len(blocks) == 5
    assert names["invoice"]["total"] in [each["total"] for each in world.stripe.objects("invoice")], "as previewed"
    world.deliver()
    world.converge()
    assert_in_sync(world)
