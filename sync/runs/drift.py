"""Drift: the documents that a full comparison found to differ from Stripe, and how much money each is about."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from stripe_mongo_sync.models.rows.content import content
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine.resolve import Run
from stripe_mongo_sync.sync.process.screen import word
from stripe_mongo_sync.sync.runs.edited import tell_log
from stripe_mongo_sync.sync.stripe.dashboard import page_of
from stripe_mongo_sync.sync.stripe.money import readable

SHOWN = 100  # documents in a report; all are counted
EDITED = 10  # of those that were edited by hand; all are logged
AMOUNT = re.compile(r"(\w+_)?(amount|balance|total|subtotal|fee|net)(_\w+)?")  # the fields in which Stripe shows money
Json = dict[str, Any]


@dataclass(frozen=True)
class Drift:
    """One document, as a report shows it. Amounts are in the currency's minor unit."""

    kind: str
    id: str
    stripe_id: str | None
    fields: list[str]
    currency: str | None
    amounts: dict[str, dict[str, int | None]]  # each that differs: `here`, at `stripe`, and the `difference`
    at_stake: int | None  # the greatest difference; None where the type has no amounts, or Stripe was not read
    link: str | None

    def __str__(self) -> str:
        told = f"drift: {self.kind} {word(self.id)} ({', '.join(map(word, self.fields))})"
        if self.at_stake is not None and self.currency is not None:
            sides = [
                f"{word(name)} {self._spoken(each['here'])} here, {self._spoken(each['stripe'])} at Stripe"
                for name, each in self.amounts.items()
            ]
            told += f"; {self._spoken(self.at_stake)} at stake"
            told += f": {'; '.join(sides)}" if sides else ""
        return f"{told}; {self.link}" if self.link else told

    def _spoken(self, amount: int | None) -> str:
        return "nothing" if amount is None else readable(amount, self.currency or "")


@dataclass
class Drifted:
    """All drift of a run, of which the first documents are shown."""

    shown: dict[tuple[str, str], Drift] = field(default_factory=dict)
    money: Counter[str] = field(default_factory=Counter)  # what is at stake in all of it, by currency
    others: int = 0

    def add(
        self,
        kind: str,
        id: Any,
        stored: Mapping[str, Any] | None,
        remote: Mapping[str, Any] | None,
        edited: list[str] | None = None,
    ) -> None:
        """Add a document with its snapshot and its object, as far as they are known, and the fields that were edited.

        A document that was added as edited counts once when its object was read, too.
        """
        found, key = _drift(kind, str(id), dict(stored or {}), remote, edited or []), (kind, str(id))
        if key in self.shown and remote is None:
            return
        self.money.update({found.currency: found.at_stake} if found.at_stake and found.currency else {})
        if key in self.shown or len(self.shown) < SHOWN:
            self.shown[key] = found
        else:
            self.others += 1

    def as_json(self) -> Json:
        """Return what `--json` prints."""
        drifted = [asdict(each) for each in self.shown.values()]
        return {"drifted": drifted, "drifted_not_shown": self.others, "money_at_stake": dict(self.money)}

    @property
    def lines(self) -> list[str]:
        """What is printed without `--json`."""
        lines = [str(each) for each in self.shown.values()]
        lines += [f"drift: {self.others:,} other documents, which the log names"] if self.others else []
        money = ", ".join(readable(amount, currency) for currency, amount in sorted(self.money.items()))
        return [*lines, f"drift: {money} at stake in all"] if money else lines


def _drift(kind: str, id: str, stored: Json, remote: Mapping[str, Any] | None, edited: list[str]) -> Drift:
    there = stored if remote is None else dict(remote)
    stripe_id, currency = (_text(there.get(name)) or _text(stored.get(name)) for name in ("id", "currency"))
    ours, theirs = content(stored), content(there)
    differing = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    amounts = {name: _sides(ours.get(name), theirs.get(name)) for name in differing if _is_amount(name, ours, theirs)}
    has_money = currency is not None and any(_is_amount(name, ours, theirs) for name in {*ours, *theirs})
    at_stake = max((abs(each["difference"] or 0) for each in amounts.values()), default=0)
    return Drift(
        kind=kind,
        id=id,
        stripe_id=stripe_id,
        fields=sorted({*differing, *edited}),
        currency=currency if has_money else None,
        amounts=amounts if has_money else {},
        at_stake=at_stake if has_money and remote is not None else None,
        link=stripe_id and page_of(kind, stripe_id, livemode=current().settings.livemode),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _is_amount(name: str, ours: Json, theirs: Json) -> bool:
    sides = [ours.get(name), theirs.get(name)]
    whole = [isinstance(each, int) and not isinstance(each, bool) for each in sides]
    return (
        bool(AMOUNT.fullmatch(name)) and any(whole) and all(w or s is None for w, s in zip(whole, sides, strict=True))
    )


def _sides(here: int | None, there: int | None) -> dict[str, int | None]:
    return {"here": here, "stripe": there, "difference": (there or 0) - (here or 0)}


def record_edit(run: Run, kind: str, id: Any, fields: list[str]) -> None:
    """Log and count a document that was edited by hand, and name some of them in the report."""
    tell_log(kind, id, fields)
    run.counts["edited"] += hash(id) not in run.known_edits
    run.known_edits.add(hash(id))
    if len(run.edited) < EDITED:
        run.edited.append(f"{kind} {id} ({', '.join(fields)})")
