"""Every action's `done` tells an object on which it was done from one on which it was not: reconcile decides by it."""

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.sync.engine.converge import Sight
from stripe_mongo_sync.sync.engine.look import observe
from stripe_mongo_sync.sync.engine.push import push
from stripe_mongo_sync.sync.process.deadline import within
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

    before, _ = observe(pending)
    with within(60):  # as reconcile sends it
        push(pending)
    after, _ = observe(pending)

    assert (before, after) == (Sight.THERE, Sight.DONE)
