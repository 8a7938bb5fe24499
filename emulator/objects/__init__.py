"""The types, a row each, which `resources` puts into the table; it imports `engine` and what is below."""
