"""The code of the how-tos, as it is on the page: in a process of its own, with a real MongoDB and a small Stripe."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.world import SECRET, TOKEN

# How a test asks each of them; what a shop has that the page takes for granted.
FLASK = """
from shop import create_app
ask = create_app().test_client().open
"""
DJANGO = """
from werkzeug.test import Client
from shop.wsgi import application
client = Client(application)
client.set_cookie("csrftoken", "a" * 32)
ask = client.open
"""
FASTAPI = """
import warnings
from starlette.testclient import TestClient
from shop import app
client = TestClient(app, follow_redirects=False)
def ask(path, method, headers=None, data=None):
    sent = {"json": data} if isinstance(data, dict) else {"content": data}
    return client.request(method, path, headers=headers, **sent)
"""
SETTINGS = """
SECRET_KEY = "of the shop"
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["localhost"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
"""
ASKED = """
import json, os
import stripe
from stripe_mongo_sync.emulator import Emulator
from stripe_mongo_sync.emulator.fronts.server import Server

small = Emulator()
small.endpoint("https://shop.example/billing/webhooks/stripe", secret=os.environ["STRIPE_WEBHOOK_SECRET"])
with Server(small) as server:
    os.environ["STRIPE_API_BASE"] = server.url
    exec(os.environ["BEGIN"])
    person, browser = {"email": "user@here.com", "name": "A User"}, {"X-CSRFToken": "a" * 32}
    told = [ask("/sign-up", method="POST", data=person, headers=browser) for _ in range(2)]
    said = {"signed up": [each.status_code for each in told], "at Stripe": len(small.objects("customer"))}
    (sent,) = small.webhooks.take()
    for name, secret in (("forged", "whsec_of_somebody_else"), ("told", os.environ["STRIPE_WEBHOOK_SECRET"])):
        signature = stripe.WebhookSignature.generate_signature_header(sent.body.decode(), secret)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        answer = ask("/billing/webhooks/stripe", method="POST", data=sent.body, headers=headers)
        said[name] = [answer.status_code, json.loads(answer.text)]
    said["none"] = ask("/billing/none", method="GET").headers["Content-Type"]
    said["theirs"] = ask("/none", method="GET").headers["Content-Type"].partition(";")[0]
    said["api"] = ask("/billing/customers", method="GET").status_code
    from stripe_mongo_sync.models import Customer
    said["confirmed"] = [customer.confirmed_at is not None for customer in Customer.objects]
print(json.dumps(said))
"""


def written(page: str, folder: Path) -> None:
    """Write the files of a page, each of which begins with its name."""
    found = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", Path(page).read_text(), re.DOTALL | re.MULTILINE)
    assert found
    for name, code in found:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)


@pytest.mark.parametrize(
    ("page", "begin", "more", "theirs"),
    [
        ("flask", FLASK, {}, "text/html"),
        ("django", DJANGO, {"shop/settings.py": SETTINGS, "shop/__init__.py": ""}, "text/html"),
        ("fastapi", FASTAPI, {}, "application/json"),
    ],
    ids=["flask", "django", "fastapi"],
)
def test_what_the_page_shows_signs_people_up_and_hears_of_them(
    page: str, begin: str, more: dict[str, str], theirs: str, database: str, tmp_path: Path
) -> None:
    written(f"docs/howto-{page}.md", tmp_path)
    for name, text in more.items():
        (tmp_path / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "STRIPE_SECRET_KEY": "sk_test_howto",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "API_TOKENS": TOKEN,
        "MONGODB_URI": database,
        "BEGIN": begin,
    }

    done = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    status, problem = said.pop("forged")
    assert (status, problem["title"]) == (400, "bad signature")
    assert said == {
        "signed up": [201, 409],
        "at Stripe": 1,
        "told": [200, {"state": "applied"}],
        "none": "application/problem+json",
        "theirs": theirs,
        "api": 404,
        "confirmed": [True],
    }
