"""The rows of the Stripe types, which `resources` registers. Imports `engine` and the rooms below it."""
