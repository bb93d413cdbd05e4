"""The client's side of the line: acts are asked for in JSON, one a line, and answered so."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Said = dict[str, Any]


def serve(acts: Mapping[str, Callable[..., Said]], *own_errors: type[Exception]) -> None:
    """Do what each line of stdin asks for; `own_errors` are those of the client's SDK."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever a library prints is not an answer.
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            said = acts[asked["act"]](**asked["given"])
        except own_errors as error:
            said = {"raised": as_seen(error)}
        except BaseException:  # noqa: BLE001  # told to the test, which fails
            said = {"failed": traceback.format_exc()}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def as_seen(error: Exception) -> Said:
    """Return what a program that caught `error` can tell of it."""
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, dict) else None
    fields = inner if isinstance(inner, dict) else body if isinstance(body, dict) else {}
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "code": fields.get("code"),
        "type": fields.get("type"),
        "message": str(error),
        "request_id": getattr(error, "request_id", None),
    }
