"""Registering hooks: a name that nothing ever gives, or a module that cannot be imported, is told at start."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.notice import HOOK_PATTERNS, append_notices
from stripe_mongo_sync.sync.errors import BadSettings
from stripe_mongo_sync.sync.notices.hooks import HOOKS, load, names
from tests.support.hooks import listening


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module of the test's own, `<name>.py` in a directory that is on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    return re.sub(r"\W+", "_", request.node.name)


def test_every_kind_can_be_heard_of() -> None:
    known = names()

    for kind in kinds():
        assert {f"{kind}.active", f"{kind}.rolled_back", f"{kind}.deleted"} <= set(known)
        assert f"{kind}.pending" not in known
    assert len(known) == len(set(known))


@pytest.mark.parametrize(
    "name",
    ["customer.active", "customer.*", "*.deleted", "stripe:charge.dispute.created", "stripe:charge.*", "stripe:*"],
)
def test_a_name_that_is_given_can_be_asked_for(name: str) -> None:
    with listening(name):
        assert HOOK_PATTERNS["tests.listener"] == (name,)
    assert "tests.listener" not in HOOK_PATTERNS


@pytest.mark.parametrize(
    "name",
    ["custmer.active", "customer.pending", "customer", "", "stripe:", "charge.dispute.created", "stripe:A b", "x.*"],
)
def test_a_name_that_is_never_given_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"payment_intent\.rolled_back.*stripe:<event type>") as refused:
        sync.on("customer.active", name)

    assert repr(name) in str(refused.value)


@pytest.mark.parametrize("given", [[7], [None], [["customer.active"]], [lambda notice: None], []])
def test_what_is_no_name_is_refused_with_an_example(given: Any) -> None:
    with pytest.raises(ValueError, match=r'@on\("customer.active"\)'):
        sync.on(*given)


@pytest.mark.parametrize("given", [7, None, "customer.active"])
def test_what_is_no_function_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=f"on\\(\\) registers a function, and was given a {type(given).__name__}"):
        sync.on("customer.active")(given)


def test_a_long_name_is_cut() -> None:
    with pytest.raises(ValueError, match="there is no 'aaaa") as refused:
        sync.on("a" * 100_000)

    assert "a" * 61 not in str(refused.value)


def test_only_what_was_asked_for_is_written() -> None:
    assert append_notices("customer.active") == {}
    with listening("customer.deleted", "stripe:charge.*"):
        assert append_notices("customer.active", "stripe:refund.created") == {}
        assert list(append_notices("customer.deleted")) == ["notices"]
        assert list(append_notices("stripe:charge.refunded")) == ["notices"]
    with listening("*.deleted"):
        assert list(append_notices("customer.deleted")) == ["notices"]
        assert append_notices("stripe:customer.deleted") == {}


def test_a_function_may_ask_twice_and_is_one_hook() -> None:
    with listening("customer.active"):
        sync.on("customer.deleted")(HOOKS["tests.listener"])

        assert HOOK_PATTERNS["tests.listener"] == ("customer.active", "customer.deleted")


def test_two_hooks_of_one_name_are_refused() -> None:
    with listening("customer.active"), pytest.raises(ValueError, match=r"two hooks are named tests\.listener"):
        listening("customer.active").__enter__()


def test_a_coroutine_is_refused() -> None:
    async def hook(notice: sync.Notice) -> None: ...

    with pytest.raises(ValueError, match="because hooks are not awaited"):
        sync.on("customer.active")(hook)


def test_the_modules_that_hooks_names_are_imported(module: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text("import sync\n\n@sync.on('customer.active')\ndef hook(notice): ...\n")

    load((module,))

    assert HOOK_PATTERNS.pop(f"{module}.hook") == ("customer.active",)
    assert HOOKS.pop(f"{module}.hook").__name__ == "hook"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        (
            "import sync\n\n@sync.on('custmer.active')\ndef other(notice): ...",
            "ValueError: there is no 'custmer.active'",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_bad_setting_and_leaves_no_hook(
    module: str, tmp_path: Path, source: str, why: str
) -> None:
    good = "import sync\n\n@sync.on('customer.active')\ndef hook(notice): ...\n\n"
    (tmp_path / f"{module}.py").write_text(good + source)
    before = dict(HOOKS)

    with pytest.raises(BadSettings) as refused:
        load((module, "nowhere_at_all"))

    assert [problem.startswith("HOOKS: cannot import ") for problem in refused.value.problems] == [True, True]
    assert why in refused.value.problems[0]
    assert (before, set(HOOK_PATTERNS)) == (HOOKS, set(HOOKS))
    assert module not in sys.modules
