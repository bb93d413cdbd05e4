"""The examples of docs/clients.md run as they stand there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from domain.hold import Charged
from tests.clients import environments
from tests.clients.books import FUNDS_SAT, Account, buy_key, cost_msat, of
from tests.clients.commands import Command, Done
from tests.doubles import dialects

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.books import Books
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(180)]

PAGE = environments.ROOT / "docs" / "clients.md"
ADDRESS, KEY, TOKEN = "http://127.0.0.1:8000", "sk-...", "cashuB..."
BLOCK = re.compile(r"^## ([^\n]+)$|^```(\w+)\n(.+?)^```$", re.MULTILINE | re.DOTALL)
QUESTION = "What is a tally stick?"
ENVIRONMENTS = {
    "anthropic": "anthropic",
    "langchain_openai": "langchain",
    "openai": "openai-3",
    # The one package of these examples that is no client's.
    "requests": "langchain",
}
CHAT_MSAT = cost_msat(5, 16)
MESSAGE_TOKENS = 5 + dialects.CACHED_TOKENS + dialects.WRITTEN_TOKENS
MESSAGE_MSAT = cost_msat(MESSAGE_TOKENS, dialects.ANSWER_TOKENS)


@dataclass(frozen=True)
class Example:
    """One block of the page, below its heading."""

    name: str
    language: str
    text: str

    @property
    def costs_msat(self) -> list[int]:
        one_msat = MESSAGE_MSAT if "anthropic" in self.text else CHAT_MSAT
        return [one_msat] * self.text.count(QUESTION)


def examples() -> list[Example]:
    found: list[Example] = []
    heading = ""
    for match in BLOCK.finditer(PAGE.read_text()):
        heading = match[1] or heading
        if match[2]:
            name = f"{len(found) + 1} {heading}"
            found.append(Example(name, match[2], match[3]))
    return found


EXAMPLES = examples()


def test_the_page_has_examples_in_three_languages() -> None:
    assert {example.language for example in EXAMPLES} == {"python", "js", "sh"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs_as_it_stands(
    example: Example, service: Service, mint: RealMint, books: Books, tmp_path: Path
) -> None:
    account = Account(service.base_url, buy_key(service, mint, FUNDS_SAT), books)
    text = example.text.replace(ADDRESS, service.base_url).replace(KEY, account.key)
    while TOKEN in text:
        text = text.replace(TOKEN, mint.fund(FUNDS_SAT), 1)
    position = books.head()

    done = run(example.language, text, tmp_path)

    charged = of(books.since(position), Charged)
    assert done.code == 0, done.err
    assert [event.cost_msat for event in charged] == example.costs_msat
    if example.costs_msat:
        assert dialects.ANSWER in done.out or "tally" in done.out
    for told in re.findall(r"cost in msat: (\d+)", done.out):
        assert int(told) == charged[0].cost_msat
    if KEY in example.text:
        assert account.msat() == (FUNDS_SAT * 1_000 - 1_000 - sum(example.costs_msat), 0)


def run(language: str, text: str, home: Path) -> Done:
    """Run a program where what it needs is found."""
    if language == "python":
        imported = re.search(rf"(?:from|import) ({'|'.join(ENVIRONMENTS)})", text)
        assert imported is not None
        interpreter = environments.python(ENVIRONMENTS[imported[1]])
        return Command((interpreter, "-"), home, {}).run(given=text)
    if language == "js":
        # Packages are looked for from where Node runs.
        node = (environments.node(), "--input-type=module", "-")
        return Command(node, environments.NODE_HOME, {}).run(given=text)
    llm = environments.python("llm").parent
    more = {"LLM_USER_PATH": str(home / "llm"), "PATH": f"{llm}:{os.environ['PATH']}"}
    # Commands in it would read its own standard input.
    return Command(("bash", "-euo", "pipefail", "-c"), home, more).run(text)
