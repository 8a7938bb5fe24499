"""Each webhook is counted once, with what became of it, whichever door it came through."""

import json
from typing import Any

import pytest

from stripe_mongo_sync import sync
from tests.support.answers import at_once
from tests.support.events import event
from tests.support.scraped import WATCH, scrape
from tests.support.world import TOKEN, World


@pytest.mark.usefixtures("each_door")
def test_each_webhook_is_counted_once_with_what_became_of_it(world: World) -> None:
    world.settings["API_TOKENS"] = f"{TOKEN}, {WATCH}"
    world.start()
    before = scrape(world.http)
    sync.create_customer("user@here.com")
    made = world.webhooks()[0]
    other = json.dumps({**json.loads(made), "id": "evt_other", "api_version": "2019-01-01"}).encode()

    assert world.deliver([made, made, other]) == ["applied", "duplicate", "applied"]
    assert world.send(b"{}").status_code == 400
    assert world.http.post("/webhooks/stripe", data=made).status_code == 400, "it is not signed"
    sent = [event("plan.updated", {"id": f"x_{number}", "object": "odd"}, 1) for number in range(20)]
    assert {world.send(raw).json["state"] for raw in sent} == {"ignored"}

    told = scrape(world.http)
    assert told.since(before, "webhooks_total") == {
        ("applied",): 2, ("duplicate",): 1, ("refused",): 2, ("ignored",): 20
    }  # fmt: skip
    assert told.since(before, "webhook_seconds_count") == {(): 25}
    assert told.since(before, "batch_size_sum") == {(): 23}, "what then goes alone was in a batch, too"
    assert told.since(before, "http_request_seconds_count") == {}, "and a scrape is no request of the API"


def test_a_webhook_that_could_not_be_stored_is_counted_as_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.settings["API_TOKENS"] = f"{TOKEN}, {WATCH}"
    world.start()
    before = scrape(world.http)
    monkeypatch.setattr("stripe_mongo_sync.sync.inbox.committer.QUEUE", 0)

    def send(number: int) -> Any:
        return world.send(event("plan.updated", {"id": f"x_{number}", "object": "odd"}, 1)).status_code

    assert at_once(4, send) == [503] * 4
    assert scrape(world.http).since(before, "webhooks_total") == {("not_stored",): 4}
