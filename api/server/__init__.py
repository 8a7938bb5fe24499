"""The gunicorn worker of this service, its connections, and its threads for each kind of request. It may import `api/`,
which does not import it."""
