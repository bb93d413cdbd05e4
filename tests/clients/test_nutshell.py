"""The `cashu` command-line wallet pays the house, and takes its change and refunds home."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from domain.deposit import Credited
from domain.hold import Charged
from domain.refund import Issued
from tests.clients import environments
from tests.clients.books import COST_MSAT, FEE_SAT, MODEL, QUESTION, of
from tests.clients.commands import Command

if TYPE_CHECKING:
    from tests.clients.books import Books
    from tests.integration.mint import RealMint
    from tests.integration.service import Service

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

FUNDS_SAT = 1_000
TOKEN = re.compile(r"^cashuB\S+$", re.MULTILINE)
BALANCE = re.compile(r"Balance: (\d+) sat")


@dataclass(frozen=True)
class Wallet:
    """The wallet's command, at one mint."""

    cashu: Command

    def send(self, amount_sat: int) -> str:
        found = TOKEN.search(self.cashu.must("send", str(amount_sat)))
        assert found is not None
        return found[0]

    def receive(self, token: str) -> int:
        """Take a token home; return what the balance rose by, in sat."""
        before = self.balance()
        self.cashu.must("receive", token)
        return self.balance() - before

    def balance(self) -> int:
        found = BALANCE.search(self.cashu.must("balance"))
        assert found is not None
        return int(found[1])


@pytest.fixture(scope="module")
def wallet(mint: RealMint, tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    home = tmp_path_factory.mktemp("nutshell")
    program = environments.python("nutshell").parent / "cashu"
    own = {"CASHU_DIR": str(home / "wallet"), "TOR": "false"}
    wallet = Wallet(Command((program, "--host", mint.url, "--yes"), home, own))
    assert wallet.receive(mint.fund(FUNDS_SAT)) == FUNDS_SAT - FEE_SAT
    return wallet


def test_it_pays_one_request_and_takes_the_change(
    wallet: Wallet, service: Service, books: Books
) -> None:
    token = wallet.send(100)
    position = books.head()

    answer = ask(service, {"X-Cashu": token})

    change = answer.headers["X-Cashu"]
    received = wallet.receive(change)
    events = books.since(position)
    (credited,), (charged,) = of(events, Credited), of(events, Charged)
    (issued,) = of(events, Issued)
    assert answer.status_code == 200
    assert charged.cost_msat == COST_MSAT
    assert credited.face_msat == 100_000
    left_msat = credited.credited_msat - COST_MSAT - issued.draft.taken_msat
    assert 0 <= left_msat < 1_000
    assert issued.draft.token_msat == 1_000 * (received + FEE_SAT)


def test_its_token_is_a_key_and_what_is_left_comes_back(
    wallet: Wallet, service: Service, books: Books
) -> None:
    token = wallet.send(100)
    position = books.head()
    bearer = {"Authorization": f"Bearer {token}"}

    answer = ask(service, bearer)
    info = requests.get(f"{service.base_url}/v1/wallet/info", headers=bearer, timeout=30)
    refund = requests.post(f"{service.base_url}/v1/wallet/refund", headers=bearer, timeout=30)

    received = wallet.receive(refund.json()["token"])
    events = books.since(position)
    (credited,), (charged,) = of(events, Credited), of(events, Charged)
    assert answer.status_code == 200
    assert charged.cost_msat == COST_MSAT
    assert info.json()["balance"] == credited.credited_msat - COST_MSAT
    assert refund.json()["sats"] == str(received + FEE_SAT)


def test_a_token_it_has_taken_back_buys_nothing(wallet: Wallet, service: Service) -> None:
    token = wallet.send(50)
    wallet.receive(token)

    answer = ask(service, {"X-Cashu": token})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "cashu_token_already_spent"
    assert "X-Cashu" not in answer.headers


def ask(service: Service, headers: dict[str, str]) -> Any:
    document = {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 64,
    }
    return requests.post(
        f"{service.base_url}/v1/chat/completions",
        data=json.dumps(document),
        headers={"Content-Type": "application/json", **headers},
        timeout=30,
    )
