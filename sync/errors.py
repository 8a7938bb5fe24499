"""The errors of the library: one class for each reaction that a caller may need. `says` is the default message.

The messages are no docstrings, because `python -OO` removes those.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from stripe_mongo_sync.models.base.lifecycle import StagedDocument

PROBLEMS = "https://stripe-mongo-sync.invalid/problems/"  # with a `type`, an identifier, which no browser can open


class SyncError(Exception):
    says: ClassVar[str] = "Something went wrong."
    type = "error"  # stable: the suffix of the problem+json type

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.__doc__ = cls.says  # for `help`

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.says)


class NotConnected(SyncError):
    says = "Call stripe_mongo_sync.connect() before anything else."


class AlreadyConnected(SyncError):
    says = "This process is already connected with other settings: call stripe_mongo_sync.disconnect() first."


class BadSettings(SyncError):
    says = "The settings cannot be used."

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class CannotReadStripe(SyncError):
    says = "Stripe could not be read, so nothing was decided."
    type = "cannot-look"
    advice: str | None = None  # what an operator can do about it, if that is known

    @property
    def advised(self) -> str:
        """The message, with what an operator can do about it."""
        return f"{self}. To do: {self.advice}." if self.advice else str(self)


class WrongAccount(CannotReadStripe):
    says = "This database belongs to another Stripe account or mode, or Stripe has lost objects that we read before."


class BadKey(CannotReadStripe):
    says = "Stripe does not accept STRIPE_SECRET_KEY: it was revoked or mistyped."


class MissingPermission(CannotReadStripe):
    says = "STRIPE_SECRET_KEY is a restricted key that lacks a permission."


class ReadRefused(CannotReadStripe):
    says = "Stripe refused to read this."


class NotAvailable(ReadRefused):
    says = "This Stripe account has no such list."


class NoOwner(ReadRefused):
    says = "The object that this list belongs to does not exist."


class LostCursor(CannotReadStripe):
    says = "The list could not be continued, because the object at its cursor was removed."


class Outage(CannotReadStripe):
    says = "Stripe has not answered for minutes."


class Unavailable(SyncError):
    says = "MongoDB did not answer: the outcome is unknown. Repeat the call with the same key."
    type = "unavailable"

    def __init__(self, message: str | None = None, *, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class NotFound(SyncError):
    says = "There is no such document."
    type = "not-found"


class NotPossible(SyncError):
    says = "The document's status does not allow this action: see it in `operations list`."
    type = "not-possible"


class AlreadyExists(SyncError):
    says = "Another current document already has this name."
    type = "already-exists"


class InProgress(SyncError):
    says = "An operation is pending on this document: wait until it has ended."
    type = "in-progress"


class InReview(InProgress):
    says = "This document is in review: an operator must decide about it first, with `operations`."


class KeyReused(SyncError):
    says = "This Idempotency-Key was used with another body."
    type = "key-reused"


class NotDeletable(SyncError):
    says = "Stripe cannot delete this type."
    type = "not-deletable"


class Outcome(SyncError):
    """An operation did not succeed. `document` is the document as it is now."""

    def __init__(self, document: "StagedDocument", message: str | None = None) -> None:
        super().__init__(message)
        self.document = document
        self.repeated = False  # whether an earlier request with the same key got this answer, too


TOLD = ("type", "code", "decline_code", "param", "message")  # of a refusal of Stripe's


class Refused(Outcome):
    says = "Stripe refused. Nothing usable is left on either side, except a payment that may be confirmed again."
    type = "refused"

    def __init__(self, document: "StagedDocument", problem: dict[str, Any] | None = None) -> None:
        stored = document.error
        self.problem = problem or {name: getattr(stored, name, None) for name in TOLD}
        super().__init__(document, self.problem.get("message"))

    @property
    def code(self) -> str | None:
        """Stripe's error code."""
        return self.problem.get("code")

    @property
    def decline_code(self) -> str | None:
        """Why the card was declined, if the refusal was a decline."""
        return self.problem.get("decline_code")

    @property
    def errors(self) -> dict[str, str]:
        """What Stripe refused, by field, as `Invalid.errors`; empty if Stripe named none, or a card was declined."""
        param = None if self.declined else self.problem.get("param")
        return {param.replace("]", "").replace("[", "."): str(self)} if isinstance(param, str) and param else {}

    @property
    def declined(self) -> bool:
        """Whether a card was declined. Otherwise the request was wrong."""
        return self.problem.get("type") == "card_error"


class RolledBack(Outcome):
    says = "The creation was rolled back: nothing usable is left on either side. Repeat it with a new key."
    type = "rolled-back"


class Deleted(Outcome):
    says = "The document was deleted."
    type = "deleted"
