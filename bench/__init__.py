"""Benchmarks. Each compares the service with a baseline, one durable write to the same MongoDB, or with a peer."""
