"""Who acts without a request: buyers, the Dashboard, a tester; it imports `objects` and what is below."""
