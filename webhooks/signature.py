"""Verifies the signature of a webhook: over the raw bytes, with one of the secrets, and made at most 300 s ago."""

import time

import stripe

TOLERANCE = 300  # s, the default of Stripe's libraries: it rejects replayed requests, and reveals a wrong clock
LONGEST_HEADER = 4096  # bytes: the signatures of a few secrets are a few hundred


class BadSignature(ValueError):
    says = "This was not signed with STRIPE_WEBHOOK_SECRET in the last five minutes."


def required(header: str | None) -> str:
    """Return the header. Raises BadSignature if it is missing or too long, before the body is read for nothing."""
    if not header or len(header) > LONGEST_HEADER:
        raise BadSignature
    return header


def verify(raw: bytes, header: str | None, secrets: tuple[str, ...]) -> None:
    """Raise BadSignature unless `header` signs `raw` with one of `secrets`, up to 300 s ago or ahead.

    stripe-python checks the past only, and raises more than its own exception: UnicodeDecodeError for a body that is
    not UTF-8, TypeError for a signature that is not ASCII, ValueError for a timestamp that is no number.
    """
    header = required(header)
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(raw.decode(), header, secret, TOLERANCE)
        except (stripe.SignatureVerificationError, UnicodeDecodeError, TypeError, ValueError, AttributeError):
            continue
        if _timestamp(header) > time.time() + TOLERANCE:
            break
        return
    raise BadSignature


def _timestamp(header: str) -> int:
    """Return the time in a verified header, parsed as stripe-python does: text behind a second `=` is ignored."""
    return int(next(part.split("=")[1] for part in header.split(",") if part.startswith("t=")))
