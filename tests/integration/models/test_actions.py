"""Every action's `done` tells an object on which it was done from one on which it was not: reconcile decides by it."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.decision import RemoteState
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.engine.refresh import read_remote
from stripe_mongo_sync.sync.process.deadline import deadline_in
from tests.support import samples
from tests.support.world import World

UNSEEN = {("invoice", "send")}  # an invoice does not show whether it was sent
SHOWN = [
    (kind, action)
    for kind, actions in samples.ACTS.items()
    for action in actions
    if kinds()[kind].resource.path and (kind, action) not in UNSEEN
]


@pytest.mark.parametrize(("kind", "action"), SHOWN)
def test_an_object_shows_whether_an_action_was_done(world: World, kind: str, action: str) -> None:
    document, given = samples.ready(kind, action), samples.given(kind, action)
    for method in ("POST", "DELETE"):
        world.stripe.fault("cut_before", method=method, times=2)
    pending = sync.act(document, action, given)
    world.stripe.clear_faults()

    before, _ = read_remote(pending)
    with deadline_in(60):  # as reconcile sends it
        push(pending)
    after, _ = read_remote(pending)

    assert (before, after) == (RemoteState.PRESENT, RemoteState.UP_TO_DATE)
    assert [pending.edited(row) for row in pending.own_rows().find({"_id": pending.id})] == [[]], "passes for edited"
