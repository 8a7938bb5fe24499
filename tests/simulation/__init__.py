"""Simulation: a whole shop under fire, drawn from a seed. The same seed gives the same history, to the last switch."""
