"""Telling the application what happened: its hooks, and how notices are delivered to them. It may import the engine
and what is below."""
