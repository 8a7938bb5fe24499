"""The state: rows, clock, events, deliveries, saved replies. Imports only `protocol`."""
