"""Documents as a caller sees them, and the JSON Schemas of request bodies and responses in the OpenAPI document."""
