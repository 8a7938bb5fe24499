"""Downloads: the PDF of a quote, which Stripe makes anew each time. It is passed on piece by piece, and not stored."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from stripe_mongo_sync.sync.errors import BadKey, CannotReadStripe, MissingPermission
from stripe_mongo_sync.sync.stripe.answers import Asked, Refusal, Unknown, api_version, read_refusal, read_unknown

if TYPE_CHECKING:
    import stripe

PIECE = 65_536  # bytes
PDF = b"%PDF-"  # how one begins
BROKEN = (OSError, ValueError, HTTPError)  # what the stream of a connection raises that ends early


class Downloading(ABC):
    """The downloads of `Gateway`."""

    request_count: int
    _base: str

    @abstractmethod
    def verify_account(self, *, bind: bool = True, quick: bool = False) -> None:
        """Raise WrongAccount unless the key belongs to the account of this database."""

    @abstractmethod
    def _reader(self, *, quick: bool) -> "stripe.StripeClient":
        """Return the client to read with."""

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
            unknown: Unknown = read_unknown(error, self._base)
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
