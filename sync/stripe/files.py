"""Files at Stripe: the PDF of a quote, which is passed on piece by piece, and evidence, which is uploaded.

Nothing of a file is stored here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from io import BytesIO
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from stripe_mongo_sync.models.base.embedded import Call
from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission
from stripe_mongo_sync.sync.stripe.about import About, an
from stripe_mongo_sync.sync.stripe.answers import (
    Answer,
    Asked,
    Refusal,
    Reply,
    Unknown,
    api_version,
    read_refusal,
    read_unknown,
)

if TYPE_CHECKING:
    import stripe

PIECE = 65_536  # bytes
UPLOADS = "/v1/files"
PDF = b"%PDF-"  # how one begins
BROKEN = (OSError, ValueError, HTTPError)  # what the stream of a connection raises that ends early


class Named(BytesIO):
    """The content of a file, which a form sends under this name, as often as it is sent."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next piece; after the last one, the next form begins with the first."""
        piece = super().read(size)
        if not piece:
            self.seek(0)
        return piece


class Files(ABC):
    """The downloads and uploads of `Gateway`."""

    request_count: int
    _bases: dict[str, str]

    @abstractmethod
    def verify_account(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongAccount unless the key belongs to the account of this database."""

    @abstractmethod
    def write_once_more(
        self, call: Call, fits: About, version: str | None = None, *, is_upload: bool = False
    ) -> Answer:
        """Send one request that changes something; after a lost answer, once more."""

    @abstractmethod
    def _reader(self, *, quick: bool) -> "stripe.StripeClient":
        """Return the client to read with."""

    def upload(self, purpose: str, name: str, content: bytes) -> str | Refusal:
        """Upload a file; return its id, or Stripe's refusal.

        A file that nothing refers to has no effect, so none is undone (Stripe cannot delete one). Raises
        CannotReadStripe if it is not known whether Stripe has it.
        """
        call = Call(UPLOADS, {"purpose": purpose, "file": Named(name, content)}, "post", f"upload-{token_hex(16)}")
        match answer := self.write_once_more(call, an("file", purpose=purpose), is_upload=True):
            case Reply(remote=remote):
                return str(remote["id"])
            case Refusal():
                return answer
        raise CannotReadStripe(f"POST {UPLOADS}: {answer}")

    def quote_pdf(self, quote: str) -> Iterator[bytes] | Refusal:
        """Ask for the PDF of a quote; return an iterator of its bytes, or Stripe's refusal.

        Raises CannotReadStripe, also while it is read.
        """
        import stripe

        self.verify_account(bind=False)
        self.request_count += 1
        path = f"/v1/quotes/{quote}/pdf"
        try:
            options: Any = {"stripe_version": api_version()}
            stream = self._reader(quick=False).v1.quotes.pdf(quote, options=options).io
            first = stream.read(PIECE)
        except stripe.AuthenticationError as error:
            raise BadKey from error
        except stripe.PermissionError as error:
            raise MissingPermission(f"STRIPE_SECRET_KEY may not GET {path}: {error.user_message}") from error
        except stripe.InvalidRequestError as error:
            answer = read_refusal(error, 0.0, Asked(api_version(), frozenset()), alone=True)
            if isinstance(answer, Refusal):
                return answer
            raise CannotReadStripe(f"GET {path}: {answer}") from error
        except stripe.StripeError as error:
            unknown: Unknown = read_unknown(error, self._bases["files"])
            raise CannotReadStripe(f"GET {path}: {unknown}") from error
        except (*BROKEN, AttributeError, TypeError) as error:
            raise CannotReadStripe(f"GET {path}: Stripe's answer could not be read ({type(error).__name__})") from error
        if not first.startswith(PDF):
            stream.close()
            raise CannotReadStripe(f"GET {path}: the answer is no PDF")
        return _pieces(first, stream)


def _pieces(piece: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a first piece and the rest of a stream, and close it at the end."""
    try:
        while piece:
            yield piece
            piece = stream.read(PIECE)
    except BROKEN as error:
        raise CannotReadStripe(f"the PDF broke off ({type(error).__name__}): ask for it again") from error
    finally:
        stream.close()
