"""The behaviour of Stripe on which the service relies, called through stripe-python at the emulator or a sandbox."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import stripe

Client = stripe.StripeClient
Find = Callable[..., list[dict[str, Any]]]


def refused(status: int, code: str | None = None, param: str | None = None) -> Any:
    """Assert that Stripe refuses the block with this error."""
    return _Refused(status, code, param)


class _Refused:
    def __init__(self, status: int, code: str | None, param: str | None) -> None:
        self._expected = (status, code, param)
        self.error: stripe.StripeError | None = None

    def __enter__(self) -> "_Refused":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if error is None:
            pytest.fail("Stripe did not refuse")
        if not isinstance(error, stripe.StripeError):
            return False
        self.error = error
        body = error.json_body["error"]
        assert (error.http_status, body.get("code"), body.get("param")) == self._expected
        return True

    def __str__(self) -> str:
        return str(self.error)


def product(client: Client, **params: Any) -> Any:
    return client.v1.products.create({"name": "Widget", **params})


def price(client: Client, **params: Any) -> Any:
    whole = {"currency": "usd", "unit_amount": 500, **params}
    if "product" not in whole and "product_data" not in whole:
        whole["product"] = product(client).id
    return client.v1.prices.create(whole)


class TestIdempotency:
    def test_a_repeated_key_makes_one_object(self, client: Client, key: str, email: str) -> None:
        first, second = (client.v1.customers.create({"email": email}, {"idempotency_key": key}) for _ in range(2))

        assert first.id == second.id
        assert len(client.v1.customers.list({"email": email}).data) == 1

    def test_a_replay_says_so_and_names_the_original_request(self, client: Client, key: str) -> None:
        first = client.v1.customers.create({}, {"idempotency_key": key}).last_response
        again = client.v1.customers.create({}, {"idempotency_key": key}).last_response

        assert "Idempotent-Replayed" not in first.headers
        assert first.headers["Original-Request"] == first.request_id
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Original-Request"] == first.request_id
        assert again.request_id != first.request_id
        assert again.headers["Idempotency-Key"] == key

    def test_a_replay_returns_the_stale_body(self, client: Client, key: str) -> None:
        made = client.v1.customers.create({"name": "old"}, {"idempotency_key": key})
        client.v1.customers.update(made.id, {"name": "new"})

        assert client.v1.customers.create({"name": "old"}, {"idempotency_key": key}).name == "old"

    def test_a_key_with_other_parameters_is_refused(self, client: Client, key: str) -> None:
        client.v1.customers.create({"name": "a"}, {"idempotency_key": key})

        with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with") as caught:
            client.v1.customers.create({"name": "b"}, {"idempotency_key": key})
        assert caught.value.http_status == 400

    def test_a_key_at_another_endpoint_is_refused(self, client: Client, key: str) -> None:
        client.v1.customers.create({}, {"idempotency_key": key})

        with pytest.raises(stripe.IdempotencyError, match="same endpoint they were first used for"):
            client.v1.products.create({"name": "x"}, {"idempotency_key": key})

    def test_refused_parameters_do_not_use_up_the_key(self, client: Client, key: str) -> None:
        with refused(400, "parameter_unknown", "colour"):
            client.v1.customers.create({"colour": "red"}, {"idempotency_key": key})  # type: ignore[typeddict-unknown-key]

        assert client.v1.customers.create({"name": "a"}, {"idempotency_key": key}).name == "a"

    def test_a_key_has_no_effect_on_a_read(self, client: Client, key: str) -> None:
        made = client.v1.customers.create({}, {"idempotency_key": key})

        assert client.v1.customers.retrieve(made.id, options={"idempotency_key": key}).id == made.id


class TestRefusals:
    def test_a_required_parameter(self, client: Client) -> None:
        with refused(400, "parameter_missing", "name") as reason:
            client.v1.products.create({})  # type: ignore[typeddict-item]
        assert "Missing required param: name." in str(reason)

    def test_an_unknown_parameter(self, client: Client) -> None:
        with refused(400, "parameter_unknown", "foo") as reason:
            client.v1.customers.create({"foo": "1"})  # type: ignore[typeddict-unknown-key]
        assert "Received unknown parameter: foo" in str(reason)

    def test_an_email_address(self, client: Client) -> None:
        with refused(400, "email_invalid", "email") as reason:
            client.v1.customers.create({"email": "nobody"})
        assert "Invalid email address: nobody" in str(reason)

    def test_an_integer(self, client: Client) -> None:
        with refused(400, "parameter_invalid_integer", "balance"):
            client.v1.customers.create({"balance": "many"})  # type: ignore[typeddict-item]

    def test_an_empty_required_value(self, client: Client) -> None:
        with refused(400, "parameter_invalid_empty", "name"):
            client.v1.products.create({"name": ""})

    def test_a_missing_id_in_the_path(self, client: Client) -> None:
        with refused(404, "resource_missing", "id") as reason:
            client.v1.customers.retrieve("cus_nobody")
        assert "No such customer: 'cus_nobody'" in str(reason)

    def test_a_missing_id_in_the_body(self, client: Client) -> None:
        with refused(400, "resource_missing", "product") as reason:
            client.v1.prices.create({"currency": "usd", "unit_amount": 1, "product": "prod_none"})
        assert "No such product: 'prod_none'" in str(reason)

    def test_a_price_is_not_deletable(self, client: Client) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as caught:
            client.raw_request("delete", f"/v1/prices/{price(client).id}")
        assert (caught.value.http_status, caught.value.code) == (404, None)

    def test_a_currency(self, client: Client) -> None:
        with refused(400, None, "currency"):
            price(client, currency="zzz")

    @pytest.mark.parametrize("percent", [0, 101])
    def test_a_percentage(self, client: Client, percent: int) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.coupons.create({"percent_off": percent})
        assert caught.value.param == "percent_off"

    def test_an_unknown_key(self, client: Client) -> None:
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            client.v1.customers.list(options={"api_key": "sk_test-wrong"})


class TestValues:
    def test_an_empty_string_unsets(self, client: Client) -> None:
        made = client.v1.customers.create({"name": "a", "metadata": {"k": "v"}})
        changed = client.v1.customers.update(made.id, {"name": "", "metadata": ""})

        assert changed.name is None
        assert changed.to_dict()["metadata"] == {}

    def test_metadata_is_merged(self, client: Client) -> None:
        made = client.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
        changed = client.v1.customers.update(made.id, {"metadata": {"a": "", "c": "3"}})

        assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}

    def test_an_upper_case_currency_is_lowered(self, client: Client) -> None:
        assert price(client, currency="USD").currency == "usd"

    def test_an_exact_amount_without_fraction_is_an_amount(self, client: Client) -> None:
        made = price(client, unit_amount=None, unit_amount_decimal="250")

        assert made.unit_amount == 250

    def test_a_part_of_a_cent_has_no_amount(self, client: Client) -> None:
        made = price(client, unit_amount=None, unit_amount_decimal="0.25")

        assert (made.unit_amount, str(made.unit_amount_decimal)) == (None, "0.25")

    def test_an_address_shows_all_its_lines(self, client: Client) -> None:
        address = client.v1.customers.create({"address": {"city": "Bern"}}).to_dict()["address"]

        assert address == {"city": "Bern"} | dict.fromkeys(["country", "line1", "line2", "postal_code", "state"])

    def test_test_keys_make_test_objects(self, client: Client) -> None:
        assert client.v1.customers.create({}).livemode is False


class TestDeletion:
    def test_a_deleted_customer_leaves_a_readable_stub(self, client: Client) -> None:
        id = client.v1.customers.create({}).id

        assert client.v1.customers.delete(id).to_dict() == {"id": id, "object": "customer", "deleted": True}
        assert client.v1.customers.retrieve(id).to_dict() == {"id": id, "object": "customer", "deleted": True}

    def test_a_deleted_customer_cannot_be_changed_or_deleted(self, client: Client) -> None:
        id = client.v1.customers.create({}).id
        client.v1.customers.delete(id)

        with refused(404, "resource_missing", "id"):
            client.v1.customers.update(id, {"name": "x"})
        with refused(404, "resource_missing", "id"):
            client.v1.customers.delete(id)

    def test_a_deleted_coupon_is_gone(self, client: Client) -> None:
        id = client.v1.coupons.create({"percent_off": 10}).id
        client.v1.coupons.delete(id)

        with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
            client.v1.coupons.retrieve(id)

    def test_a_product_with_a_price_stays(self, client: Client) -> None:
        made = price(client)

        with pytest.raises(stripe.InvalidRequestError, match="it has one or more user-created prices"):
            client.v1.products.delete(made.product)
        assert client.v1.products.update(made.product, {"active": False}).active is False

    def test_a_product_without_price_goes(self, client: Client) -> None:
        id = product(client).id
        client.v1.products.delete(id)

        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.products.retrieve(id)
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")

    def test_the_default_price_cannot_be_archived(self, client: Client) -> None:
        made = product(client, default_price_data={"currency": "usd", "unit_amount": 100})

        with pytest.raises(stripe.InvalidRequestError, match="default price"):
            client.v1.prices.update(made.default_price, {"active": False})

    @pytest.mark.parametrize("kind", ["products", "coupons"])
    def test_an_own_id_is_used_once(self, client: Client, kind: str) -> None:
        id = f"own-{uuid.uuid4().hex}"
        params: dict[str, Any] = {"products": {"name": "x"}, "coupons": {"percent_off": 5}}[kind]
        service = getattr(client.v1, kind)

        assert service.create({**params, "id": id}).id == id
        with refused(400, "resource_already_exists", "id"):
            service.create({**params, "id": id})


class TestPromotionCodes:
    @pytest.fixture
    def coupon(self, client: Client) -> str:
        return client.v1.coupons.create({"percent_off": 10}).id

    def test_it_shows_its_promotion(self, client: Client, coupon: str) -> None:
        made = client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})

        assert made.promotion.to_dict() == {"type": "coupon", "coupon": coupon}

    def test_a_code_is_unique_among_the_active_whatever_its_case(self, client: Client, coupon: str) -> None:
        code = f"Fall{uuid.uuid4().hex[:8]}"
        params: Any = {"promotion": {"type": "coupon", "coupon": coupon}, "code": code}
        first = client.v1.promotion_codes.create(params)

        with pytest.raises(stripe.InvalidRequestError, match="already exists"):
            client.v1.promotion_codes.create({**params, "code": code.upper()})
        client.v1.promotion_codes.update(first.id, {"active": False})
        client.v1.promotion_codes.create({**params, "code": code.upper()})
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.promotion_codes.update(first.id, {"active": True})


class TestLists:
    @pytest.fixture
    def five(self, client: Client, email: str) -> list[str]:
        """Lists are sorted newest first."""
        return [client.v1.customers.create({"email": email}).id for _ in range(5)][::-1]

    def test_they_are_newest_first_and_say_whether_there_is_more(
        self, client: Client, email: str, five: list[str]
    ) -> None:
        page = client.v1.customers.list({"email": email, "limit": 3})

        assert ([each.id for each in page.data], page.has_more, page.url) == (five[:3], True, "/v1/customers")

    def test_cursors_go_both_ways(self, client: Client, email: str, five: list[str]) -> None:
        older = client.v1.customers.list({"email": email, "limit": 2, "starting_after": five[1]})
        newer = client.v1.customers.list({"email": email, "limit": 2, "ending_before": five[4]})

        assert ([each.id for each in older.data], older.has_more) == (five[2:4], True)
        assert ([each.id for each in newer.data], newer.has_more) == (five[2:4], True)

    def test_every_page_together_is_everything_once(self, client: Client, email: str, five: list[str]) -> None:
        pages = client.v1.customers.list({"email": email, "limit": 2})

        assert [each.id for each in pages.auto_paging_iter()] == five

    def test_one_cursor_at_a_time(self, client: Client, five: list[str]) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="Please pass in only one"):
            client.v1.customers.list({"starting_after": five[0], "ending_before": five[1]})

    def test_an_unknown_cursor_is_refused(self, client: Client) -> None:
        with refused(400, "resource_missing", "starting_after"):
            client.v1.customers.list({"starting_after": "cus_nobody"})

    @pytest.mark.parametrize("limit", [0, 101, "ten"])
    def test_a_limit_is_1_to_100(self, client: Client, limit: Any) -> None:
        with refused(400, "parameter_invalid_integer", "limit"):
            client.v1.customers.list({"limit": limit})

    def test_created_is_a_second_or_a_window(self, client: Client, email: str, five: list[str]) -> None:
        second = client.v1.customers.retrieve(five[0]).created

        def found(created: Any) -> set[str]:
            return {each.id for each in client.v1.customers.list({"email": email, "created": created}).data}

        assert five[0] in found(second)
        assert five[0] in found({"gte": second, "lt": second + 1})
        assert five[0] not in found({"gt": second})
        assert found({"lte": second}) == set(five)

    def test_deleted_objects_are_not_listed(self, client: Client, email: str, five: list[str]) -> None:
        client.v1.customers.delete(five[0])

        assert [each.id for each in client.v1.customers.list({"email": email}).data] == five[1:]

    def test_prices_are_found_by_lookup_key_and_product(self, client: Client) -> None:
        lookup = uuid.uuid4().hex
        made = price(client, lookup_key=lookup)

        assert [each.id for each in client.v1.prices.list({"lookup_keys": [lookup]}).data] == [made.id]
        assert [each.id for each in client.v1.prices.list({"product": made.product}).data] == [made.id]
        with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
            price(client, lookup_key=lookup)

    def test_promotion_codes_are_found_by_code_and_coupon(self, client: Client) -> None:
        coupon = client.v1.coupons.create({"percent_off": 10}).id
        made = client.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}})

        assert [each.id for each in client.v1.promotion_codes.list({"coupon": coupon}).data] == [made.id]
        assert [each.id for each in client.v1.promotion_codes.list({"code": made.code}).data] == [made.id]

    def test_money_on_a_customer_can_be_looked_for(self, client: Client) -> None:
        customer = client.v1.customers.create({}).id

        assert client.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []
        assert client.v1.payment_intents.list({"customer": customer}).data == []
        assert client.v1.charges.list({"customer": customer}).data == []
        assert client.v1.invoices.list({"customer": customer}).data == []


class TestExpansion:
    def test_an_id_becomes_its_object(self, client: Client) -> None:
        made = price(client)

        assert client.v1.prices.retrieve(made.id, {"expand": ["product"]}).product.object == "product"  # type: ignore[union-attr]
        listed = client.v1.prices.list({"product": made.product, "expand": ["data.product"]})
        assert listed.data[0].product.id == made.product  # type: ignore[union-attr]

    def test_a_path_can_have_several_levels(self, client: Client) -> None:
        made = product(client, default_price_data={"currency": "usd", "unit_amount": 5})
        deep = client.v1.products.retrieve(made.id, {"expand": ["default_price.product"]})

        assert deep.default_price.product.id == made.id  # type: ignore[union-attr]

    def test_a_wrong_path_is_refused_and_makes_nothing(self, client: Client, email: str) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="This property cannot be expanded"):
            client.v1.customers.create({"email": email, "expand": ["nothing"]})
        assert client.v1.customers.list({"email": email}).data == []


class TestEvents:
    def test_a_creation_event_carries_the_key(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.customers.create({}, {"idempotency_key": key})

        (event,) = events_with(key)
        assert event["type"] == "customer.created"
        assert event["data"]["object"]["id"] == made.id
        assert event["request"] == {"id": made.last_response.request_id, "idempotency_key": key}
        assert event["livemode"] is False
        assert "account" not in event

    def test_everything_that_one_request_makes_carries_its_key(
        self, client: Client, key: str, events_with: Find
    ) -> None:
        price = client.v1.prices.create(
            {"currency": "usd", "unit_amount": 5, "recurring": {"interval": "month"}, "product_data": {"name": "x"}},
            {"idempotency_key": key},
        )

        events = {event["type"]: event["data"]["object"] for event in events_with(key, at_least=3)}
        assert events.keys() == {"price.created", "plan.created", "product.created"}
        assert (events["plan.created"]["id"], events["plan.created"]["object"]) == (price.id, "plan")
        assert events["product.created"]["id"] == price.product

    def test_a_default_price_carries_the_key_of_its_product(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.products.create(
            {"name": "x", "default_price_data": {"currency": "usd", "unit_amount": 5}}, {"idempotency_key": key}
        )

        events = {event["type"]: event["data"]["object"] for event in events_with(key, at_least=2)}
        assert events["price.created"]["id"] == made.default_price
        assert events["product.created"]["id"] == made.id

    def test_an_update_tells_the_old_values(self, client: Client, key: str, events_with: Find) -> None:
        made = client.v1.customers.create({"name": "old", "address": {"city": "A", "line1": "1"}})
        client.v1.customers.update(made.id, {"name": "new"}, {"idempotency_key": key})

        (event,) = events_with(key)
        assert event["type"] == "customer.updated"
        assert event["data"]["previous_attributes"] == {"name": "old"}

    def test_a_replay_makes_no_event(self, client: Client, key: str, events_with: Find) -> None:
        for _ in range(2):
            client.v1.customers.create({}, {"idempotency_key": key})

        assert len(events_with(key)) == 1

    def test_types_exclude_each_other_and_can_be_wild(self, client: Client, key: str, events_with: Find) -> None:
        client.v1.customers.create({}, {"idempotency_key": key})
        events_with(key)

        assert {event.type for event in client.v1.events.list({"type": "customer.*"}).data} >= {"customer.created"}
        assert client.v1.events.list({"types": ["customer.created"]}).data[0].type == "customer.created"
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.events.list({"type": "customer.*", "types": ["customer.created"]})

    def test_an_event_can_be_read_by_id(self, client: Client, key: str, events_with: Find) -> None:
        client.v1.customers.create({}, {"idempotency_key": key})
        (event,) = events_with(key)

        assert client.v1.events.retrieve(event["id"]).type == "customer.created"


def test_the_account_is_named(client: Client) -> None:
    account = client.v1.accounts.retrieve_current()

    assert account.id.startswith("acct_")


def test_a_webhook_endpoint_tells_its_secret_once(client: Client) -> None:
    made = client.v1.webhook_endpoints.create(
        {"url": "https://example.com/hook", "enabled_events": ["customer.created"], "api_version": "2026-10-28.endive"}
    )
    try:
        assert made.secret.startswith("whsec_")  # type: ignore[union-attr]
        read = client.v1.webhook_endpoints.retrieve(made.id)
        assert "secret" not in read
        assert (read.status, read.api_version) == ("enabled", "2026-10-28.endive")
        assert client.v1.webhook_endpoints.update(made.id, {"disabled": True}).status == "disabled"
    finally:
        assert client.v1.webhook_endpoints.delete(made.id).deleted is True


def test_every_reply_names_its_request_and_version(client: Client) -> None:
    made = client.v1.customers.create({}, {"stripe_version": "2026-09-30.endive"})

    assert made.last_response.request_id.startswith("req_")  # type: ignore[union-attr]
    assert made.last_response.headers["Stripe-Version"] == "2026-09-30.endive"
    assert made.last_response.headers["Stripe-Should-Retry"] == "false"
