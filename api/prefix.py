"""Mounts the application below a path of another one, and computes its public paths."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MethodType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, request
from werkzeug.routing import Map
from werkzeug.urls import iri_to_uri

from stripe_mongo_sync.sync.logs import log

INNER = ("app", "wsgi_app", "application")  # attributes in which middleware keeps the application it wraps
DEEPEST = 20  # nested middlewares that are searched


@dataclass
class Mounts:
    """Routes paths below a prefix to the application of that prefix, and all other requests unchanged to the host."""

    host: WSGIApplication
    ours: dict[str, Flask]
    routes: Map  # the host's
    is_checked: bool = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application that the path belongs to. The first call warns of routes of the host that are hidden."""
        if not self.is_checked:
            self.is_checked = True
            for prefix in self.ours:
                for hidden in routes_below(prefix, self.routes):
                    log.warning("the route %s is never called: it is below %s, which init_app mounted", hidden, prefix)
        path = environ.get("PATH_INFO", "")
        for prefix, application in self.ours.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "").rstrip("/") + prefix
                environ["PATH_INFO"] = path[len(prefix) :]
                return application(environ, start_response)
        return self.host(environ, start_response)


def is_unwrapped(host: Flask) -> bool:
    """Return whether nothing but what `mount` put there is between a request and this application."""
    layer = vars(host).get("wsgi_app", own := MethodType(type(host).wsgi_app, host))
    return bool(layer == own or (isinstance(layer, Mounts) and layer.host == own))


def mount(host: Flask, ours: dict[str, Flask]) -> None:
    """Mount these applications by their prefixes, directly around `host` and below the middleware that wraps it.

    So a ProxyFix, which knows where the path begins, applies to both. A middleware that hides the application it wraps
    cannot be passed: then the applications are mounted above it.
    """
    holder, name = _beginning(host)
    setattr(holder, name, Mounts(getattr(holder, name), ours, host.url_map))


def routes_below(prefix: str, routes: Map) -> list[str]:
    """Return the routes at a prefix or below it."""
    return [rule.rule for rule in routes.iter_rules() if f"{rule.rule}/".startswith(f"{prefix}/")]


def _beginning(host: Flask) -> tuple[Any, str]:
    """Return the object that holds the WSGI function of `host` itself, and the name of that attribute."""
    own = MethodType(type(host).wsgi_app, host)
    holder: Any = host
    name = "wsgi_app"
    for _ in range(DEEPEST):
        layer = getattr(holder, name)
        if layer == own:
            return holder, name
        inner = next((each for each in INNER if each in getattr(layer, "__dict__", ())), None)
        if inner is None:
            break
        holder, name = layer, inner
    return host, "wsgi_app"


def address(path: str) -> str:
    """Return the absolute path, as this request's caller sees it: below every prefix, and without the host."""
    root = request.root_path.strip("/")  # two slashes at the beginning would name a host
    return iri_to_uri(f"/{root}{path}" if root else path)
