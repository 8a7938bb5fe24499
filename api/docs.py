"""Serves the OpenAPI document, and a page on which a developer can try the API.

Both are public: they show what the source shows, and nothing of an installation. The page sends requests to this
service only, with a token that the developer types in and the page keeps in memory.
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


@blueprint.get("/", strict_slashes=False)  # below a prefix, the slash is often left out
def home() -> Response:
    """Redirect a browser to the page."""
    return Response(status=302, headers={"Location": address("/docs")})


@blueprint.get("/openapi.json")
def document() -> Response:
    """Answer with the OpenAPI document; its `servers` entry is the base path of this request."""
    made = current_app.extensions.setdefault("openapi", {})
    if not made:
        made["json"] = json.dumps(describe(current_app))  # once: the routes of a process do not change
    servers = json.dumps([{"url": address("") or "/"}])
    return Response(f'{{"servers": {servers}, {made["json"][1:]}', mimetype="application/json")


@blueprint.get("/docs")
def page() -> Response:
    """Answer with the page on which the API can be tried."""
    text, policy = _page()
    return Response(text, mimetype="text/html", headers={"Content-Security-Policy": policy})


@cache
def _page() -> tuple[str, str]:
    """Return the page, and the security policy that allows only the page's own script and style."""
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
