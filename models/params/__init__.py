"""What may be sent to Stripe: its parameters, read from stripe-python, and which of them this service sets itself."""
