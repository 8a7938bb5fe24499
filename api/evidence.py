"""The route of evidence: upload the files that answer a dispute."""

from io import BytesIO
from typing import Any

from flask import Flask, Response, request
from werkzeug.formparser import FormDataParser

from stripe_mongo_sync.api.auth import requires_scope
from stripe_mongo_sync.api.components import BODY, REFUSALS, answer, ref
from stripe_mongo_sync.api.errors import BrokenForm, NotAForm
from stripe_mongo_sync.api.resources import document_response, expands
from stripe_mongo_sync.api.schemas.requests import Schema
from stripe_mongo_sync.models.base.input import Invalid
from stripe_mongo_sync.sync.library import attach_evidence
from stripe_mongo_sync.sync.shop.evidence import LARGEST, file_fields
from stripe_mongo_sync.sync.tokens import Scope

FORM = "multipart/form-data"
LARGEST_BODY = LARGEST + 64 * 1024  # bytes
LARGEST_HEAD = 128 * 1024  # bytes of the head of a part: Werkzeug reads pieces of half of it


def register(app: Flask) -> None:
    """Add the route to `app`."""
    app.add_url_rule("/disputes/<reference:reference>/evidence", "evidence.attach", _attach, methods=["POST"])


@requires_scope(Scope.WRITE)
def _attach(reference: str) -> Response:
    expand = expands()
    if unknown := request.args.keys() - {"expand"}:
        raise Invalid(dict.fromkeys(unknown, "is not a parameter"))
    document = attach_evidence(reference, **_files())
    return document_response(document, done=200, expand=expand, pending=document.operation is not None)


def _files() -> dict[str, tuple[str, bytes]]:
    """Return the filename and the content of each file of the form. Raises NotAForm, BrokenForm or Invalid."""
    if request.mimetype != FORM:
        raise NotAForm
    request.max_content_length = LARGEST_BODY
    most = len(file_fields())
    try:
        _, texts, files = FormDataParser(_in_memory, LARGEST_HEAD, max_form_parts=most, silent=False).parse(
            request.stream, request.mimetype, request.content_length, request.mimetype_params
        )
    except ValueError as error:
        raise BrokenForm from error
    if None in (*texts, *files):
        raise BrokenForm
    wrong = dict.fromkeys(texts, "must be a file")
    wrong |= {name: "is given twice" for name in files if len(files.getlist(name)) > 1}
    if wrong:
        raise Invalid(wrong)
    return {name: (file.filename or name, file.read()) for name, file in files.items()}


def _in_memory(*_: Any, **__: Any) -> BytesIO:
    """Return what holds a file until Stripe has it: nothing of it is written here."""
    return BytesIO()


# --- what the OpenAPI document says of it ---


def operations() -> dict[str, Schema]:
    """Return the descriptions of the operations here, by endpoint."""
    file = {"type": "string", "format": "binary", "minLength": 1}
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
            "description": "Stripe takes PDF, JPEG and PNG; together they may have 4 MiB. They are not stored here.",
            "tags": ["disputes"],
            "parameters": [ref("parameters", "expand")],
            "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
            "answers": {
                "200": answer("The files are staged.", shape, "Location"),
                "202": answer("Accepted; the outcome is not known yet.", shape, "Location", "Retry-After"),
            },
            "problems": [*BODY, "invalid", "not-found", "in-progress", "cannot-look", *REFUSALS],
        }
    }
