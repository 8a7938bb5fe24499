"""Disputes are answered here: evidence is staged or submitted, or the loss is accepted, once, whatever is lost."""

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from urllib3 import encode_multipart_formdata
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from stripe_mongo_sync import sync
from stripe_mongo_sync.models import Customer, Order, StagedDocument, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.errors import CannotReadStripe, InReview, Refused
from stripe_mongo_sync.sync.process.deadline import TIMEOUT, deadline_in
from stripe_mongo_sync.sync.shop.evidence import LARGEST, file_fields
from stripe_mongo_sync.sync.stripe.throttle import Throttle
from tests.support import samples
from tests.support.answers import problem
from tests.support.in_sync import assert_in_sync
from tests.support.quick import timed
from tests.support.served import served
from tests.support.world import TOKEN, World

TEXT = {"uncategorized_text": "It was delivered.", "customer_name": "A Name"}


def disputed(world: World) -> StagedDocument:
    """A dispute of an order that was paid."""
    order = sync.create_order(**samples.paid_order())
    world.stripe.dispute(order.payment_intent or "")
    world.deliver()
    return kinds()["dispute"].objects.get()


def there(world: World) -> dict[str, Any]:
    return world.stripe.objects("dispute")[-1]


def settle(world: World) -> None:
    world.deliver()
    world.converge()
    assert_in_sync(world)


def test_evidence_is_staged_and_then_submitted(world: World) -> None:
    found = disputed(world)

    staged = world.http.patch(f"/disputes/{found.stripe_id}", json={"evidence": TEXT, "submit": False})

    assert (staged.status_code, staged.json["stripe_status"]) == (200, "needs_response")
    details = there(world)["evidence_details"]
    assert (details["has_evidence"], details["submission_count"]) == (True, 0)
    sent = sync.update("dispute", found.stripe_id, submit=True, evidence={"receipt": None})
    assert (sent.operation, sent.stripe_status) == (None, "under_review")
    assert there(world)["evidence_details"]["submission_count"] == 1
    settle(world)


def test_evidence_that_is_staged_already_is_submitted_unless_we_say_otherwise(world: World) -> None:
    found = disputed(world)
    sync.update(found, evidence=TEXT, submit=False)

    sent = sync.update(found.fetch_latest(), evidence=TEXT)

    assert (sent.stripe_status, there(world)["evidence_details"]["submission_count"]) == ("under_review", 1)
    settle(world)


def test_an_accepted_loss_takes_the_money_of_the_order(world: World) -> None:
    found = disputed(world)

    closed = world.http.post(f"/disputes/{found.id}/close", json={})

    assert (closed.status_code, closed.json["stripe_status"]) == (200, "lost")
    assert Order.objects.get().payment_status == "lost", "no webhook was needed"
    with pytest.raises(Refused, match="already closed"):
        sync.act("dispute", found.id, "close")
    problem(world.http.patch(f"/disputes/{found.id}", json={"evidence": TEXT}), 422, "refused")
    settle(world)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda found: sync.update(found, evidence=TEXT, submit=False), "needs_response"),
        (lambda found: sync.update(found, evidence=TEXT), "under_review"),
        (lambda found: sync.act(found, "close"), "lost"),
    ],
)
def test_a_lost_reply_is_settled_by_reading(world: World, call: Any, shown: str) -> None:
    found = disputed(world)
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", times=2)
    assert call(found).operation is not None
    world.webhooks()

    world.advance(hours=1)
    world.reconcile()

    now = found.fetch_latest()
    assert (now.operation, now.review_reason, now.stripe_status) == (None, None, shown)
    assert there(world)["evidence_details"]["submission_count"] == int(shown == "under_review")
    settle(world)


@pytest.mark.parametrize(
    "call", [lambda found: sync.update(found, submit=True), lambda found: sync.act(found, "close")]
)
def test_what_cannot_be_undone_is_not_repeated_after_a_quarter_of_an_hour(world: World, call: Any) -> None:
    found = disputed(world)
    sync.update(found, evidence=TEXT, submit=False)
    world.stripe.fault("cut_before", method="POST", times=2)
    assert call(found.fetch_latest()).operation is not None

    world.advance(hours=1)
    world.reconcile()

    now = found.fetch_latest()
    assert now.review_reason is not None
    assert there(world)["status"] == "needs_response"
    with pytest.raises(InReview):
        sync.act(now, "close")


def test_staged_evidence_is_sent_again_for_hours(world: World) -> None:
    found = disputed(world)
    world.stripe.fault("cut_before", method="POST", times=2)
    assert sync.update(found, evidence=TEXT, submit=False).operation is not None

    world.advance(hours=3)
    world.reconcile()

    assert there(world)["evidence"]["customer_name"] == "A Name"
    settle(world)


def test_a_dispute_is_never_created_nor_deleted_here(world: World) -> None:
    found = disputed(world)

    with pytest.raises(Invalid, match="only mirrored"):
        sync.create("dispute", charge="ch_1")
    assert world.http.post("/disputes", json={}).status_code == 405
    assert world.http.delete(f"/disputes/{found.id}").status_code == 405
    told = problem(world.http.patch(f"/disputes/{found.id}", json={"evidence": {"colour": "red"}}), 422, "invalid")
    assert list(told["errors"]) == ["evidence.colour"]
    told = problem(world.http.patch(f"/disputes/{found.id}", json={"metadata": {"a": "b"}}), 422, "invalid")
    assert list(told["errors"]) == ["metadata"]


# --- files ---

PDF = b"%PDF-1.7 a receipt"
PNG = b"\x89PNG\r\n\x1a\n a label"


def attach(world: World, found: StagedDocument, **files: tuple[str, bytes]) -> TestResponse:
    body, kind = encode_multipart_formdata(files)
    return world.http.post(f"/disputes/{found.stripe_id}/evidence", data=body, content_type=kind)


def test_files_are_uploaded_and_staged_in_one_call(world: World) -> None:
    found = disputed(world)

    told = attach(world, found, receipt=("Quittung 7.pdf", PDF), shipping_documentation=("l.png", PNG))

    assert (told.status_code, told.json["stripe_status"]) == (200, "needs_response")
    evidence, uploaded = there(world)["evidence"], world.stripe.objects("file")
    assert [(file["filename"], file["size"], file["purpose"]) for file in uploaded] == [
        ("Quittung 7.pdf", len(PDF), "dispute_evidence"),
        ("l.png", len(PNG), "dispute_evidence"),
    ]
    assert [evidence["receipt"], evidence["shipping_documentation"]] == [file["id"] for file in uploaded]
    assert there(world)["evidence_details"]["submission_count"] == 0
    settle(world)


def test_files_are_attached_in_process(world: World, tmp_path: Path) -> None:
    found, path = disputed(world), tmp_path / "a receipt.pdf"
    path.write_bytes(PDF)

    with path.open("rb") as receipt:
        sync.attach_evidence(found.stripe_id or "", receipt=receipt, uncategorized_file=("C:\\scans\\it.png", PNG))
    sent = sync.update(found.fetch_latest(), submit=True)

    assert sent.stripe_status == "under_review"
    assert [file["filename"] for file in world.stripe.objects("file")] == ["a receipt.pdf", "it.png"]
    settle(world)


def test_the_fields_of_files_are_those_of_stripe_python() -> None:
    assert {"receipt", "customer_signature", "uncategorized_file"} < {*file_fields()}
    assert "uncategorized_text" not in file_fields()
    assert len(file_fields()) == 9


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, "files"),
        ({"uncategorized_text": ("a.pdf", PDF)}, "uncategorized_text"),
        ({"receipt": ("a.pdf", b"")}, "receipt"),
        ({"receipt": ("a.pdf", "text")}, "receipt"),
        ({"receipt": ("", PDF)}, "receipt"),
        ({"receipt": ("a\r\nX: 1.pdf", PDF)}, "receipt"),
        ({"receipt": ("a" * 256, PDF)}, "receipt"),
        ({"receipt": "a.pdf"}, "receipt"),
        ({"receipt": StringIO("text")}, "receipt"),
        ({"receipt": (PDF,)}, "receipt"),
        ({"receipt": ("a.pdf", PDF), "refund_policy": ("b.pdf", PDF + b"x" * LARGEST)}, "receipt"),
    ],
)
def test_bad_files_are_refused_before_anything_is_sent(world: World, files: dict[str, Any], named: str) -> None:
    found, before = disputed(world), len(world.stripe.requests)

    with pytest.raises(Invalid) as caught:
        sync.attach_evidence(found, **files)

    assert named in caught.value.errors
    assert len(world.stripe.requests) == before


def test_only_a_form_of_files_is_taken(world: World) -> None:
    found = disputed(world)
    path = f"/disputes/{found.id}/evidence"

    problem(world.http.post(path, json={"receipt": "file_1"}), 415, "wrong-content-type")
    problem(world.http.post(path, data={"receipt": "file_1"}, content_type="multipart/form-data"), 422, "invalid")
    twice, kind = encode_multipart_formdata([("receipt", ("a.pdf", PDF)), ("receipt", ("b.pdf", PDF))])
    problem(world.http.post(path, data=twice, content_type=kind), 422, "invalid")
    problem(attach(world, found, receipt=("a.pdf", PDF + b"x" * (LARGEST + 70_000))), 413, "too-large")
    problem(attach(world, found, receipt=("a.pdf", b"no picture")), 422, "refused")
    body, kind = encode_multipart_formdata({"receipt": ("a.pdf", PDF)})
    problem(world.http.post("/disputes/du_none/evidence", data=body, content_type=kind), 404, "not-found")
    assert world.stripe.objects("file") == []
    assert attach(world, found, receipt=("a.pdf", PDF + b"x" * (LARGEST - len(PDF)))).status_code == 200


def test_what_stripe_refuses_is_told_of_its_field_and_nothing_is_staged(world: World) -> None:
    found = disputed(world)

    with pytest.raises(Refused) as caught:
        sync.attach_evidence(found, receipt=("a.pdf", PDF), refund_policy=("b.txt", b"no picture"))

    assert caught.value.errors.keys() == {"refund_policy"}
    assert there(world)["evidence"]["receipt"] is None
    assert found.fetch_latest().operation is None
    settle(world)


@pytest.mark.fault("162")
@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "500_before", "503_edge"])
def test_a_lost_upload_is_repeated_once_and_makes_one_file(world: World, fault: str) -> None:
    found = disputed(world)
    world.stripe.fault(fault, path="/v1/files", times=1)

    try:
        sync.attach_evidence(found, receipt=("a.pdf", PDF))
    except CannotReadStripe:
        assert fault == "500_before", "Stripe saved that answer for the key"
        assert (world.stripe.objects("file"), there(world)["evidence"]["receipt"]) == ([], None)
        sync.attach_evidence(found, receipt=("a.pdf", PDF))

    (file,) = world.stripe.objects("file")
    assert there(world)["evidence"]["receipt"] == file["id"]
    settle(world)


@pytest.mark.fault("162")
def test_an_upload_that_stripe_never_answers_changes_nothing(world: World) -> None:
    found = disputed(world)
    world.stripe.fault("cut_after", path="/v1/files", times=None)

    problem(attach(world, found, receipt=("a.pdf", PDF)), 504, "cannot-look")

    assert there(world)["evidence"]["receipt"] is None
    assert found.fetch_latest().operation is None


@pytest.mark.fault("163")
def test_a_lost_reply_to_the_staging_is_settled_by_reading(world: World) -> None:
    found = disputed(world)
    world.reconcile()
    world.stripe.fault("cut_after", method="POST", path=f"/v1/disputes/{found.stripe_id}", times=2)

    told = attach(world, found, receipt=("a.pdf", PDF))

    assert (told.status_code, told.headers.get("Retry-After")) == (202, "30")
    world.advance(hours=1)
    world.reconcile()
    assert there(world)["evidence"]["receipt"] == world.stripe.objects("file")[0]["id"]
    settle(world)


def test_a_dispute_that_cannot_be_changed_now_gets_no_upload(world: World) -> None:
    found = disputed(world)
    world.stripe.fault("cut_before", method="POST", times=2)
    assert sync.update(found, evidence=TEXT, submit=False).operation is not None
    before = len(world.stripe.requests)

    problem(attach(world, found, receipt=("a.pdf", PDF)), 409, "in-progress")

    assert len(world.stripe.requests) == before


def test_nothing_of_a_file_is_stored_here(world: World) -> None:
    found = disputed(world)
    attach(world, found, receipt=("unmistakable.pdf", PDF + b"unmistakable"))
    world.deliver()

    database = Customer._get_db()
    assert "unmistakable" not in repr([[*database[name].find()] for name in database.list_collection_names()])


# --- forms of any shape ---


def send(world: World, found: StagedDocument, body: bytes, kind: str = "multipart/form-data; boundary=x") -> Any:
    return world.http.post(f"/disputes/{found.stripe_id}/evidence", data=body, content_type=kind)


def form(*heads: bytes) -> bytes:
    return b"".join(b"--x\r\n" + head + b"\r\n\r\n" + PDF + b"\r\n" for head in heads) + b"--x--\r\n"


def named(name: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"; filename="a.pdf"'


def test_a_form_that_cannot_be_read_is_told_as_one(world: World) -> None:
    found, whole = disputed(world), form(named(b"receipt"))

    for head in (
        b'Content-Disposition: form-data; filename="a.pdf"',
        b"Content-Disposition: form-data",
        b"Content-Type: application/pdf",
        b'Content-Disposition: form-data; name="receipt"; filename="\xe9.pdf"',
    ):
        problem(send(world, found, form(head)), 400, "malformed")
    problem(send(world, found, whole[:-20]), 400, "malformed")
    problem(send(world, found, whole, "multipart/form-data"), 400, "malformed")
    problem(send(world, found, whole, "multipart/form-data; boundary=y"), 400, "malformed")
    assert world.stripe.objects("file") == []


def test_a_form_with_other_parts_is_refused(world: World) -> None:
    found = disputed(world)

    for name in (b"dispute", b"files", b"self", b"", b"uncategorized_text", b"evidence[receipt]"):
        problem(send(world, found, form(named(name))), 422, "invalid")
    problem(send(world, found, form()), 422, "invalid")
    problem(send(world, found, form(*(named(b"receipt") for _ in range(30)))), 413, "too-large")
    problem(world.http.post(f"/disputes/{found.id}/evidence?submit=true", data=form(named(b"receipt"))), 422, "invalid")


def test_no_shape_of_a_form_takes_long(world: World) -> None:
    found = disputed(world)
    heads = [named(b"receipt") + b";a=b" * 25_000 for _ in range(40)]
    bodies = [form(*heads[:9]), form(*heads), form(*(b"x: y" for _ in range(1000))), b"--x\r\n" * 600_000]

    for number, body in enumerate(bodies):
        told = timed(f"form {number}", lambda body=body: send(world, found, body), 1.0)
        assert told.status_code in (400, 413, 422)


def test_an_answer_shows_the_object_to_who_asks(world: World) -> None:
    found = disputed(world)
    body, kind = encode_multipart_formdata({"receipt": ("a.pdf", PDF)})

    told = world.http.post(f"/disputes/{found.id}/evidence?expand=stripe", data=body, content_type=kind)

    assert told.json["stripe"]["evidence"]["receipt"] == world.stripe.objects("file")[0]["id"]


class Pipe:
    """An open file that returns one piece after the other, and has a number for a name."""

    name = 3

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [*pieces]

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def test_a_file_is_read_to_its_end_and_called_as_it_is(world: World) -> None:
    found = disputed(world)
    upload = FileStorage(BytesIO(PDF), filename="quittung.pdf", name="receipt")
    pipe: Any = Pipe(PDF, b" and", b" more")

    sync.attach_evidence(found, receipt=upload, refund_policy=pipe)

    told = {file["filename"]: file["size"] for file in world.stripe.objects("file")}
    assert told == {"quittung.pdf": len(PDF), "refund_policy": len(PDF) + 9}


def test_what_a_throttle_repeats_is_the_whole_file(world: World) -> None:
    found = disputed(world)
    world.stripe.fault("rate_limit", path="/v1/files", times=2)

    with Throttle(1000.0, lambda seconds: None).active():
        sync.attach_evidence(found, receipt=("a.pdf", PDF))

    assert [file["size"] for file in world.stripe.objects("file")] == [len(PDF)]


def test_why_no_file_was_uploaded_is_in_the_log_and_not_in_the_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    found = disputed(world)
    world.stripe.fault("refuse_403", path="/v1/files", times=None)

    told = problem(attach(world, found, receipt=("a.pdf", PDF)), 504, "cannot-look")

    assert told["detail"] == "Stripe did not take the file, so nothing is staged. Try again."
    assert any("rak_file_write" in record.getMessage() for record in caplog.records)


def test_an_upload_begins_only_if_it_could_end_in_time(world: World) -> None:
    found = disputed(world)

    with deadline_in(sum(TIMEOUT) + 1), pytest.raises(CannotReadStripe):
        sync.attach_evidence(found, receipt=("a.pdf", PDF))

    assert not [request for request in world.stripe.requests if request.path == "/v1/files"]
    assert sync.update(found, evidence=TEXT, submit=False).operation is None, "other changes had time enough"


@pytest.mark.parametrize("size", [100, 3_000_000])
def test_a_form_is_taken_by_our_server_in_pieces(world: World, size: int) -> None:
    found = disputed(world)
    body, kind = encode_multipart_formdata({"receipt": ("a.pdf", PDF + b"x" * size)})
    head = (
        f"POST /disputes/{found.stripe_id}/evidence HTTP/1.1\r\nHost: here.com\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )

    with served(world.app, door=False) as server:
        answer = server.exchange(head.encode(), body[: size // 2], body[size // 2 :])

    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    assert [file["size"] for file in world.stripe.objects("file")] == [len(PDF) + size]
