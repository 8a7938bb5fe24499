"""The emulator's control API: only callers on this machine, or with the token, may use any of its controls."""

import json
import re
from inspect import Parameter, signature

import pytest

from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.control import Control, ControlError
from stripe_mongo_sync.emulator.fronts.control_api import CONTROLS, PREFIX
from stripe_mongo_sync.emulator.fronts.server import Server
from stripe_mongo_sync.emulator.people.service import Service
from stripe_mongo_sync.emulator.protocol.wire import Request
from stripe_mongo_sync.emulator.state.webhooks import Webhooks
from tests.support import ROOT

READS = ("objects/customer", "usable/customer", "requests", "events", "clock", "webhooks", "account")
ROUTES = [*(("POST", name) for name in CONTROLS), *(("GET", name) for name in READS)]
HERE = {"host": "127.0.0.1:12111", "content-type": "application/json"}
OTHERS = {
    "its name": {"host": "evil.example"},
    "a name that begins like ours": {"host": "localhost.evil.example:12111"},
    "no name": {"host": "["},
    "its origin": {"origin": "https://evil.example"},
    "a sandbox": {"origin": "null"},
    "a fetch from elsewhere": {"sec-fetch-site": "cross-site"},
    "a fetch from a sister": {"sec-fetch-site": "same-site"},
}


def answer(emulator: Emulator, method: str, name: str, headers: dict[str, str], body: bytes = b"{}") -> int:
    return emulator.wsgi.answer(Request(method, f"{PREFIX}{name}", "", headers, body)).status


@pytest.mark.parametrize("told", OTHERS)
def test_no_page_uses_a_control(told: str) -> None:
    emulator = Emulator()
    before = emulator.clock.now()

    answers = {route: answer(emulator, *route, HERE | OTHERS[told]) for route in ROUTES}

    assert set(answers.values()) == {403}
    assert emulator.clock.now() - before < 60


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_control_takes_json_and_nothing_that_a_form_can_send(sent: str) -> None:
    emulator, body = Emulator(), json.dumps({"advance": 86400}).encode()
    headers = HERE | {"content-type": sent}

    assert {answer(emulator, "POST", name, headers, body) for name in CONTROLS} == {415}
    assert answer(emulator, "POST", "clock", HERE | {"content-type": "Application/JSON; charset=utf-8"}, body) == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:12111", "127.0.0.1", "[::1]:12111", "stripe.localhost:1"])
def test_this_machine_may_look_under_each_of_its_names(host: str) -> None:
    assert answer(Emulator(), "GET", "clock", {"host": host, "origin": f"http://{host}"}) == 200


def test_beyond_this_machine_the_control_api_asks_for_a_token() -> None:
    emulator = Emulator()
    with Server(emulator, host="0.0.0.0") as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for client in (Control(url), Control(url, token="another"), Control(url, token="")):
            with pytest.raises(ControlError, match="401"):
                client.clock.advance(60)
            with pytest.raises(ControlError, match="401"):
                client.objects("customer")
        Control(url, token=server.token).clock.advance(60)
        answers = {answer(emulator, *route, HERE | {"host": "any.example"}) for route in ROUTES}

    assert answers == {401}
    with Server(Emulator()) as server:
        assert server.token is None
    with Server(Emulator(), token="chosen") as server, pytest.raises(ControlError, match="401"):
        Control(server.url).clock.now()


DASHBOARD = {"create": {"kind"}, "update": {"kind", "id"}, "delete": {"kind", "id"}, "act": {"kind", "id", "action"}}
TOLD = re.findall(r"^\| (`[a-z_/`, ]+) \| ([^|]*) \|", (ROOT / "docs/testing-your-shop.md").read_text(), re.MULTILINE)


def arguments_of(name: str) -> tuple[set[str], set[str]]:
    """Return the arguments that a control needs, and those that it may have."""
    if name.startswith("dashboard/"):
        return DASHBOARD[name.removeprefix("dashboard/")], {"params"}
    if name == "clock":
        return {"advance"}, set()
    called = {"faults": Service.fault, "webhooks": Webhooks.disrupt}.get(name) or getattr(Service, name)
    given = {each.name: each.default for each in signature(called).parameters.values() if each.name != "self"}
    needed = {each for each, default in given.items() if default is Parameter.empty}
    return needed, given.keys() - needed


@pytest.mark.parametrize(("names", "told"), TOLD)
def test_the_page_names_the_arguments_of_a_control(names: str, told: str) -> None:
    needed, optional = (set(re.findall(r"`(\w+)`", part)) for part in (told.partition(";")[0], told.partition(";")[2]))

    for name in re.findall(r"`([a-z_/]+)`", names):
        assert name in CONTROLS
        must, may = arguments_of(name)
        assert must <= needed, name
        assert needed | optional <= must | may or name == "dashboard/delete", name


def test_the_page_tells_how_an_order_is_paid() -> None:
    assert ("`pay_session`", "`id`; `card`, `email`, `code`") in TOLD
