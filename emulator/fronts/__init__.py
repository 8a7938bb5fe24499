"""The ways in (in process, WSGI, socket, control API) and out (webhooks). Imports every other room."""
