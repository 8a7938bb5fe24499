"""The permissions that a restricted Stripe key needs for each command, derived from the registry.

Write includes read, as in the Dashboard. Stripe's refusal names a missing permission: `rak_customer_write`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stripe_mongo_sync.models import changed_kinds, created_kinds, kinds
from stripe_mongo_sync.models.owned import UNLISTED

PORTAL, FILE = "billing_portal.session", "file"


@dataclass(frozen=True)
class Permissions:
    """The kinds, or groups of kinds, that a key must read, and those that it must read and write."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    def names(self) -> set[str]:
        """Return the permissions as Stripe names them."""
        written = members(self.write)
        read = {f"rak_{kind}_read" for kind in {*members(self.read), *written} - {PORTAL}}
        return read | {f"rak_{kind}_write" for kind in written}


CREATED, CHANGED, MIRRORED, LISTED = "*created*", "*changed*", "*mirrored*", "*listed*"
NEEDS: dict[str, Permissions] = {
    "the service, and calls in process": Permissions(("account", MIRRORED), (CREATED, CHANGED, FILE, PORTAL)),
    "`reconcile`, `events replay`, `operations retry \\| roll-back \\| link`": Permissions(
        ("account", "event", MIRRORED), (CREATED, CHANGED)
    ),
    "`reconcile --dry-run`, `operations show`": Permissions(("account", "event", CREATED, MIRRORED)),
    "`backfill`": Permissions(("account", "event", LISTED)),
    "`doctor`": Permissions(("account", "event", "webhook_endpoint", CREATED)),
    "`doctor --ping`": Permissions(("account", "event", "webhook_endpoint", CREATED), ("event_destination",)),
    "`endpoint list`": Permissions(("account", "webhook_endpoint")),
    "`endpoint create \\| update \\| roll \\| delete`": Permissions(("account",), ("webhook_endpoint",)),
    "`usage run`, and `reconcile` where usage is recorded": Permissions(("account",), ("billing.meter_event",)),
    "`payouts`": Permissions(("account", "payout", "balance_transaction")),
    "`erase`": Permissions(("account",), ("customer",)),
    "`status`, `export`, `types`, `hooks`, `events list`, `operations list`, "
    "`migrate`, `indexes`, `new-installation`, `completion`": Permissions(),
}
SPOKEN = {
    CREATED: "every type that is created",
    CHANGED: "what is changed, but never created (`dispute`)",
    MIRRORED: "every mirrored type",
    LISTED: "every type that is listed, whole or by owner",
}


def members(groups: Iterable[str]) -> list[str]:
    """Return the named kinds, with each group replaced by its members."""
    every = kinds()
    of = {
        CREATED: [kind for kind, model in created_kinds().items() if model.resource.path and not model.resource.owners],
        CHANGED: [kind for kind in changed_kinds() if kind not in created_kinds()],
        MIRRORED: [kind for kind, model in every.items() if model.resource.mirrored and model.resource.path],
        LISTED: [kind for kind, model in every.items() if model.resource.path and kind not in UNLISTED],
    }  # what is created under its owner needs the permissions of the owner
    return [kind for group in groups for kind in of.get(group, [group])]


def markdown() -> str:
    """Return the table of docs/SECURITY.md."""

    def spoken(groups: Iterable[str]) -> str:
        return ", ".join(SPOKEN.get(group, f"`{group}`") for group in groups) or "–"

    rows = [f"| {what} | {spoken(needs.read)} | {spoken(needs.write)} |" for what, needs in NEEDS.items()]
    created = ", ".join(f"`{kind}`" for kind in sorted(members([CREATED])))
    return "\n".join(["| what | read | write |", "|---|---|---|", *rows, "", f"Created are: {created}."])
