"""An event comes in: parsed, applied and drained, thin events, and how far Stripe's own list was read. It may import
the engine and what is below."""
