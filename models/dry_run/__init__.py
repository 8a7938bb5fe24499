"""Dry runs: an act runs as it is, but its writes stay in this process, and it ends at the first call to Stripe.
It knows MongoDB's driver, and nothing of ours."""
