# The worker:      docker build -t genesys-event-worker .
# And its demo:    docker build -t genesys-event-worker:demo --target demo .
#
# For both architectures: docker buildx build --platform linux/amd64,linux/arm64 -t … --push .
#
# For a build that is the same tomorrow, name the base by its digest:
#   --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm


# hadolint ignore=DL3006  # the tag is in the argument
FROM ${PYTHON_IMAGE} AS installed
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# strip: some wheels carry more symbols for debuggers than code.
# hadolint ignore=DL3008  # no version: this stage is thrown away, and Debian keeps only the newest
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends binutils >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY deploy/requirements.txt deploy/requirements-build.txt ./
# Without pip of their own: what is copied to the end must not be able to install anything.
RUN python -m venv --without-pip /opt/worker \
 && python -m venv --without-pip /opt/backend \
 && python -m pip --python /opt/worker/bin/python install -q --no-compile \
      --only-binary :all: --require-hashes -r requirements.txt \
 && python -m pip --python /opt/backend/bin/python install -q --no-compile \
      --only-binary :all: --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY deploy/package_metadata.py deploy/
COPY worker worker
# No build isolation: it would fetch the build backend without asking for its hash.
RUN python -m pip --python /opt/backend/bin/python wheel -q \
      --no-build-isolation --no-deps --wheel-dir dist . \
 && python -m pip --python /opt/worker/bin/python install -q --no-compile \
      --no-index --no-deps dist/*.whl


# For images with more jobs: worker/jobs/README.md has the Dockerfile that continues here, and
# ends on `runtime`.
FROM installed AS builder
COPY deploy/prune.py deploy/finish-worker ./


FROM builder AS pruned
RUN ./finish-worker


FROM installed AS with-demo
COPY deploy/requirements-demo.txt ./
RUN python -m pip --python /opt/worker/bin/python install -q --no-compile \
      --only-binary :all: --require-hashes -r requirements-demo.txt \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/worker/lib


# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS base
# No way to install anything is left; what the interpreter itself needs stays.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin worker \
 && find / -xdev -depth \
      \( -path '*/python3*/*-packages/pip*' -o -path '*/python3*/*-packages/setuptools*' \
         -o -path '*/python3*/*-packages/wheel*' -o -path '*/python3*/*-packages/pkg_resources*' \
         -o -path '*/python3*/*distutils?hack*' -o -name distutils-precedence.pth \
         -o -path '*/python3*/ensurepip*' -o -path '*/bin/pip*' -o -path '*/bin/wheel*' \) -delete
ENV PATH=/opt/worker/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPS_HOST=0.0.0.0
# Fargate gives a volume of its own the folder's permissions only when the image declares it.
VOLUME ["/tmp"]
USER 10001:10001
WORKDIR /tmp
EXPOSE 9464
# Python is process 1 and gets the signals: SIGTERM drains.
ENTRYPOINT ["worker"]
CMD ["run"]


FROM base AS demo
LABEL org.opencontainers.image.title="genesys-event-worker demo" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=with-demo /opt/worker /opt/worker


# All of the worker's image but the worker.
FROM base AS runtime
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["worker", "health"]
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="genesys-event-worker" \
      org.opencontainers.image.description="Takes Genesys Cloud events from SQS and acts on them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"


FROM runtime AS worker
COPY --from=pruned /opt/worker /opt/worker
