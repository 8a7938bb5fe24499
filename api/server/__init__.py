"""How gunicorn serves the application: a worker, its connections, and threads of its own for each kind of request. It
may import `api/`, which knows nothing of it."""
