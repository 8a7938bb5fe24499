"""The default limits of a run. The command line shows them before it loads any run."""

RATE = 20.0  # requests a second: Stripe takes 25 in a sandbox and 100 live, and the shop needs some of them
OWNER_READS = 1250  # GETs of a run for what Stripe lists under its owner only: 250 customers have five lists each
