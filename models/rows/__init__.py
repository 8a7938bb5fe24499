"""The base of every stored row: MongoDB's clock, leases, indexes, ownership, and which values are stored. It imports
nothing of ours."""
