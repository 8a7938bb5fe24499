"""Evidence: the files that answer a dispute, uploaded to Stripe and staged in one call."""

import re
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from stripe_mongo_sync.models import StagedDocument, kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.models.base.resource import LONGEST_ID, UNWRITABLE
from stripe_mongo_sync.sync.connection import current
from stripe_mongo_sync.sync.engine import saga
from stripe_mongo_sync.sync.errors import CannotReadStripe, Refused
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.process.deadline import prompt
from stripe_mongo_sync.sync.shop.documents import found
from stripe_mongo_sync.sync.shop.lists import asking
from stripe_mongo_sync.sync.stripe.answers import Refusal

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage

LARGEST = 4 * 2**20  # bytes of all files of a call: what Stripe takes of evidence (docs.stripe.com/file-upload)
PURPOSE = "dispute_evidence"


@cache
def file_fields() -> tuple[str, ...]:
    """Return the fields of a dispute's evidence that hold a file, as stripe-python's type of a dispute tells them."""
    from stripe import Dispute

    told = Dispute.Evidence.__annotations__
    return tuple(sorted(name for name, type in told.items() if re.search(r"\bFile\b", str(type))))


def attach_evidence(
    dispute: StagedDocument | str, /, **files: "tuple[str, bytes] | BinaryIO | FileStorage"
) -> StagedDocument:
    """Upload files to Stripe, and stage them as the evidence of a dispute: nothing is submitted to the bank yet.

    `dispute` is the document, our id or Stripe's. Each file is one that was opened with "rb", one of a Flask request,
    or (filename, content), and is named after a field of the evidence: `receipt`, `customer_communication`,
    `shipping_documentation`, … Stripe takes PDF, JPEG and PNG; together they have at most 4 MiB. Their content is not
    stored here. Return the dispute, with an `operation` while the outcome is unknown. To submit:
    `update(dispute, submit=True)`.

    If a file cannot be uploaded (in 45 s, all together), none is staged; repeat the call then. A file that was uploaded
    in vain has no effect. Raises NotConnected, Invalid, NotFound, InProgress, Refused (Stripe does not take the file,
    say), Unavailable, or CannotReadStripe (Stripe did not answer).

    Example:

        with open("receipt.pdf", "rb") as receipt:
            dispute = attach_evidence("du_123", receipt=receipt)
        update(dispute, evidence={"product_description": "A lamp"}, submit=True)
    """
    current()
    contents = _read(files)
    with asking():
        document = dispute if isinstance(dispute, StagedDocument) else found(kinds()["dispute"], dispute)
        if document.resource.kind != "dispute":
            raise Invalid({"dispute": f"must be a dispute, but this is a {document.resource.kind}"})
        latest = document.fetch_latest()
        saga.require_idle(latest, "update")
        ids = _uploaded(latest, contents)
    return saga.update(latest, {"evidence": ids, "submit": False})


def _read(files: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Return the name and the content of each file. Raises Invalid."""
    wrong = {name: f"must be one of {', '.join(file_fields())}" for name in files if name not in file_fields()}
    if not files:
        wrong["files"] = "there must be one, named after a field of the evidence"
    contents: dict[str, tuple[str, bytes]] = {}
    for name, file in files.items():
        try:
            called, content = file if isinstance(file, tuple) else (_name(file) or name, _content(file))
            contents[name] = PurePath(called.replace("\\", "/")).name, bytes(memoryview(content))
        except (AttributeError, TypeError, ValueError, OSError):
            wrong[name] = 'must be a file that was opened with "rb", or (filename, content)'
    for name, (called, content) in contents.items():
        if not 0 < len(called) <= LONGEST_ID or UNWRITABLE.search(called):
            wrong[name] = f"needs a filename of 1 to {LONGEST_ID} characters, without control characters"
        elif not content:
            wrong[name] = "is empty"
    if sum(len(content) for _, content in contents.values()) > LARGEST:
        wrong |= dict.fromkeys(contents, "is too large: the files together may have 4 MiB")
    if wrong:
        raise Invalid(wrong)
    return contents


def _name(file: Any) -> str | None:
    """Return how an open file is called: a file of a request has a `filename`; one without a name may have a number."""
    names = (getattr(file, each, None) for each in ("filename", "name"))
    return next((name for name in names if name and isinstance(name, str)), None)


def _content(file: Any) -> bytes:
    """Return what an open file has, and no more than shows that it is too large: a pipe returns it piece by piece."""
    pieces = iter(lambda: file.read(LARGEST + 1), b"")
    content = bytearray()
    while len(content) <= LARGEST and (piece := next(pieces, None)) is not None:
        content += piece
    return bytes(content)


@prompt
def _uploaded(dispute: StagedDocument, contents: dict[str, tuple[str, bytes]]) -> dict[str, str]:
    """Upload each file, and return the ids by the fields. Raises Refused, or CannotReadStripe."""
    ids = {}
    for name, (called, content) in contents.items():
        try:
            answer = current().gateway.upload(PURPOSE, called, content)
        except CannotReadStripe as error:
            log.error("dispute %s: a file was not uploaded: %s", dispute.id, error)
            raise CannotReadStripe("Stripe did not take the file, so nothing is staged. Try again.") from error
        if isinstance(answer, Refusal):
            raise Refused(dispute, answer.problem | {"param": name})
        ids[name] = answer
    return ids
