"""One document and its object: the saga; resolving, finding, adopting and undoing; admission of events. This room may
import the connection, `sync/stripe/` and what is below; it knows no shop, notice, inbox or run."""
