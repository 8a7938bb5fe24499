"""The JSON Schemas of the OpenAPI document: of request bodies, and of the documents in responses."""
