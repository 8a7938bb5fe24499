"""Files that a caller uploads, such as the evidence of a dispute. Stripe sends no event of them."""

from __future__ import annotations

from dataclasses import replace

from stripe.params import FileCreateParams, FileListParams

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank, same
from stripe_mongo_sync.emulator.protocol import errors
from stripe_mongo_sync.emulator.protocol.fields import Upload
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json

# How a file of each type begins. Evidence must be of one of them (docs.stripe.com/file-upload).
TYPES = {"pdf": b"%PDF-", "png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}
LARGEST = 5 * 2**20  # bytes


def _type(content: bytes) -> str | None:
    return next((type for type, start in TYPES.items() if content.startswith(start)), None)


def _check(params: Json) -> None:
    content: bytes = params["file"]["content"]
    if not content:
        raise errors.invalid("The file you uploaded is empty.", "file")
    if len(content) > LARGEST:
        raise errors.invalid("The file you uploaded is too large.", "file")
    if params["purpose"] == "dispute_evidence" and _type(content) is None:
        raise errors.invalid("The file you uploaded is not a PDF, a JPEG or a PNG.", "file")


def _finish(ctx: Effects, params: Json, file: Json) -> None:
    content: bytes = params["file"]["content"]
    file |= {
        "filename": params["file"]["filename"],
        "links": {"object": "list", "data": [], "has_more": False, "url": f"/v1/file_links?file={file['id']}"},
        "size": len(content),
        "type": _type(content),
        "url": f"https://files.stripe.com/v1/files/{file['id']}/contents",
    }


FILE = Resource(
    kind="file",
    path="files",
    prefix="file_",
    label="file upload",
    has_livemode=False,
    create={
        "file": Upload(required=True, hidden=True),
        "purpose": replace(choice(FileCreateParams, "purpose"), required=True),
    },
    defaults=blank("expires_at filename links title type url") | {"purpose": "", "size": 0},
    filters={"purpose": same("purpose", choice(FileListParams, "purpose"))},
    events=(),
    check=_check,
    finish=_finish,
)
