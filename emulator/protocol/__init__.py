"""HTTP messages: requests, replies, forms, typed parameters, versions, errors. Imports no other room."""
