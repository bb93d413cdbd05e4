from __future__ import annotations

from tests.doubles.upstream import UpstreamDouble
from tests.gateways.test_upstream import ask, chat, door_to


def test_an_answer_that_is_forgotten_keeps_its_connection_from_nobody() -> None:
    with UpstreamDouble() as double:
        upstream = door_to(double.base_url, connections_max=1)
        forgotten = upstream.post("/chat/completions", chat(stream=True), {})

        del forgotten

        assert ask(upstream)
        upstream.close()
