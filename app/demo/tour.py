"""The tour: everything a newcomer wants to see of the house, on real ecash, in a minute."""

from __future__ import annotations

import json
import os
import subprocess
from fractions import Fraction
from http import HTTPStatus
from typing import TYPE_CHECKING

import openai
import requests

from app.demo import stage as stages
from app.demo.customer import Customer, HouseError
from app.demo.nutshell import status_of
from app.demo.page import Page
from app.demo.purse import InvoiceUnpaidError, Purse
from app.demo.reckoning import Deal, NoPriceError, PriceTag
from app.demo.stage import Service, Stage, StageError
from app.demo.walk import News, Walk
from app.gateways.errors import GatewayError
from app.gateways.mint.client import MintClient
from app.gateways.mint.errors import TokenError
from app.processes import Processes
from app.store.errors import StoreError
from app.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STOP_WITHIN_S = 12.0
INTERRUPTED = 130
MINT_TIMEOUT_S = 30.0
MINT_ANSWER_BYTES_MAX = 4 * 1024 * 1024
UPSTREAM_TIMEOUT_S = 15.0
MODEL = "openai/gpt-4o-mini"
FIRST_QUESTION = "What is a tally stick, and who kept which half of it?"
SECOND_QUESTION = "And what is a ledger?"
# Whatever can go wrong on the way: told in one line, not as a traceback.
TROUBLES = (
    GatewayError,
    HouseError,
    InvoiceUnpaidError,
    NoPriceError,
    OSError,
    StageError,
    StoreError,
    TokenError,
    openai.OpenAIError,
    requests.RequestException,
    subprocess.SubprocessError,
)


class Tour:
    """Starts a mint, an upstream and the house, walks through, and stays up if asked to.

    Its data is in `directory`; `upstream_base_url` takes the place of the sample upstream.
    """

    def __init__(self, directory: Path, upstream_base_url: str | None, *, stay: bool) -> None:
        self._directory = directory
        self._upstream_base_url = upstream_base_url
        self._stay = stay
        self._page = Page()
        self._processes = Processes(STOP_WITHIN_S)
        self._model = MODEL
        self._is_done = False

    def run(self) -> int:
        """Return the exit code: 0, or 1 when something broke or an amount was not right.

        Whatever happens, every process that was started has ended when this returns.
        """
        self._processes.interrupt_on_signals()
        try:
            return self._run()
        except KeyboardInterrupt:
            return 0 if self._is_done else INTERRUPTED
        except TROUBLES as error:
            self._page.fault(self._said(error))
            return 1
        finally:
            self._processes.stop()
            self._page.farewell()

    def _run(self) -> int:
        page = self._page
        page.title("Tallystick: a tour on real ecash")
        with stages.clear(self._directory):
            stage = stages.plan(self._directory, self._upstream_base_url)
            if not stage.is_sample_upstream:
                self._model = choose_model(stage.upstream_url)
            page.say(f"Everything lives in {stage.directory} and ends with this program.")
            self._open(stage)
            api_key = self._walk(stage)
            if page.differences:
                page.fault("Not every amount is as computed:\n" + "\n".join(page.differences))
                return 1
            note = stages.write_note(stage, api_key)
            page.fact("for scripts", str(note))
            self._is_done = True
            return self._stay_up(stage, api_key) if self._stay else 0

    def _open(self, stage: Stage) -> None:
        page = self._page
        page.step("Opening")
        page.say(f"WALLET_SEED of this demo, shown this once: {stage.seed_phrase}")
        page.warn(
            "Whoever has these words has the house's ecash. They are for this demo only:"
            " never send real money to them."
        )
        page.say("A mint, an upstream and the house start; that takes some seconds.")
        stages.start(stage, self._processes, self._ready)
        if not stage.is_sample_upstream:
            page.fact("upstream", f"{stage.upstream_url}  (UPSTREAM_BASE_URL)")

    def _ready(self, service: Service, after_s: float) -> None:
        self._page.fact(service.child.name, f"{service.url:<30}  ready after {after_s:.1f} s")

    def _walk(self, stage: Stage) -> str:
        """Go through all the steps; return a key that is still funded."""
        store, _ = open_store(stage.database_url)
        customer = Customer(stage.base_url)
        session = requests.Session()
        try:
            walk = self._plan_walk(stage, customer, session, News(store))
            return self._steps(stage, walk)
        finally:
            session.close()
            customer.close()
            store.close()

    def _plan_walk(
        self, stage: Stage, customer: Customer, session: requests.Session, news: News
    ) -> Walk:
        mint = MintClient(
            stage.mint_url,
            session,
            connect_timeout_s=MINT_TIMEOUT_S,
            read_timeout_s=MINT_TIMEOUT_S,
            answer_bytes_max=MINT_ANSWER_BYTES_MAX,
        )
        return Walk(
            page=self._page,
            customer=customer,
            purse=Purse(mint),
            news=news,
            model=self._model,
            price=PriceTag.of(stages.MODELS_PATH, self._model),
            deal=Deal(
                Fraction(stages.EXCHANGE_FEE),
                Fraction(stages.UPSTREAM_PROVIDER_FEE),
                Fraction(stages.BTC_USD),
            ),
        )

    def _steps(self, stage: Stage, walk: Walk) -> str:
        page = self._page
        page.step("Ecash for a key")
        page.say("✓ marks what the tour has worked out by itself, and found to be the same.")
        page.say()
        first_key = walk.buy_key()
        page.step("A chat that streams, asked with the official openai package")
        walk.chat(first_key, FIRST_QUESTION, streamed=True)
        page.step("A chat that comes as a whole")
        walk.chat(first_key, SECOND_QUESTION, streamed=False)
        page.step("The change, as a token, redeemed at the mint")
        walk.refund(first_key)
        page.step("The books")
        walk.add_up(first_key)
        walk.verify(stage.database_url)
        page.step("A second key, which stays funded")
        return walk.buy_key()

    def _stay_up(self, stage: Stage, api_key: str) -> int:
        """Show what there is, and wait; return 1 if a process ended that should not have."""
        page = self._page
        page.title("Your turn")
        page.fact("base_url", f"{stage.base_url}/v1")
        page.fact("api_key", api_key)
        page.fact("mint", stage.mint_url)
        page.fact("database", stage.database_url)
        if status_of(stage.admin_url) not in {None, HTTPStatus.NOT_FOUND}:
            page.fact("auditor's view", f"{stage.admin_url}  password {stage.admin_password}")
        page.verbatim(["", *curl_lines(stage.base_url, api_key, self._model), ""])
        page.say("Ctrl-C ends it all.")
        self._processes.wait()
        child = self._processes.ended()
        page.fault("" if child is None else stages.died(child))
        return 1

    def _said(self, error: Exception) -> str:
        kind = "" if isinstance(error, StageError) else f"{type(error).__name__}: "
        text = f"The tour broke off. {kind}{error}"
        child = self._processes.ended()
        return text if child is None else f"{text}\n{stages.died(child)}"


def choose_model(upstream_url: str) -> str:
    """Return a model of the upstream that the price list has; the usual one if none is seen.

    Raises `StageError` when nobody answers.
    """
    key = os.environ.get("UPSTREAM_API_KEY", "")
    with requests.Session() as session:
        # The house takes no proxy of the environment either.
        session.trust_env = False
        try:
            response = session.get(
                f"{upstream_url}/models",
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=UPSTREAM_TIMEOUT_S,
            )
            document = response.json() if response.ok else None
        except requests.JSONDecodeError:
            document = None
        except requests.RequestException as error:
            raise StageError(f"UPSTREAM_BASE_URL: nobody answers at {upstream_url}") from error
    listed = document.get("data") if isinstance(document, dict) else None
    offered = [entry.get("id") for entry in listed or () if isinstance(entry, dict)]
    return first_priced(offered, json.loads(stages.MODELS_PATH.read_text())["models"])


def first_priced(offered: Sequence[object], price_list: list[dict[str, object]]) -> str:
    """Return the first model of the price list that is offered, by the name it is offered by.

    >>> first_priced(["b", "a-mini"], [{"id": "a", "alias_ids": ["a-mini"]}, {"id": "b"}])
    'a-mini'
    """
    for entry in price_list:
        aliases = entry.get("alias_ids") or []
        for name in [entry["id"], *(aliases if isinstance(aliases, list) else [])]:
            if name in offered:
                return str(name)
    return MODEL


def curl_lines(base_url: str, api_key: str, model: str) -> list[str]:
    """Return a command to paste into a shell."""
    message = [{"role": "user", "content": "Hello from a shell."}]
    body = json.dumps({"model": model, "stream": True, "messages": message})
    return [
        f"curl -N {base_url}/v1/chat/completions \\",
        f"  -H 'Authorization: Bearer {api_key}' \\",
        "  -H 'Content-Type: application/json' \\",
        f"  -d '{body}'",
    ]
