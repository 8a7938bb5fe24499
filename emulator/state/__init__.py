"""What Stripe remembers: rows, time, events, deliveries, saved replies; it imports `protocol` only."""
