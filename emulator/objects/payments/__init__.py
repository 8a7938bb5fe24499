"""How money moves; of `objects` it may import `catalog`."""
