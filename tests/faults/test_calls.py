"""Every call of every type meets every fault of Stripe and of the way there; nothing is done twice, nobody is lied to.

In the usual run a customer does; `make faults` runs all types.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from stripe_mongo_sync.models import Status
from tests.faults.calls import Call, Told, every_call
from tests.support.world import World


@dataclass(frozen=True)
class Fault:
    """A fault of the emulator, and what it comes to."""

    row: str  # of a creation; those of other calls have a row for all faults
    name: str
    times: int = 1
    told: tuple[Told, ...] = (Told.PENDING,)
    ends: Status = Status.ACTIVE  # a creation


ONCE = (Told.DONE,)  # the request sends it again at once
FAULTS = (
    *(Fault("11", name, 1, ONCE) for name in ("refuse", "cut_before", "timeout_before")),
    *(Fault("11", name, 2) for name in ("refuse", "cut_before", "timeout_before")),
    *(Fault("12", name, 1, ONCE) for name in ("cut_after", "timeout_after")),
    *(Fault("12", name, 2) for name in ("cut_after", "timeout_after")),
    *(Fault("13", name, 1, ONCE) for name in ("bad_body", "html_body")),
    *(Fault("13", name, 2) for name in ("bad_body", "html_body")),
    Fault("14", "500_before", ends=Status.ROLLED_BACK),
    Fault("14", "500_after"),
    Fault("17", "503_edge", 1, ONCE),
    Fault("17", "503_edge", 2),
    Fault("19", "decline", 1, (Told.REFUSED,), ends=Status.ROLLED_BACK),
    *(Fault("20", name) for name in ("idempotency_in_use", "rate_limit", "lock_timeout")),
    *(Fault("21", name) for name in ("refuse_401", "refuse_403")),
    Fault("23", "late_request", 2),
)
ROWS = {"update": "63", "delete": "64"}  # and any action: 65
RARE = {
    "refuse",
    "timeout_before",
    "timeout_after",
    "bad_body",
    "lock_timeout",
    "rate_limit",
    "refuse_401",
}  # the like of another: customers only


def cases() -> Iterator[Any]:
    for call in every_call():
        for fault in FAULTS:
            rare = fault.name in RARE or fault.told == ONCE
            if call.kind == "customer" or not rare:
                row = fault.row if call.verb == "create" else ROWS.get(call.verb, "65")
                usual = call.kind == "customer" and not rare and call.verb in ("create", "update")
                marks = [pytest.mark.fault(row), *([] if usual else [pytest.mark.long])]
                yield pytest.param(call, fault, marks=marks, id=f"{call}, {fault.name} x{fault.times}")


@pytest.mark.parametrize(("call", "fault"), list(cases()))
def test_whatever_stripe_does_nothing_is_done_twice_and_nobody_is_lied_to(
    world: World, call: Call, fault: Fault
) -> None:
    ready = call.ready(world)
    armed = world.stripe.fault(fault.name, lambda request: request.method != "GET", times=fault.times)

    told = ready.told()

    assert armed.hits, "nothing failed"
    if call.verb == "create":
        assert told in fault.told
        document = ready.subject()
        assert document is not None
        assert document.is_current == (told != Told.REFUSED), (
            "what is pending holds its name, and what was refused does not"
        )
    elif fault.told != (Told.PENDING,):
        assert told in fault.told  # an HTTP DELETE is repeated after a 5xx, too, and is then done at once
    ready.settle(heard=False)
    ready.assert_kept(told)
    if call.verb == "create" and not ready.left_to_a_person():
        assert ready.subject().status == (Status.ROLLED_BACK if nobody_can_tell(call, fault) else fault.ends)
        assert len(ready.made) == (fault.name not in NOTHING and bool(call.model.resource.path))


NOTHING = ("500_before", "decline")  # was made


def nobody_can_tell(call: Call, fault: Fault) -> bool:
    """Whether Stripe has made what neither an event nor a list nor a mark shows: a card that no customer has."""
    resource = call.model.resource
    return fault.name == "500_after" and bool(resource.path) and not (resource.has_created_event or resource.listable)
