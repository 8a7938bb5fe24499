"""THE assertion: what must hold of MongoDB and Stripe together, once everything has settled."""

from stripe_mongo_sync.emulator.engine.resource import RESOURCES
from stripe_mongo_sync.models import Delivery, Event, Order, StagedDocument, Status, kinds
from stripe_mongo_sync.models.erasure import rows_of
from stripe_mongo_sync.models.rows.content import digest
from stripe_mongo_sync.models.rows.keys import PREFIX
from stripe_mongo_sync.models.rows.scrub import scrub
from stripe_mongo_sync.sync.personal.persons import owners_of, right_owners
from stripe_mongo_sync.sync.runs.sound import suspects, unsound
from stripe_mongo_sync.sync.shop.orders import recompute
from tests.support.world import World

DAY = 86_400  # s, for which Stripe knows a key
SILENT = {"balance_transaction": ("status",)}  # what time alone changes: until a full comparison, nothing tells of it


def assert_in_sync(world: World, *, review: bool = False) -> None:
    """Assert that both sides are one; with `review`, documents in review may keep what a person must decide about."""
    documents = world.documents()
    for document in documents:
        story = f"{document.resource.kind} {document.to_mongo().to_dict()}"
        if document.review_reason is not None:
            decides = review or person_decides(document) or was_paid_twice(world, document)
            assert decides, f"in review: {story}"
            continue
        assert document.status != Status.PENDING, f"still pending: {story}"
        assert document.operation is None or document.status == Status.ROLLED_BACK, f"operation left: {story}"
        assert document.due_at is None, f"still due: {story}"
        assert not document.orphans, f"orphans left: {story}"
        assert document.is_current == (document.status == Status.ACTIVE), story
        linked = document.stripe_id or not document.resource.path
        assert document.status == Status.ROLLED_BACK or linked, f"not linked: {story}"
    models = {type(document) for document in documents}
    for model in models:
        for row in model.own_rows().find():
            fields = model.edited(row)
            assert not fields, f"passes for edited by hand, in {fields}: {row}"
    for model in suspects(models):
        assert not (found := [*unsound(model)]), f"{model.__name__} passes for edited by hand: {found}"
    assert_found_by_owners(models)
    undecided = {document.resource.kind for document in documents if document.review_reason is not None}
    for order in Order.objects(status=Status.ACTIVE, review_reason=None):
        assert recompute(order).revision == order.revision, f"the order does not follow its payment: {order.to_mongo()}"
    for kind in {document.resource.kind for document in documents} & RESOURCES.keys():
        here = {d.stripe_id: d for d in documents if d.resource.kind == kind and d.status == Status.ACTIVE}
        active = [d for d in documents if d.resource.kind == kind and d.status == Status.ACTIVE]
        assert len(here) == len(active), f"two documents of one {kind}"
        there = {remote["id"]: remote for remote in world.stripe.objects(kind)}
        resource = kinds()[kind].resource
        owners = {name: {remote["id"] for remote in world.stripe.objects(name)} for name in resource.owners}
        reached = [
            remote
            for remote in there.values()
            if all(remote.get(name) is None or remote[name] in ids for name, ids in owners.items())
        ]
        usable = {remote["id"] for remote in reached if resource.is_usable(remote)}  # what had an owner went with it
        assert here.keys() <= there.keys(), f"{kind} without an object: {here.keys() - there.keys()}"
        if kind not in undecided and RESOURCES[kind].within is None:  # what is a part of others has no event
            assert usable <= here.keys(), f"orphans: {usable - here.keys()}"
        for stripe_id, document in here.items():
            if document.review_reason is None:
                now = dict(there[stripe_id])
                now |= {name: (document.stripe or {}).get(name) for name in SILENT.get(kind, ()) if name in now}
                seen = now if document.erased_at is None else scrub(now)
                assert document.digest == digest(seen), f"{kind} {stripe_id} differs: {document.stripe}"
    assert_no_custom_data(world)
    keys: dict[str, tuple[str, str]] = {}
    for request in world.stripe.requests:
        if request.method == "POST" and request.key and request.key.startswith(PREFIX):
            sent = (request.path, repr(request.params))
            assert keys.setdefault(request.key, sent) == sent, f"one key, two requests: {request}"


def person_decides(document: StagedDocument) -> bool:
    """Whether a person may have to decide about it.

    What moves money is neither repeated nor given up on a guess; what Stripe makes without an event, no key can tell.
    """
    operation, resource = document.operation, document.resource
    return not resource.has_created_event or (
        operation is not None and resource.moves_money(operation.verb, operation.params)
    )


def was_paid_twice(world: World, document: StagedDocument) -> bool:
    """Whether its key made a second payment, which succeeded, a day later: a request that was executed when Stripe had
    forgotten the key. Nothing undoes that but a refund, and whether to refund is for a person to say.
    """
    kind, ours = document.resource.kind, {document.stripe_id, *document.orphans}
    paid = [each for each in world.stripe.objects(kind) if each["id"] in ours and each.get("status") == "succeeded"]
    made = [remote["created"] for remote in paid]
    return bool(document.orphans) and len(made) > 1 and max(made) - min(made) >= DAY


def assert_found_by_owners(models: set[type[StagedDocument]]) -> None:
    """Assert that each row names whose it is, so that an erasure finds it without a search of all rows."""
    for model in models:
        for row in rows_of(model):
            assert not right_owners(model, row), f"another document's owners: {row}"
    for each in (Event, Delivery):
        for row in rows_of(each):
            assert {*owners_of(each, row)} <= {*row["owners"]}, f"not found by all of its owners: {row}"


def assert_no_custom_data(world: World) -> None:
    """Assert that no metadata was ever sent."""
    for request in world.stripe.requests:
        assert "metadata" not in repr(request.params), request
