# The house in an image: `docker run --env-file .env -p 8000:8000 -v tallystick:/data tallystick`

FROM python:3.11-slim AS builder
WORKDIR /house
RUN pip install --no-cache-dir --root-user-action=ignore "uv>=0.9" \
 && python -m venv --without-pip /venv
# Apart from the code, so that a change of it does not install everything anew. The lock names
# the versions and hashes of all, pyproject.toml the few that are needed to serve.
COPY pyproject.toml requirements.lock ./
RUN uv pip install --no-cache --python /venv/bin/python \
      --require-hashes --constraints requirements.lock --requirements pyproject.toml
COPY . .
RUN uv pip install --no-cache --python /venv/bin/python \
      --no-deps --no-build-isolation --editable .

FROM python:3.11-slim
RUN useradd --system --home-dir /data --create-home --uid 10001 tallystick
COPY --from=builder /venv /venv
COPY --from=builder /house /house
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATABASE_URL=sqlite:////data/tallystick.db
WORKDIR /house
USER tallystick
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD python -c "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/v1/info', timeout=4)"
# Running streams are let end and are charged: give `docker stop --time` as long as you can.
CMD ["tallystick", "serve"]
