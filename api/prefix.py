"""Below which path the application is: what leads to it there, and what its answers say of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MethodType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, request
from werkzeug.urls import iri_to_uri

INNER = ("app", "wsgi_app", "application")  # how what wraps an application names it: Werkzeug's own, and most others
DEEPEST = 20  # of them around one another


@dataclass
class Mounts:
    """Leads what is below a prefix to the application of that prefix, and hands all the rest on as it came."""

    host: WSGIApplication
    ours: dict[str, Flask]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the one or the other does."""
        path = environ.get("PATH_INFO", "")
        for prefix, application in self.ours.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "").rstrip("/") + prefix
                environ["PATH_INFO"] = path[len(prefix) :]
                return application(environ, start_response)
        return self.host(environ, start_response)


def mount(host: Flask, ours: dict[str, Flask]) -> None:
    """Lead to these applications, by their prefixes, where `host` itself begins.

    That is below what wraps `host` already: a ProxyFix, which knows where the path begins, is for both. What hides
    the application that it wraps stays below.
    """
    holder, name = _beginning(host)
    setattr(holder, name, Mounts(getattr(holder, name), ours))


def _beginning(host: Flask) -> tuple[Any, str]:
    """Return what holds the WSGI function of the application itself, and by which name."""
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
    """Return where a path of this application is, for whoever asks now: without the host, and below every prefix."""
    root = request.root_path.strip("/")  # two slashes at the beginning would name a host
    return iri_to_uri(f"/{root}{path}" if root else path)
