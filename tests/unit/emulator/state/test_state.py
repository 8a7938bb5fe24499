"""The emulator's state: files, cursors, keys and ids."""

import io
from pathlib import Path
from typing import Any

import pytest

from stripe_mongo_sync.emulator import ConnectionCut, Emulator
from stripe_mongo_sync.emulator.engine.auth import read_key
from stripe_mongo_sync.emulator.engine.calls import route
from stripe_mongo_sync.emulator.engine.lists import page
from stripe_mongo_sync.emulator.objects.customers import CUSTOMER
from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.state.store import Store


def test_committed_rows_come_back_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    for id in "bca":
        store.put("letters", id, {"n": id})
    store.put("letters", "b", {"n": "changed"})
    store.drop("letters", "c")
    store.commit()
    store.put("letters", "lost", {})  # never committed

    again = Store(tmp_path / "state")
    assert list(again.table("letters").items()) == [("b", {"n": "changed"}), ("a", {"n": "a"})]
    again.close()
    store._db.close()  # type: ignore[union-attr]


def test_a_restart_forgets_nothing_and_draws_new_ids(tmp_path: Path) -> None:
    first = Emulator(seed=1, path=tmp_path / "state")
    first.endpoint("http://here/hook")
    made = first.dashboard.create("customer")
    first.webhooks.take()  # under way when the process ends
    first.clock.advance(1000)
    first.close()

    second = Emulator(seed=1, path=tmp_path / "state")
    assert second.objects("customer") == [made]
    assert second.events() == first.events()
    assert len(second.webhooks.take()) == 1
    assert second.clock.now() > made["created"] + 900
    assert second.dashboard.create("customer")["id"] != made["id"]
    second.close()


def test_a_seed_draws_the_same_ids() -> None:
    ids = [Emulator(seed=seed).dashboard.create("customer")["id"] for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


class TestPages:
    @staticmethod
    def listed(count: int, **params: Any) -> tuple[list[str], bool]:
        objects = [{"id": str(n), "created": n // 3} for n in range(count)]  # three share a second
        found = page(CUSTOMER, params, objects, lambda id, param: {"id": id, "created": int(id) // 3}, "/v1/x")
        return [each["id"] for each in found["data"]], found["has_more"]

    def test_what_shares_a_second_keeps_its_order(self) -> None:
        assert self.listed(7) == (["6", "5", "4", "3", "2", "1", "0"], False)

    @pytest.mark.parametrize(
        ("params", "expected"),
        [
            ({"limit": 2}, (["6", "5"], True)),
            ({"limit": 2, "starting_after": "5"}, (["4", "3"], True)),
            ({"limit": 2, "starting_after": "2"}, (["1", "0"], False)),
            ({"starting_after": "0"}, ([], False)),
            ({"limit": 2, "ending_before": "2"}, (["4", "3"], True)),
            ({"limit": 2, "ending_before": "4"}, (["6", "5"], False)),
            ({"ending_before": "6"}, ([], False)),
            ({"created": 1}, (["5", "4", "3"], False)),
            ({"created": {"gte": 1, "lt": 2}}, (["5", "4", "3"], False)),
            ({"created": {"gt": 1, "lte": 5}}, (["6"], False)),
        ],
    )
    def test_a_page_starts_and_ends_where_it_should(self, params: Any, expected: Any) -> None:
        assert self.listed(7, **params) == expected

    def test_a_cursor_that_is_gone_marks_its_second(self) -> None:
        assert self.listed(3, starting_after="99") == (["2", "1", "0"], False)
        assert self.listed(3, ending_before="99") == ([], False)


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "verb", "id"),
        [
            ("GET", "/v1/customers", "list", ""),
            ("POST", "/v1/customers", "create", ""),
            ("GET", "/v1/customers/cus_1", "get", "cus_1"),
            ("POST", "/v1/customers/cus_1", "update", "cus_1"),
            ("DELETE", "/v1/customers/cus_1", "delete", "cus_1"),
            ("GET", "/v1/account", "route", ""),
            ("GET", "/v1/events/evt_1", "get", "evt_1"),
        ],
    )
    def test_a_call_is_recognised(self, method: str, path: str, verb: str, id: str) -> None:
        call = route(method, path)

        assert (call.verb, call.id) == (verb, id)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/v1/"),
            ("GET", "/v1/unicorns"),
            ("DELETE", "/v1/prices/price_1"),
            ("DELETE", "/v1/promotion_codes/promo_1"),
            ("POST", "/v1/events"),
            ("POST", "/v1/charges"),
            ("POST", "/v1/account"),
            ("PUT", "/v1/customers/cus_1"),
            ("POST", "/v1/customers/cus_1/explode"),
        ],
    )
    def test_an_unknown_url_is_named(self, method: str, path: str) -> None:
        with pytest.raises(Problem) as caught:
            route(method, path)
        assert caught.value.status == 404
        assert str(caught.value).startswith(f"Unrecognized request URL ({method}: {path}).")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("", None),
        ("Bearer sk_test_1", "sk_test_1"),
        ("bearer  sk_test_1 ", "sk_test_1"),
        ("Basic c2tfdGVzdF8xOg==", "sk_test_1"),
        ("Basic ???", None),
        ("Digest x", None),
    ],
)
def test_a_key_is_read_from_the_header(header: str | None, key: str | None) -> None:
    assert read_key(header) == key


class TestWSGI:
    @staticmethod
    def call(
        emulator: Emulator, method: str, path: str, body: bytes = b"", *, cut: int = 0
    ) -> tuple[str, dict[str, str], bytes]:
        answers: list[Any] = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "HTTP_AUTHORIZATION": "Bearer sk_test_x",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body) + cut),
            "wsgi.input": io.BytesIO(body),
        }
        data = b"".join(emulator.wsgi(environ, lambda status, headers: answers.append((status, dict(headers)))))
        ((status, headers),) = answers
        return status, headers, data

    def test_it_serves_stripe_and_the_control_api(self) -> None:
        emulator = Emulator()
        status, headers, _ = self.call(emulator, "POST", "/v1/customers", b"email=a@example.com")
        assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
        assert b"a@example.com" in self.call(emulator, "GET", "/_emulator/objects/customer")[2]

    def test_a_body_that_ends_too_early_asks_for_nothing(self) -> None:
        emulator = Emulator()
        with pytest.raises(ConnectionAbortedError):
            self.call(emulator, "POST", "/v1/customers", b"email=a@example", cut=4)
        assert (emulator.requests, emulator.objects("customer")) == ([], [])

    def test_a_cut_aborts_the_connection(self) -> None:
        emulator = Emulator()
        emulator.fault("cut_before")
        with pytest.raises(ConnectionAbortedError):
            self.call(emulator, "GET", "/v1/customers")
        assert emulator.requests[0].status == 0


def test_a_cut_says_how() -> None:
    assert ConnectionCut("timeout", 3).how == "timeout"
