"""The emulator's old names work for one more release, and each names the new one."""

from typing import Any

import pytest

from stripe_mongo_sync import emulator as package
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.control import Control
from stripe_mongo_sync.emulator.fronts.control_api import CONTROLS, RENAMED
from stripe_mongo_sync.emulator.protocol.renamed import CLASSES, FAULTS
from stripe_mongo_sync.emulator.protocol.wire import Request

ARGUMENTS: dict[str, dict[str, Any]] = {"plant": {"kind": "customer", "name": "Ann"}}


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_method_does_what_the_new_one_does(emulator: Emulator, old: str, new: str) -> None:
    arguments = ARGUMENTS.get(old, {})
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}") as caught:
        answer = getattr(emulator, old)(**arguments)

    assert caught[0].filename == __file__, "it names the line that has to change"
    assert type(answer) is type(getattr(emulator, new)(**arguments))
    assert getattr(Control, old).__wrapped__ is getattr(Control, new)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_route_does_what_the_new_one_does_and_says_so(emulator: Emulator, old: str, new: str) -> None:
    body = b'{"kind": "customer"}' if old == "plant" else b"{}"
    request = Request("POST", f"/_emulator/{old}", headers={"content-type": "application/json"}, body=body)

    reply = emulator.wsgi.answer(request)

    assert reply.status == 200, reply.body
    assert f"{old} is now called {new}" in reply.headers["Warning"]
    assert new in CONTROLS
    assert old not in CONTROLS


@pytest.mark.parametrize(("old", "new"), FAULTS.items())
def test_an_old_fault_is_armed_under_its_new_name(emulator: Emulator, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}") as caught:
        assert emulator.fault(old).name == new
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=new):
        emulator.chaos(1, {old: 0.5})


@pytest.mark.parametrize(("old", "new"), CLASSES.items())
def test_an_old_class_is_the_new_one(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}") as caught:
        assert getattr(package, old) is getattr(package, new)
    assert caught[0].filename == __file__


def test_webhooks_are_disrupted_under_the_old_name_too(emulator: Emulator) -> None:
    with pytest.warns(DeprecationWarning, match="disturb is now called disrupt"):
        emulator.webhooks.disturb(drop=3)
    assert emulator.webhooks.disruption.drop == 3
