"""The layers a request passes, and the table of types that they ask; it imports `state` and `protocol`."""
