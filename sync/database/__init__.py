"""Checks MongoDB before it is trusted: its read and write options, our indexes, and that no other program's rows are in
our collections. This room may import settings, errors, logs and models; the connection stands above it."""
