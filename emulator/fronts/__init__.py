"""Ways to the service: in process, WSGI, socket, control door, webhooks; it imports all that is below."""
