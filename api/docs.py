"""The API's description of itself: the document for programs, and a page on which people can try it.

Both are open. They hold what the source holds and nothing of an installation, and whoever opens the page has a token to
type in only then. The page asks nobody but this service, and keeps the token in its memory.
"""

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from re import DOTALL, findall

from flask import Blueprint, Response, current_app

from stripe_mongo_sync.api.openapi import describe
from stripe_mongo_sync.api.prefix import address

blueprint = Blueprint("docs", __name__)
PAGE = Path(__file__).with_name("docs.html")


@blueprint.get("/", strict_slashes=False)  # below a prefix, people leave the slash out
def home() -> Response:
    """Lead whoever opens the service in a browser to the page."""
    return Response(status=302, headers={"Location": address("/docs")})


@blueprint.get("/openapi.json")
def document() -> Response:
    """Answer with the OpenAPI document, and where its paths begin for who asks."""
    made = current_app.extensions.setdefault("openapi", {})
    if not made:
        made["json"] = json.dumps(describe(current_app))  # once: what a process serves does not change
    servers = json.dumps([{"url": address("") or "/"}])
    return Response(f'{{"servers": {servers}, {made["json"][1:]}', mimetype="application/json")


@blueprint.get("/docs")
def page() -> Response:
    """Answer with the page to try it."""
    text, policy = _page()
    return Response(text, mimetype="text/html", headers={"Content-Security-Policy": policy})


@cache
def _page() -> tuple[str, str]:
    """Return the page, and the policy that lets the browser run its own script and style, and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    rules = [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    for kind in ("script", "style"):
        (inner,) = findall(rf"<{kind}>(.*)</{kind}>", text, DOTALL)
        rules.append(f"{kind}-src 'sha256-{b64encode(sha256(inner.encode()).digest()).decode()}'")
    return text, "; ".join(rules)
