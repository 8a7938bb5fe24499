"""MongoDB hangs for longer than a driver waits for a sign of life: webhooks are answered 503 in time all the same."""

from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.test_siege import assert_refused_soon
from tests.support import eventually


def test_what_the_driver_ends_because_mongodb_is_silent_is_not_tried_for_longer(stack: Stack, mongod: Mongod) -> None:
    """Its monitor notices while the webhooks wait, and ends their command with another error than a timeout's."""
    mongod.pause()
    try:
        eventually(lambda: stack.service.get("/readyz").status == 503)  # a ping has waited for two seconds
        assert_refused_soon(stack)
    finally:
        mongod.resume()
