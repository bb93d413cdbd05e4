from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.cashier.providers import opened
from app.gateways.mint.errors import SealError
from app.store.errors import StoreUnavailableError
from app.verbs.group import provider
from app.verbs.provider import VERBS
from tests.cashier.test_providers import KEY, OWN_KEY, SEALER, Desk, listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.cashier.providers import Providers
    from tests.cashier.house import House
    from tests.doubles.upstream import UpstreamDouble

MODEL = {"id": "x", "pricing": {"prompt": "1", "completion": "2"}}


class Terminal:
    """A terminal, and a desk behind it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.failure: Exception | None = None

    def type(self, *words: str, given: str = "", **variables: str) -> Result:
        @contextmanager
        def open_desk() -> Iterator[Providers]:
            if self.failure is not None:
                raise self.failure
            yield self.desk.providers

        verb = next(verb for verb in VERBS if verb.name == words[0])
        return CliRunner().invoke(verb, words[1:], obj=open_desk, input=given, env=variables)

    def done(self, *words: str, **options: Any) -> str:
        result = self.type(*words, **options)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *words: str, **options: Any) -> str:
        """Return the one line that says what is wrong."""
        result = self.type(*words, **options)
        assert result.exit_code in {1, 2}, result.output
        assert "Traceback" not in result.output
        return result.output.splitlines()[-1]


@pytest.fixture
def terminal(house: House) -> Terminal:
    return Terminal(Desk(house))


def test_a_key_is_read_from_the_standard_input(terminal: Terminal) -> None:
    said = terminal.done("add", "a", "http://a.example", "--key-file", "-", given=f"{KEY}\n")

    assert opened(SEALER, terminal.desk.row("a")) == KEY
    assert KEY not in said


def test_a_key_is_read_from_a_file_or_a_variable(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)

    terminal.done("add", "a", "http://a.example", "--key-file", str(file))
    terminal.done("add", "b", "http://b.example", "--key-env", "B_KEY", B_KEY=OWN_KEY)

    assert opened(SEALER, terminal.desk.row("a")) == KEY
    assert opened(SEALER, terminal.desk.row("b")) == OWN_KEY


def test_no_command_takes_a_key_from_the_command_line() -> None:
    options = {option for verb in VERBS for each in verb.params for option in each.opts}

    assert not options & {"--key", "--api-key"}
    assert {"--key-file", "--key-env"} <= options


def test_everything_can_be_said_at_once(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"models": [MODEL]}))
    words = ("--fee", "1.1", "--priority", "-2", "--models", str(file), "--only", "x*")

    said = terminal.done("add", "a", "http://a.example", *words, "--disabled")

    row = terminal.desk.row("a")
    assert (row.provider.fee, row.provider.priority) == ("1.1", -2)
    assert (row.provider.only, row.provider.enabled) == (("x*",), False)
    assert terminal.desk.prices("a") == {"x": "1"}
    assert "1 models" in said


def test_who_sits_at_the_terminal_is_recorded(terminal: Terminal) -> None:
    terminal.done("add", "a", "http://a.example")

    assert terminal.desk.events()[0].who.endswith(" on the command line")


def test_what_is_given_is_changed_and_nothing_else(terminal: Terminal) -> None:
    terminal.done("add", "a", "http://a.example", "--only", "y", "--key-file", "-", given=KEY)

    terminal.done("set", "a", "--fee", "1.2", "--base-url", "http://b.example")
    terminal.done("set", "a", "--no-key", "--all-models")
    terminal.done("disable", "a")
    terminal.done("enable", "a")

    provider = terminal.desk.row("a").provider
    assert (provider.fee, provider.base_url) == ("1.2", "http://b.example")
    assert (provider.sealed_key, provider.only, provider.enabled) == (b"", (), True)


def test_the_list_shows_no_key(terminal: Terminal) -> None:
    terminal.done("add", "a", "http://a.example", "--key-file", "-", given=KEY)

    as_text, as_json = terminal.done("list"), terminal.done("list", "--json")

    assert as_text.splitlines()[1].split() == [
        "a", "http://a.example", "yes", "1", "0", "0", "no", "yes",
    ]  # fmt: skip
    assert [each["name"] for each in json.loads(as_json)] == ["a", "default"]
    assert not any(key in as_text + as_json for key in (KEY, OWN_KEY))


def test_a_provider_is_asked_for_its_models_at_once(
    terminal: Terminal, upstream: UpstreamDouble
) -> None:
    upstream.behave(listing(x="1", y="1", z="1"))
    added = terminal.done("add", "a", upstream.base_url, "--refresh")
    upstream.behave(listing(x="10", y="1"))

    refreshed = terminal.done("refresh", "a")
    accepted = terminal.done("refresh", "a", "--accept")

    assert "sells 3 models" in added
    assert "No longer listed: z" in refreshed
    assert "stay as they were until --accept: x" in refreshed
    assert "jumped" not in accepted
    assert terminal.desk.prices("a") == {"x": "10", "y": "1"}


def test_who_is_removed_is_asked_about_first(terminal: Terminal) -> None:
    terminal.done("add", "a", "http://a.example")

    terminal.type("remove", "a", given="n\n")
    kept = [shown.name for shown in terminal.desk.providers.all()]
    terminal.done("remove", "a", "--yes")

    assert kept == ["a", "default"]
    assert [shown.name for shown in terminal.desk.providers.all()] == ["default"]


FAULTS = {
    "no such provider": (("enable", "a"), "No provider is called 'a'."),
    "the name is taken": (("add", "default", "http://a.example"), "already"),
    "no address": (("add", "a", "a.example"), "base_url must be a URL"),
    "no name": (("add", "A", "http://a.example"), "name must be"),
    "no fee": (("add", "a", "http://a.example", "--fee", "free"), "fee is not"),
    "no key there": (("add", "a", "http://a.example", "--key-env", "NONE"), "no key"),
    "two keys": (("add", "a", "http://a", "--key-env", "A", "--key-file", "-"), "one of"),
    "no models": (("add", "a", "http://a.example", "--models", "-"), "--models"),
    "nothing": (("set", "default"), "Nothing is to be changed"),
    "nobody answers": (("refresh", "default"), "The upstream failed"),
}


@pytest.mark.parametrize(("words", "says"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_said_in_one_line(
    terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    assert says in terminal.refused(*words)


def test_a_store_that_is_away_is_said_in_one_line(terminal: Terminal) -> None:
    terminal.failure = StoreUnavailableError("SQLite: gone")
    assert terminal.refused("list") == "Error: SQLite: gone"


def test_a_key_of_another_seed_is_said_in_one_line(terminal: Terminal) -> None:
    terminal.failure = SealError()
    assert "another WALLET_SEED" in terminal.refused("list")


def test_every_command_has_help(terminal: Terminal) -> None:
    for verb in VERBS:
        assert verb.name is not None
        assert "Usage:" in terminal.done(verb.name, "--help")
    assert {verb.name for verb in VERBS} == set(provider.commands)
