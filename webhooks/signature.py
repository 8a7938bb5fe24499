"""The signature of a webhook: computed over the raw bytes, with one of the secrets, at about the present time."""

import time

import stripe

TOLERANCE = 300  # s, Stripe's own; a replayed request is older, and a host with a wrong clock must be noticed
LONGEST_HEADER = 4096  # bytes: a signature for each of a few secrets is a few hundred


class BadSignature(ValueError):
    says = "This was not signed with STRIPE_WEBHOOK_SECRET in the last five minutes."


def required(header: str | None) -> str:
    """Return the header; raise BadSignature, before a body is read for nothing, where there is none."""
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
    """Return the time of a header that was just verified, read as stripe-python does: what follows another = is cut."""
    return int(next(part.split("=")[1] for part in header.split(",") if part.startswith("t=")))
