"""How fast it is, measured beside what no service could beat: one durable write to the same MongoDB."""
