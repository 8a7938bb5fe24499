"""One document and its object: the saga, what settles, finds, adopts and undoes, and what is admitted as evidence. It
may import the connection, `sync/stripe/` and what is below; it knows no shop, notice, inbox or run."""
