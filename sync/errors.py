"""What a caller can be told: one class for each thing that they can do about it. What it `says` is the message.

A docstring says it no more: `python -OO` takes those away.
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from stripe_mongo_sync.models.base.document import SyncedDocument


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
    says = "This process is connected with other settings: call stripe_mongo_sync.disconnect() first."


class BadSettings(SyncError):
    says = "The settings cannot be used."

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class CannotLook(SyncError):
    says = "Stripe could not be read, so nothing was decided."
    type = "cannot-look"
    do: str | None = None  # what an operator can do about it, where that is known


class WrongAccount(CannotLook):
    says = "This database belongs to another Stripe account or mode, or Stripe has lost what we read there before."


class BadKey(CannotLook):
    says = "Stripe does not accept STRIPE_SECRET_KEY: it was revoked or mistyped."


class MissingPermission(CannotLook):
    says = "STRIPE_SECRET_KEY is a restricted key that lacks a permission."


class ReadRefused(CannotLook):
    says = "Stripe refused to read this."


class NotAvailable(ReadRefused):
    says = "This Stripe account has no such list."


class NoOwner(ReadRefused):
    says = "The object whose list this is does not exist."


class LostCursor(CannotLook):
    says = "The object from which a list was to be read on was removed."


class Outage(CannotLook):
    says = "Stripe has not answered for minutes."


class Unavailable(SyncError):
    says = "MongoDB could not be asked. Nothing is known to be done: repeat the call with the same key."
    type = "unavailable"

    def __init__(self, message: str | None = None, *, idempotency_key: str | None = None) -> None:
        super().__init__(message)
        self.idempotency_key = idempotency_key


class NotFound(SyncError):
    says = "There is no such document."
    type = "not-found"


class NotPossible(SyncError):
    says = "That does not fit the state it is in."
    type = "not-possible"


class AlreadyExists(SyncError):
    says = "That name is taken by a live document."
    type = "already-exists"


class InProgress(SyncError):
    says = "An operation is pending on this document: wait for it to end."
    type = "in-progress"


class InReview(InProgress):
    says = "This document is in review: a person must decide about it first."


class KeyReused(SyncError):
    says = "This Idempotency-Key was used with another body."
    type = "key-reused"


class NotDeletable(SyncError):
    says = 'Stripe cannot delete this type: archive it with PATCH {"active": false}.'
    type = "not-deletable"


class Outcome(SyncError):
    """How an operation ended, other than well; `document` is the document as it is now."""

    def __init__(self, document: "SyncedDocument", message: str | None = None) -> None:
        super().__init__(message)
        self.document = document
        self.repeated = False  # whether this was told before, to a request with the same key


class Refused(Outcome):
    says = "Stripe refused. Nothing usable was left on either side, but for a payment that may be confirmed again."
    type = "refused"

    def __init__(self, document: "SyncedDocument", problem: dict[str, Any] | None = None) -> None:
        stored = document.error
        self.problem = problem or {n: getattr(stored, n, None) for n in ("type", "code", "decline_code", "message")}
        super().__init__(document, self.problem.get("message"))

    @property
    def code(self) -> str | None:
        """Stripe's error code."""
        return self.problem.get("code")

    @property
    def decline_code(self) -> str | None:
        """Why the card was declined, where it was one."""
        return self.problem.get("decline_code")

    @property
    def declined(self) -> bool:
        """Whether a card was declined, as opposed to the request being wrong."""
        return self.problem.get("type") == "card_error"


class RolledBack(Outcome):
    says = "The creation was given up: nothing usable was left on either side. Repeat it with a new key."
    type = "rolled-back"


class Deleted(Outcome):
    says = "The document was deleted."
    type = "deleted"
