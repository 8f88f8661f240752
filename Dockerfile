# One image for web and workers; the stage `test` runs the tests.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --require-hashes --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY spigot ./spigot
# Of the locked wheels, the image gets those that Spigot needs at run time.
RUN python3 -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --no-cache-dir --no-index --find-links /wheels .

FROM build AS test
RUN python3 -m venv --without-pip /tests \
 && pip --python /tests/bin/python install --no-cache-dir --no-index --find-links /wheels \
    --requirement requirements.lock \
 && useradd --uid 10001 --create-home spigot \
 && chown spigot .
COPY --chown=spigot . ./
RUN pip --python /tests/bin/python install --no-cache-dir --no-index --no-deps \
    --no-build-isolation --editable .
USER 10001
ENV PATH=/tests/bin:$PATH PYTHONUNBUFFERED=1
CMD ["pytest"]

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin spigot \
 && install --directory --owner spigot /app /app/data
COPY --from=build /venv /venv
WORKDIR /app
COPY rate_limits.json buckets.json ./
USER 10001
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
  ["python3", "-c", "import os; from urllib.request import urlopen; urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=2)"]
CMD ["spigot", "web"]
