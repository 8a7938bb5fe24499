# One image for every process: the service, reconcile, the hooks, and each other command. See docs/deploy.md.
# For builds that are the same each time, name the base by its digest: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:…
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
# Everything that is fetched is checked against a hash, and nothing is compiled. The environment has no pip of its own.
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.lock \
 && python -m venv --without-pip /app \
 && pip --python /app/bin/python install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-index --no-build-isolation --wheel-dir /wheels . \
 && pip --python /app/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="stripe-mongo-sync" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PORT=8000
# A folder for an image with your hooks: FROM this one, then COPY my_shop my_shop
WORKDIR /shop
# A number, so that Kubernetes can see that it is not root's; no such user is needed. It owns nothing, and writes to /tmp only.
USER 65532:65532
EXPOSE 8000
# Only `serve` answers: give the other processes no health check, or one of their own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=3); probe.request('GET', '/healthz'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["stripe-mongo-sync"]
CMD ["serve"]
