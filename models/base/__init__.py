"""The mechanism beneath what is stored: how a document is born, found and changed, what Stripe's types are to it, and
who is told. It may import `models/rows/`, and knows no stored thing."""
