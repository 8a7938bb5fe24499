"""May they come in? What entitles a customer, and the one question to MongoDB that knows it. It may import `sync/shop/`
and what is below."""
