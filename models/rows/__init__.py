"""What any row rests on, whatever it holds: MongoDB's clock, leases, indexes, whose rows they are, what a value may be
and what of it is kept. It imports nothing of ours."""
