"""Who uses the page: a token that may operate, typed in once; then a cookie, and a word in each form that fits to it.

The cookie names the token and says when it ends, and a MAC shows that this service wrote it. The MAC's key is made of
the secret key and the token's digest. So every worker knows it without asking anybody, a token that is removed, renewed
or narrowed ends its sessions, and neither the cookie nor the settings of the tokens alone let anybody in.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from math import ceil

from flask import Flask, Response, abort, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from stripe_mongo_sync.models.rows import clock
from stripe_mongo_sync.sync.logs import log
from stripe_mongo_sync.sync.settings import Settings
from stripe_mongo_sync.sync.tokens import Scope, Token, authenticate

COOKIE = "stripe_mongo_sync_ops"
LASTS = timedelta(hours=8)  # a working day
PURPOSE = b"stripe-mongo-sync: sessions of the operator's page"
VISIT = re.compile(r"[A-Za-z0-9_-]{32}")  # the cookie of who is not logged in, to which the form of the login fits
LONGEST = 512  # characters of a cookie of ours
FREE = ("ops.login", "ops.static")  # what everybody may ask for
FORM_WORD = "form_word"
STALE = "This form does not belong to your session any more, or another site sent it: nothing was done. Load the page "
STALE += "again."


@dataclass(frozen=True)
class Session:
    """Who is logged in."""

    token: Token
    ends: int  # Unix seconds

    @property
    def reads(self) -> bool:
        """Whether personal data may be shown: that takes the scope `read`, as in the API."""
        return Scope.READ in self.token.scopes


def configure(app: Flask, settings: Settings) -> None:
    """Give the page what a session is made with."""
    app.config["API_TOKENS"] = settings.api_tokens
    app.config["SESSION_KEY"] = _mac(settings.stripe_secret_key.encode(), PURPOSE.decode()).encode()


def begin(token: Token) -> str:
    """Return the cookie of a new session."""
    told = f"{int((clock.local_now() + LASTS).timestamp())}.{secrets.token_urlsafe(24)}.{token.name}"
    return f"{_mac(_key_of(token), told)}.{told}"


def found(cookie: str) -> Session | None:
    """Return the session that a cookie proves, or None."""
    mac, _, told = cookie.partition(".")
    ends, _, rest = told.partition(".")
    name = rest.partition(".")[2]
    token = next((each for each in current_app.config["API_TOKENS"] if each.name == name), None)
    if token is None or len(cookie) > LONGEST or not (cookie.isascii() and re.fullmatch(r"\d{1,12}", ends)):
        return None
    if not hmac.compare_digest(mac, _mac(_key_of(token), told)) or Scope.OPERATE not in token.scopes:
        return None
    return Session(token, int(ends)) if int(ends) > clock.local_now().timestamp() else None


def form_word(cookie: str) -> str:
    """Return the word that a form must carry beside this cookie. No other site can read it."""
    return _mac(current_app.config["SESSION_KEY"], f"form {cookie}")


def _key_of(token: Token) -> bytes:
    return hmac.digest(current_app.config["SESSION_KEY"], token.digest, "sha256")


def _mac(key: bytes, told: str) -> str:
    return hmac.digest(key, told.encode("utf-8", "surrogateescape"), "sha256").hex()


# --- around every request ---


def require_session() -> Answer | None:
    """Let a request pass whose cookie proves a session, and whose form fits to it; send others to the login.

    An unknown path is a 404 for everybody.
    """
    cookie = request.cookies.get(COOKIE, "")
    session = g.session = found(cookie)
    g.cookie = cookie if session or VISIT.fullmatch(cookie) else secrets.token_urlsafe(24)
    if request.endpoint == "ops.static" or request.endpoint is None:
        return None
    if session is None and request.endpoint not in FREE:
        place = request.path if request.endpoint == "ops.search" else request.full_path  # a search may name a person
        wanted = place if request.method == "GET" else None
        return redirect(url_for("ops.login", next=wanted), HTTPStatus.SEE_OTHER)
    if session is not None:
        g.token, g.scopes = session.token.name, session.token.scopes
        _limit(current_app.extensions["rate"].wait(session.token.name))
    if request.method == "POST":
        _require_own_form()
    return None


def _limit(wait: float) -> None:
    if wait:
        answer = Response(render_template("error.html", title="Too many requests", told="Wait, and try again."), 429)
        answer.headers["Retry-After"] = str(ceil(wait))
        abort(answer)


def _require_own_form() -> None:
    """Refuse what another site sent. Browsers say which it was; where one does not, the word in the form decides."""
    given = request.form.get(FORM_WORD, "")
    own = request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    fits = given.isascii() and hmac.compare_digest(given, form_word(g.cookie))
    if not (own and fits and request.cookies.get(COOKIE) == g.cookie):
        abort(HTTPStatus.FORBIDDEN, STALE)


def set_cookie(response: Answer, value: str) -> Answer:
    """Return the response with our cookie, which no script reads, and no other site makes a browser send."""
    response.set_cookie(COOKIE, value, path=_root() or "/", secure=request.is_secure, httponly=True, samesite="Strict")
    return response


def _root() -> str:
    """Return the path of this page, wherever it is mounted, without a slash at the end."""
    root = request.root_path.strip("/")  # two slashes at the beginning would name a host
    return f"/{root}" if root else ""


# --- its views ---


def show_login(told: str | None = None, status: int = HTTPStatus.OK) -> Answer:
    """Answer with the form of the login."""
    page = render_template("login.html", told=told, next=request.values.get("next", ""))
    return set_cookie(Response(page, status), g.cookie)


def login() -> Answer:
    """Log in with a token. Nothing is asked of MongoDB for it, and each address may fail once a second.

    Behind a proxy, all may have one address: so whoever fails keeps nobody out who has a token.
    """
    if request.method == "GET":
        return redirect(url_for("ops.overview")) if g.session else show_login()
    given = request.form.get("token", "").strip()
    token = authenticate(current_app.config["API_TOKENS"], given.encode("utf-8", "surrogateescape"))
    if token is None or Scope.OPERATE not in token.scopes:
        _limit(current_app.extensions["logins"].wait(request.remote_addr or ""))
    if token is None:
        current_app.extensions["few"].warn("login", "a login to the operator's page was refused")
        return show_login("This is none of API_TOKENS.", HTTPStatus.FORBIDDEN)
    if Scope.OPERATE not in token.scopes:
        told = f"The token {token.name} lacks the scope operate: an entry ops:read+operate:… of API_TOKENS has it."
        return show_login(told, HTTPStatus.FORBIDDEN)
    log.info("request %s: %s logs in to the operator's page", g.request_id, token.name)
    return set_cookie(redirect(_place(request.form.get("next", "")), HTTPStatus.SEE_OTHER), begin(token))


def logout() -> Answer:
    """End the session in this browser."""
    response = redirect(url_for("ops.login"), HTTPStatus.SEE_OTHER)
    return set_cookie(response, secrets.token_urlsafe(24))


def _place(given: str) -> str:
    """Return the address that somebody wanted before the login, if it is one of this page; else the first page."""
    elsewhere = given.startswith(("//", "/\\")) or ".." in given
    is_ours = given.startswith("/") and not elsewhere and given.isprintable()
    return f"{_root()}{given}" if is_ours else url_for("ops.overview")
