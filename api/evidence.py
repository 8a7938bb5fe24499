"""The route of evidence: upload the files that answer a dispute."""

from contextlib import closing
from typing import Any

from flask import Flask, Response, request

from stripe_mongo_sync.api.auth import requires_scope
from stripe_mongo_sync.api.components import BODY, REFUSALS, answer, ref
from stripe_mongo_sync.api.errors import NotAForm
from stripe_mongo_sync.api.resources import document_response
from stripe_mongo_sync.api.schemas.requests import Schema
from stripe_mongo_sync.models import kinds
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.library import attach_evidence
from stripe_mongo_sync.sync.shop.documents import found
from stripe_mongo_sync.sync.shop.evidence import LARGEST, file_fields
from stripe_mongo_sync.sync.tokens import Scope

FORM = "multipart/form-data"
AROUND = 64 * 1024  # bytes of a form beside its files


def register(app: Flask) -> None:
    """Add the route to `app`."""
    app.add_url_rule("/disputes/<reference:reference>/evidence", "evidence.attach", _attach, methods=["POST"])


@requires_scope(Scope.WRITE)
def _attach(reference: str) -> Response:
    if request.mimetype != FORM:
        raise NotAForm
    request.max_content_length = LARGEST + AROUND
    with closing(request):  # ends its temporary files
        files = _files()
    document = attach_evidence(found(kinds()["dispute"], reference), **files)
    return document_response(document, done=200, expand=False, pending=document.operation is not None)


def _files() -> dict[str, Any]:
    """Return the name and the content of each file of the form. Raises Invalid."""
    wrong = dict.fromkeys(request.form, "must be a file")
    wrong |= {name: "is given twice" for name in request.files if len(request.files.getlist(name)) > 1}
    if wrong:
        raise Invalid(wrong)
    return {name: (file.filename or name, file.read()) for name, file in request.files.items()}


# --- what the OpenAPI document says of it ---


def operations() -> dict[str, Schema]:
    """Return the descriptions of the operations here, by endpoint."""
    file = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": dict.fromkeys(file_fields(), file),
        "minProperties": 1,
        "additionalProperties": False,
    }
    shape = {"anyOf": [ref("schemas", "Dispute"), ref("schemas", "Brief")]}
    return {
        "evidence.attach": {
            "operationId": "attach_evidence",
            "summary": "Upload files, and stage them as the evidence of a dispute; nothing is submitted",
            "description": "Stripe takes PDF, JPEG and PNG; together they may have 5 MiB. They are not stored here.",
            "tags": ["disputes"],
            "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
            "answers": {
                "200": answer("The files are staged.", shape, "Location"),
                "202": answer("Accepted; the outcome is not known yet.", shape, "Location", "Retry-After"),
            },
            "problems": [*BODY, "invalid", "not-found", "in-progress", "cannot-look", *REFUSALS],
        }
    }
