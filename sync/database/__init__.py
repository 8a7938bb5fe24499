"""What MongoDB must be before anything is trusted to it: read and written as we ask, with our indexes, and nobody
else's rows. It may import settings, errors, logs and models; the connection stands above it."""
