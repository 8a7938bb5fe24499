"""What a user of the Python API writes. tests/e2e/test_package.py lets mypy check it against the installed package."""

USER = '''"""A shop. What is marked with `wrong` must be told, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from stripe_mongo_sync import (
    Notice, Refused, access, act, aio, connect, create, create_customer, create_order, delete, find, get, on, update
)
from stripe_mongo_sync.models import Customer, Invoice, Order, Product, StagedDocument, SyncedDocument, kinds

connect()
connect("sk_test_1")  # wrong
customer = create_customer("user@here.com", name="A User")
assert_type(customer, Customer)
assert_type(customer.name, str | None)
assert_type(customer.stripe_id, str | None)
assert_type(customer.balance, int)
customer.nmae  # wrong
customer.name = 5  # wrong
customer.name.upper()  # wrong
create_customer(5)  # wrong
if customer.address is not None:
    assert_type(customer.address.city, str | None)
    customer.address.town  # wrong

assert_type(create("product", name="Lamp"), Product)
assert_type(create(Product, {"name": "Lamp"}), Product)
assert_type(create("checkout.session", mode="payment").id.binary, bytes)
create("products", name="Lamp")  # wrong
create("charge", amount=5)  # wrong
create("product", ["Lamp"])  # wrong
create("product", name="Lamp", idempotency_key=5)  # wrong
create(dict, {})  # wrong
repeated: bool = create(Product, {})[1]  # wrong

assert_type(get("customer", "user@here.com"), Customer)
assert_type(get(Customer, customer.id), Customer)
assert_type(get("charge", "ch_123"), SyncedDocument)
assert_type(get(kinds()["charge"], "ch_123"), StagedDocument)
get("customer")  # wrong
get("customer", 5)  # wrong
get("custommer", "user@here.com")  # wrong
get("customer", "user@here.com").save()  # wrong

assert_type(find("invoice", status="active", limit=3), Iterator[Invoice])
assert_type(next(find(Invoice)).number, str | None)
assert_type(find("invoice", customer=customer, created={"gte": 1}), Iterator[Invoice])
assert_type(next(customer.invoices(stripe_status="open")), Invoice)
assert_type(access(customer, product="prod_123"), dict[str, Any])
access(customer, plan="gold")  # wrong
find("invoice", custmer="cus_123")  # wrong
find("invoice", created={"after": 1})  # wrong
find("invoice", username=7)  # wrong
find("invoice")[0]  # wrong

assert_type(update(customer, name="B"), Customer)
assert_type(update(customer, {"name": "B"}), Customer)
assert_type(update("product", "prod_123", active=False), Product)
assert_type(update(Product, "prod_123", {"active": False}), Product)
update("charge", "ch_123", amount=5)  # wrong
assert_type(delete("product", "prod_123"), Product)
assert_type(delete(customer), Customer)
delete("product")  # wrong
assert_type(act("invoice", "in_123", "pay"), Invoice)
assert_type(act(customer, "payment_method", payment_method="pm_123"), Customer)
act("invoice", "in_123")  # wrong

order = create_order("user@here.com", [{"price": "price_123", "quantity": 2}], "checkout")
assert_type(order, Order)
assert_type(order.items[0].quantity, int)
order.items[0].amount  # wrong


@on("customer.active")
def welcome(notice: Notice) -> None:
    print(notice.name, notice.when)  # wrong


async def shop() -> None:
    await aio.connect()
    try:
        assert_type(await aio.create("product", name="Lamp"), Product)
    except aio.Refused as refusal:
        assert_type(refusal.code, str | None)
        assert_type(refusal, Refused)
    assert_type(await aio.create_customer("user@here.com"), Customer)
    assert_type(aio.find("invoice"), AsyncIterator[Invoice])
    assert_type([each async for each in aio.find("invoice")], list[Invoice])
    aio.create("product", name="Lamp").name  # wrong
    for each in aio.find("invoice"):  # wrong
        print(each)
    await aio.get("custommer", "user@here.com")  # wrong
    await aio.create_customer(5)  # wrong


asyncio.run(shop())
'''
