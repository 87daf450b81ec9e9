# The service as an image. Configuration: /etc/impulse-monitor (mount it); store: /var/lib/impulse-monitor (a volume).
# docs/deployment.md says how it is run; the root file system may be read-only.

ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock deploy/image/build.lock ./
# The service's environment holds no pip: the builder's installs into it. Both are locked to hashes.
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/impulse-monitor \
    && /build/bin/pip install --require-hashes -r build.lock \
    && /build/bin/pip --python /opt/impulse-monitor/bin/python install --require-hashes --only-binary :all: -r requirements.lock \
    && find /opt/impulse-monitor/lib -type d -name tests -path '*/numpy/*' -prune -exec rm -r {} +
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
RUN /build/bin/hatchling build -t wheel \
    && /build/bin/pip --python /opt/impulse-monitor/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Impulse Monitor" \
      org.opencontainers.image.description="Watches models tested in Edge Impulse Studio: figures for Prometheus, alerts when they get worse" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/impulse-monitor /opt/impulse-monitor
# Created here, so that a volume mounted over it for the first time takes over the owner.
RUN install -d -o 65532 -g 65532 -m 0750 /var/lib/impulse-monitor && install -d /etc/impulse-monitor
ENV PATH=/opt/impulse-monitor/bin:$PATH \
    HOME=/var/lib/impulse-monitor \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    IMPULSE_MONITOR_HEALTH_URL=http://127.0.0.1:9890/-/healthy
USER 65532:65532
WORKDIR /var/lib/impulse-monitor
VOLUME /var/lib/impulse-monitor
EXPOSE 9890
# By http.client, because urllib would go through HTTP_PROXY. 401 is an answer too: with basic auth the check has no password.
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "-Ic", "import http.client as c, os, ssl, sys, urllib.parse as p; u = p.urlsplit(os.environ['IMPULSE_MONITOR_HEALTH_URL']); h = c.HTTPSConnection(u.netloc, timeout=4, context=ssl._create_unverified_context()) if u.scheme == 'https' else c.HTTPConnection(u.netloc, timeout=4); h.request('GET', u.path); sys.exit(h.getresponse().status not in (200, 401))"]
ENTRYPOINT ["impulse-monitor"]
CMD ["run", "--config", "/etc/impulse-monitor/monitor.yaml"]
