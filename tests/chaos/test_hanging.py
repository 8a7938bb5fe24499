"""MongoDB hangs for longer than a driver waits for a sign of life: webhooks are answered 503 in time all the same."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from stripe_mongo_sync.bench.load import signed
from stripe_mongo_sync.demo.mongod import Mongod
from stripe_mongo_sync.demo.stack import Stack
from tests.chaos.test_siege import answered, connected, news
from tests.support import eventually

WEBHOOKS = 24


def test_what_the_driver_ends_because_mongodb_is_silent_is_not_tried_for_longer(stack: Stack, mongod: Mongod) -> None:
    """Its monitor notices while the webhooks wait, and ends their command with another error than a timeout's."""
    mongod.pause()
    try:
        eventually(lambda: stack.service.get("/readyz").status == 503)  # a ping has waited for two seconds
        with ExitStack() as open_ones, ThreadPoolExecutor(WEBHOOKS) as pool:
            sent = [open_ones.enter_context(connected(stack)) for _ in range(WEBHOOKS)]
            for each in sent:
                each.sendall(signed(stack.url, "/webhooks/stripe", news(), stack.webhook_secret))
            assert {*pool.map(answered, sent)} == {503}
    finally:
        mongod.resume()
