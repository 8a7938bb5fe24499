"""A browser without scripts: it keeps cookies, reads forms, and sends what stands in them."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
FIELD = re.compile(r'<input\b[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"')


@dataclass
class Browser:
    """Somebody before the operator's page of an application, which is mounted at `at`."""

    app: Flask
    at: str = "/ops"
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client: FlaskClient = self.app.test_client()
        self.page = ""  # the HTML that it shows

    def see(self, path: str = "/", **query: Any) -> TestResponse:
        """Load a page."""
        return self._shown(self.client.get(f"{self.at}{path}", query_string=query or None, headers=self.headers))

    def follow(self, response: TestResponse) -> TestResponse:
        """Load the page to which a response leads."""
        return self._shown(self.client.get(response.location, headers=self.headers))

    def forms(self) -> dict[str, dict[str, str]]:
        """Return the hidden fields of each form of the page that sends something, by its address."""
        found = {}
        for attributes, inner in FORM.findall(self.page):
            if 'method="post"' in attributes:
                action = re.search(r'action="([^"]*)"', attributes)
                fields = {name: unescape(value) for name, value in FIELD.findall(inner)}
                found[unescape(action[1]) if action else ""] = fields
        return found

    def send(self, path: str, **more: str) -> TestResponse:
        """Send the form of the page with this address, as it stands there, with `more` filled in."""
        fields = self.forms()[f"{self.at}{path}"]
        return self._shown(self.client.post(f"{self.at}{path}", data={**fields, **more}, headers=self.headers))

    def log_in(self, token: str, path: str = "/login") -> TestResponse:
        """Log in with a token."""
        self.see(path)
        return self.send("/login", token=token)

    def _shown(self, response: TestResponse) -> TestResponse:
        self.page = response.text
        response.close()
        return response
