"""Whatever dies, it converges: every journey is killed before each of its effects in turn, then reconciled.

The crash points are generated: the fuse kills before the first effect, the second, … until the journey survives.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import SyncedDocument, changed_kinds, created_kinds, kinds
from stripe_mongo_sync.models.base.input import accepted
from tests.support import samples
from tests.support.in_sync import assert_in_sync
from tests.support.lives import Lives
from tests.support.representatives import row
from tests.support.world import World

Act = Callable[[], object]
REFUSALS = (sync.Refused, sync.NotFound)


@dataclass(frozen=True)
class Journey:
    """`arrange` sets the scene and returns the act that is killed."""

    name: str
    arrange: Callable[[World, str], Act]
    deletable: bool = False  # only for kinds that Stripe deletes

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of docs/FAULTS.md that it shows."""
        return ROWS[self.name.partition(",")[0] if self.name.startswith(("update", "delete")) else self.name]


def creating(*faults: str, times: int = 1) -> Callable[[World, str], Act]:
    def arrange(world: World, kind: str) -> Act:
        ready = samples.body(kind)
        world.deliver()
        for fault in faults:
            world.stripe.fault(fault, method="POST", times=times)
        return lambda: quietly(lambda: sync.create(kinds()[kind], ready))

    return arrange


def updating(*faults: str) -> Callable[[World, str], Act]:
    def arrange(world: World, kind: str) -> Act:
        document = samples.create(kind)
        world.deliver()
        for fault in faults:
            world.stripe.fault(fault, method="POST")
        return lambda: quietly(lambda: sync.update(document.fetch_latest(), samples.CHANGES[kind]))

    return arrange


def deleting(*faults: str) -> Callable[[World, str], Act]:
    def arrange(world: World, kind: str) -> Act:
        document = samples.create(kind)
        world.deliver()
        for fault in faults:
            world.stripe.fault(fault, method="DELETE")
        return lambda: quietly(lambda: sync.delete(document.fetch_latest()))

    return arrange


def acting(action: str, *faults: str) -> Callable[[World, str], Act]:
    def arrange(world: World, kind: str) -> Act:
        document = samples.ready(kind, action)
        given = samples.given(kind, action)
        world.deliver()
        for fault in faults:
            world.stripe.fault(fault, method="POST")
            world.stripe.fault(fault, method="DELETE")
        return lambda: quietly(lambda: sync.act(document.fetch_latest(), action, given))

    return arrange


def attaching(world: World, kind: str) -> Act:
    """An upload of evidence, whose staging is answered by nobody."""
    document = samples.create(kind)
    world.deliver()
    world.stripe.fault("cut_after", method="POST", path=document.path, times=2)
    file = ("receipt.pdf", b"%PDF-1.7")
    return lambda: quietly(lambda: sync.attach_evidence(document.fetch_latest(), receipt=file))


def hearing(what: Callable[[World, str, SyncedDocument], object]) -> Callable[[World, str], Act]:
    """The webhooks of what happened to a document."""

    def arrange(world: World, kind: str) -> Act:
        document = samples.create(kind)
        world.deliver()
        what(world, kind, document)
        bodies = world.webhooks()
        return lambda: [world.send(raw) for raw in bodies]

    return arrange


def reconciling(*faults: str, hours: float = 1, late: bool = False) -> Callable[[World, str], Act]:
    """A reconcile of a creation that ended unknown, whose webhooks were lost."""

    def arrange(world: World, kind: str) -> Act:
        ready = samples.body(kind)
        world.deliver()
        world.reconcile()
        for fault in faults:
            world.stripe.fault(fault, method="POST", times=2)
        quietly(lambda: sync.create(kinds()[kind], ready))
        world.webhooks()
        world.advance(hours=hours)
        if late:  # given up, and then Stripe made it after all
            world.converge()
            document = kinds()[kind].objects.order_by("-created_at").first()
            world.stripe.repair(request={"id": None, "idempotency_key": document.creation_key})
            world.advance(minutes=10)
        return world.reconcile

    return arrange


def quietly(act: Act) -> None:
    with suppress(*REFUSALS):
        act()


def edited(world: World, kind: str, document: SyncedDocument) -> None:
    field = next(iter(samples.CHANGES[kind]))
    value = samples.CHANGES[kind][field]
    world.stripe.dashboard.update(kind, document.stripe_id, **{field: value})
    world.stripe.dashboard.update(kind, document.stripe_id, **{field: not value if value is False else f"{value}!"})


def removed(world: World, kind: str, document: SyncedDocument) -> None:
    world.stripe.dashboard.delete(kind, document.stripe_id)


JOURNEYS = [
    Journey("create", creating()),
    Journey("create, declined", creating("decline")),
    Journey("create, reply lost", creating("cut_after")),
    Journey("create, request lost", creating("cut_before")),
    Journey("create, 500 stored and nothing made", creating("500_before")),
    Journey("create, 500 stored and made all the same", creating("500_after")),
    Journey("create, 503 at the edge", creating("503_edge")),
    Journey("create, unreadable reply", creating("bad_body")),
    Journey("create, request comes late", creating("late_request", times=2)),
    Journey("update", updating()),
    Journey("update, declined", updating("decline")),
    Journey("update, reply lost", updating("cut_after")),
    Journey("update, 500 stored and nothing changed", updating("500_before")),
    Journey("update, 500 stored and changed all the same", updating("500_after")),
    Journey("delete", deleting(), deletable=True),
    Journey("delete, reply lost", deleting("cut_after"), deletable=True),
    Journey("delete, 503 at the edge", deleting("503_edge"), deletable=True),
    Journey("hear of two edits in one second", hearing(edited)),
    Journey("hear of a deletion", hearing(removed), deletable=True),
    Journey("reconcile a lost reply", reconciling("cut_after")),
    Journey("reconcile a lost request", reconciling("cut_before")),
    Journey("reconcile a lost reply whose key is too old", reconciling("cut_after", hours=30)),
    Journey("reconcile a lost request whose key is too old", reconciling("cut_before", hours=30)),
    Journey("reconcile a stored 500, nothing made", reconciling("500_before")),
    Journey("reconcile a stored 500, made all the same", reconciling("500_after")),
    Journey("undo a late orphan", reconciling("500_repair", late=True)),
]


ROWS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("create", "create, reply lost"), ("1", "2", "4", "5")),
    "create, declined": ("19",),
    "create, request lost": ("11",),
    "create, 500 stored and nothing made": ("14",),
    "create, 500 stored and made all the same": ("14",),
    "create, 503 at the edge": ("17",),
    "create, unreadable reply": ("13",),
    "create, request comes late": ("23",),
    "update": ("52",),
    "delete": ("55",),
    "hear of two edits in one second": ("36",),
    "hear of a deletion": ("36",),
    "reconcile a lost reply": ("43",),
    "reconcile a lost request": ("43", "3"),
    "reconcile a lost reply whose key is too old": ("24",),
    "reconcile a lost request whose key is too old": ("45",),
    "reconcile a stored 500, nothing made": ("45",),
    "reconcile a stored 500, made all the same": ("14",),
    "undo a late orphan": ("45",),
}
# What a refresh, a list and a run ask of a kind.
SHOWN = ("path", "has_created_event", "listable", "expand", "parts", "moves_money_if")
EVERY_KIND = {  # and what else each of them asks
    "create, reply lost": (
        "event_prefixes",
        "readable_after_delete",
        "accepts_custom_id",
        "correlation_field",
        "list_params",
        "leaves_out",
        "created_filter",
    ),
    "update, reply lost": ("readable_after_delete", "shown_if"),
    "delete, reply lost": ("deleted_while", "readable_after_delete"),
    "undo a late orphan": ("undo", "undo_blockers", "accepts_custom_id"),
}


def told(journey: Journey, kind: str) -> tuple[object, ...]:
    """What the code sees of a kind, on this journey."""
    return journey.name, row(*SHOWN, *EVERY_KIND[journey.name])(kind)


def done(kind: str, name: str) -> tuple[object, ...]:
    """What the code sees of an action. Each that moves money is one of its own."""
    action = kinds()[kind].resource.actions[name]
    return (
        action.moves_money and (kind, name),
        action.calls is None,
        not accepted(kinds()[kind], name),
        row("path", "has_created_event", "listable", "correlation_field")(kind),
    )


def cases() -> Iterator[Any]:
    """Every journey of a customer; of the other kinds, which share the mechanism, those where a kind can differ."""
    met: list[object] = []

    def alike(sight: object) -> list[Any]:
        known = sight in met
        met.append(sight)
        return [pytest.mark.alike] if known else []

    for journey in JOURNEYS:
        models = changed_kinds() if journey.name.startswith("update") else created_kinds()
        for kind, model in sorted(models.items(), key=lambda each: (each[0] != "customer", each[0])):
            fits = model.resource.deletable or not journey.deletable
            fits &= kind in samples.CHANGES or not journey.name.startswith("update")
            undoes = model.resource.has_created_event and bool(model.resource.undo)
            fits &= undoes or not journey.name.startswith("undo")
            if fits and (kind == "customer" or journey.name in EVERY_KIND):
                for heard in (True, False) if kind == "customer" else (False,):
                    name = f"{kind}: {journey.name}, webhooks {'arrive' if heard else 'are lost'}"
                    marks = [pytest.mark.fault(each) for each in journey.rows]
                    if journey.name in EVERY_KIND and not heard:
                        marks += alike(told(journey, kind))
                    yield pytest.param(journey, kind, heard, marks=marks, id=name)
    for kind, actions in sorted(samples.ACTS.items()):
        for action in actions:
            journey = Journey(f"{action}, reply lost", acting(action, "cut_after"))
            shown = "89" if kind == "order" else "88" if action == "payment_method" else "75"
            marks = [pytest.mark.fault(shown), *alike(done(kind, action))]
            yield pytest.param(journey, kind, False, marks=marks, id=f"{kind}: {journey.name}")

    journey = Journey("attach evidence, reply lost", attaching)
    yield pytest.param(journey, "dispute", False, marks=pytest.mark.fault("52"), id=f"dispute: {journey.name}")


def test_every_action_has_a_sample() -> None:
    assert {kind: set(actions) for kind, actions in samples.ACTS.items()} == {
        kind: set(model.resource.actions) for kind, model in kinds().items() if model.resource.actions
    }


@pytest.mark.parametrize(("journey", "kind", "heard"), list(cases()))
def test_every_crash_point_converges(journey: Journey, kind: str, heard: bool, lives: Lives):
    """A comparison with all that Stripe lists heals more than a run does: a shop that was compared has to do without.

    A customer whose webhooks are lost is compared after each death; what is compared of the others is what the last
    leaves, as nothing is further apart.
    """
    world = lives.world
    compared = heard or kind != "customer"
    if compared:
        world.reconcile()
    act = journey.arrange(world, kind)
    # Until Stripe is asked, nothing comes of a fault that awaits it there: those deaths are the plain journey's.
    plain = kind == "customer" and journey.name.startswith(("create,", "update,", "delete,"))
    for death in lives.deaths(act, least=1, since=("before POST", "before DELETE") if plain else ()):
        if heard:
            world.deliver()
        else:
            world.webhooks()
        world.stripe.clear_faults()
        world.stripe.release_late_requests()
        if compared and death.effect == death.of:
            world.reconcile(full=True)
        report = world.converge()
        if heard:
            world.deliver()
        assert_in_sync(world)
        assert report.exit_code == 0 or report.counts["review"], f"{report} after dying {death.died}"
        if death.died is None:
            again = world.reconcile()
            assert not any(again.counts.values()), f"there is no end to it: {again}"
