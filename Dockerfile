# The house in an image: `docker run --env-file .env -p 127.0.0.1:8000:8000 -v tallystick:/data tallystick`
# It writes to /data and /tmp and nowhere else: `--read-only --tmpfs /tmp` may be added.

FROM python:3.11-slim AS builder
WORKDIR /house
RUN python -m venv --without-pip /venv \
 && pip install --no-cache-dir --root-user-action=ignore "uv>=0.9"
# Apart from the code, so that a change of it does not install everything anew. The lock names
# the versions and hashes of all, pyproject.toml the few that are needed to serve.
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --python /venv/bin/python --compile-bytecode \
      --require-hashes --constraints requirements.lock --requirements pyproject.toml
COPY . .
# What only builds is not for those who serve: a compiler of protocols, and what makes packages.
RUN uv pip install --no-cache --python /venv/bin/python \
      --no-deps --no-build-isolation --editable . \
 && uv pip uninstall --python /venv/bin/python grpcio-tools setuptools wheel \
 && /venv/bin/python -m compileall -q app domain projections gunicorn.conf.py

FROM python:3.11-slim
RUN python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
 && groupadd --system --gid 10001 tallystick \
 && useradd --system --uid 10001 --gid 10001 --home-dir /data --create-home tallystick
COPY --from=builder /venv /venv
COPY --from=builder /house /house
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATABASE_URL=sqlite:////data/tallystick.db
WORKDIR /house
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
# Running streams are let end and are charged: give `docker stop --time` as long as you can.
CMD ["tallystick", "serve"]
