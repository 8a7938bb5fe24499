"""What travels: requests, replies, forms, typed parameters, versions, errors; it imports no other room."""
