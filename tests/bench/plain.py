"""The usual way to write a proxy: Flask and a session of requests; it bills nothing.

It runs on gunicorn and gevent. `MOCK_PORT` is where it forwards to.
"""

from __future__ import annotations

import os

import requests
from flask import Flask, Response, request
from requests.adapters import HTTPAdapter

URL = f"http://127.0.0.1:{os.environ.get('MOCK_PORT', '0')}/v1/chat/completions"
SESSION = requests.Session()
SESSION.mount("http://", HTTPAdapter(pool_maxsize=2000))
TIMEOUT_S = 60.0

application = Flask(__name__)


@application.post("/v1/chat/completions")
def forward() -> Response:
    kind = {"content-type": "application/json"}
    answer = SESSION.post(URL, request.get_data(), stream=True, headers=kind, timeout=TIMEOUT_S)
    pieces = answer.iter_content(None)
    if "content-length" in answer.headers:
        return Response(b"".join(pieces), content_type=answer.headers["content-type"])
    return Response(pieces, content_type=answer.headers["content-type"])
