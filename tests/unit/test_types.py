"""The command `types`: what is kept, told without MongoDB and without settings."""

import json

import pytest

from stripe_mongo_sync.models import SyncedDocument, kinds
from stripe_mongo_sync.models.base.resource import KINDS, Resource, register
from stripe_mongo_sync.sync.__main__ import main


def test_types_are_told_without_settings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)

    assert main(["types"]) == 0

    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(kinds())
    (charge,) = [line for line in told if line.startswith("charge ")]
    assert charge.split(None, 1)[1].startswith("charges: mirrored; read by get and list; charge.captured, ")
    (intent,) = [line for line in told if line.startswith("payment_intent ")]
    assert "created here (create, update, confirm, capture, cancel)" in intent


def test_types_are_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    entries = {entry["kind"]: entry for entry in told["types"]}
    assert entries["dispute"] == {
        "kind": "dispute",
        "collection": "disputes",
        "created_here": False,
        "actions": ["update", "close"],
        "owners": [],
        "unlisted": "",
        "events": [f"charge.dispute.{verb}" for verb in DISPUTED],
        "get": "/v1/disputes/{id}",
        "list": "/v1/disputes",
        "parameters": {"update": ["evidence", "intended_submission_method", "submit"], "close": []},
    }
    assert entries["refund"]["parameters"].keys() == {"create"}
    assert {"amount", "payment_intent"} <= {*entries["refund"]["parameters"]["create"]}
    assert entries["tax_id"]["list"] is None
    assert entries["discount"]["get"] is None
    assert "charge.refund.updated" in entries["refund"]["events"]
    assert told["ignored"]["balance.available"] == "it has no id"
    assert "source.mandate_notification" not in entries["source"]["events"]


DISPUTED = ("closed", "created", "funds_reinstated", "funds_withdrawn", "updated")


@pytest.mark.parametrize(
    ("kind", "object", "path"),
    [
        ("charge", {"id": "ch_1"}, "/v1/charges/ch_1"),
        ("issuing.card", {"id": "ic_1"}, "/v1/issuing/cards/ic_1"),
        ("card", {"id": "card_1", "customer": "cus_1"}, "/v1/customers/cus_1/sources/card_1"),
        ("card", {"id": "card_1", "account": "acct_1"}, "/v1/accounts/acct_1/external_accounts/card_1"),
        ("card", {"id": "card_1", "customer": None}, None),
        ("person", {"id": "p_1", "account": "../charges"}, None),
        ("person", {"id": "p 1/2", "account": "acct_1"}, "/v1/accounts/acct_1/persons/p%201%2F2"),
        ("fee_refund", {"id": "fr_1", "fee": "fee_1"}, "/v1/application_fees/fee_1/refunds/fr_1"),
        ("discount", {"id": "di_1", "customer": "cus_1"}, None),
    ],
)
def test_an_object_is_read_under_the_one_that_it_names(kind: str, object: dict[str, str], path: str | None) -> None:
    assert kinds()[kind].resource.read_path(object) == path


def test_a_file_of_its_own_wins_whichever_is_imported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stripe_mongo_sync.models.base.resource.KINDS", dict(KINDS))
    mirrored = kinds()["topup"]

    class OwnTopup(SyncedDocument):
        meta = {"collection": "topups"}  # noqa: RUF012
        resource = Resource(kind="topup", path="/v1/topups", undo=())

    assert kinds()["topup"] is OwnTopup
    register(mirrored)
    assert kinds()["topup"] is OwnTopup
    with pytest.raises(AssertionError, match="two models for topup"):
        register(OwnTopup)
