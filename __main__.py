"""`python -m stripe_mongo_sync COMMAND`: the command line, as `stripe-mongo-sync COMMAND` is."""

import sys

from stripe_mongo_sync.sync.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
