"""A house with all its real parts behind the doors; only mint and upstream are doubles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import requests

from app.cashier.bill import Policy
from app.cashier.charge import Charges
from app.cashier.dead import known_dead
from app.cashier.invoice import Invoices
from app.cashier.keys import Keys
from app.cashier.offers import Offers
from app.cashier.opening import Taking, open_deposits
from app.cashier.payout import Payouts
from app.cashier.quote import Quotes, Rates
from app.cashier.refund import Refunds
from app.cashier.route import Route
from app.cashier.sizing import TokenSizes
from app.cashier.ticket import Tickets
from app.cashier.vault import Addresses, Destinations, Vault
from app.gateways.guarded import Fetch, Guard
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint.client import MintClient
from app.gateways.mint.crypto import Seed
from app.gateways.mint.keysets import split
from app.gateways.mint.mints import Mints
from app.gateways.mint.tokens import decode
from app.gateways.upstream import Upstream
from app.sealing.receipts import Receipts
from app.sealing.sign import SigningKey
from app.store.data_keys import DataKeys
from app.store.group import OneByOne
from app.store.seals import Seals
from app.store.sqlite import SqliteStore
from app.web.app import Doors, create_web
from app.web.bearer import Bearer
from app.web.info import About
from app.web.ratelimits import Limits, RateLimits
from app.web.receipts import blueprint as receipts_blueprint
from domain.ledger import Ledger
from domain.msat import Msat
from domain.price_list import from_models_json
from projections.follow import catch_up
from projections.invoices import find_invoice
from tests.doubles.mint import FakeMint
from tests.doubles.upstream import UpstreamDouble
from tests.gateways.outputs import prepare
from tests.web.described import watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from app.cashier.deposit import Deposits

OWNER = "test-process"
BODY_BYTES_MAX = 64 * 1024
BODY_TIMEOUT_S = 0.2
CHILD_KEY_COST_MSAT = 1_500
UPSTREAM_KEY = "sk-upstream-secret"
PUBKEY = "02" + "ab" * 32
# What an upstream asks by itself is charged with a tenth of it on top.
MARKUP = "1.1"
SIGNING_KEY = SigningKey(bytes(range(32)), "house.example")
# With one bitcoin at 100,000 dollars, a millionth of a dollar is a msat: a token in costs
# 1 msat, a token out 2 msat, and the house asks no more than the upstream.
BTC_USD = "100000"
FREE = {"prompt": "0", "completion": "0"}
MODELS: list[dict[str, Any]] = [
    {
        "id": "maker/plain",
        "name": "Maker: Plain",
        "created": 1_700_000_000,
        "description": "Plain.",
        "context_length": 1000,
        "pricing": {
            "prompt": "0.000001",
            "completion": "0.000002",
            "request": "0",
            "image": "0",
            "web_search": "0",
            "internal_reasoning": "0",
        },
        "top_provider": {"context_length": 1000, "max_completion_tokens": 100},
        "per_request_limits": None,
        "alias_ids": ["plain"],
    },
    {"id": "bare", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
    {
        "id": "cached",
        "pricing": {
            "prompt": "0.000010",
            "completion": "0.000050",
            "request": "0.0001",
            "web_search": "0.01",
            "input_cache_read": "0.000001",
            "input_cache_write": "0.000012",
            "input_cache_write_1h": "0.000020",
        },
    },
    {"id": "whisper-1", "max_seconds": 600, "pricing": {**FREE, "second": "0.0001"}},
    {"id": "tts-1", "pricing": {**FREE, "character": "0.000015"}},
    {
        "id": "listener",
        "context_length": 1000,
        "pricing": {"prompt": "0.000001", "completion": "0.000002", "audio": "0.000006"},
    },
    {"id": "speaker", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
    {
        "id": "painter",
        "pricing": {**FREE, "image_sizes": {"1024x1024": "0.04", "hd 1024x1024": "0.08"}},
    },
]

IDS = [str(model["id"]) for model in MODELS]


@dataclass(frozen=True)
class House:
    """What a test looks at from outside, and what it looks up inside."""

    app: Flask
    client: FlaskClient
    mint: FakeMint
    upstream: UpstreamDouble
    store: SqliteStore
    ledger: Ledger
    deposits: Deposits
    doors: Doors

    def key(self, amount_sat: int = 1000) -> str:
        """Open an account with a fresh token; return its API key."""
        answer = self.client.post(
            "/v1/wallet/create", json={"initial_balance_token": self.mint.fund(amount_sat)}
        )
        api_key: str = answer.get_json()["api_key"]
        return api_key

    def spend(self, token: str) -> None:
        """Spend a token at the mint, as its owner's wallet would."""
        proofs = decode(token).proofs
        amount = sum(proof.amount for proof in proofs)
        fee = -(-len(proofs) // 10)
        with requests.Session() as session:
            purse = MintClient(
                self.mint.url,
                session,
                connect_timeout_s=2,
                read_timeout_s=5,
                answer_bytes_max=100_000,
            )
            outputs = prepare(self.mint.active("sat").id, split(amount - fee)).outputs
            purse.swap(proofs, outputs)

    def wallet(self, api_key: str) -> dict[str, Any]:
        """Return what the wallet says of an account's money."""
        found = self.info(api_key)
        return {name: found[name] for name in ("api_key", "balance", "reserved")}

    def info(self, api_key: str) -> dict[str, Any]:
        """Return all that the wallet says of a key."""
        answer = self.client.get("/v1/wallet/info", headers=bearer(api_key))
        found: dict[str, Any] = answer.get_json()
        return found

    def ask(self, api_key: str, **members: Any) -> TestResponse:
        """Ask for a chat completion."""
        document = {"model": "maker/plain", "messages": QUESTION, "max_tokens": 50}
        return self.client.post(
            "/v1/chat/completions", json={**document, **members}, headers=bearer(api_key)
        )

    def open_holds(self) -> int:
        return len(self.store.open_holds(OWNER))


QUESTION = [{"role": "user", "content": "how are you today?"}]
# The sample upstream counts words: the question's four in, out its preface of eleven words
# and the four again.
COST_MSAT = 4 * 1 + 15 * 2


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def about(mint_url: str) -> About:
    return About(
        name="Test <House>",
        description="Sells tests & proofs",
        version="1.2.3",
        mints=(mint_url,),
        http_url="https://house.example",
        pubkey=PUBKEY,
        verifier_key=str(SIGNING_KEY.verifier),
        child_key_cost_msat=CHILD_KEY_COST_MSAT,
    )


@pytest.fixture
def mint() -> Iterator[FakeMint]:
    with FakeMint() as double:
        yield double


@pytest.fixture
def upstream() -> Iterator[UpstreamDouble]:
    with UpstreamDouble() as double:
        yield double


@pytest.fixture
def btc_usd() -> str | None:
    """The operator's own rate; a test that knows of none overrides it."""
    return BTC_USD


@pytest.fixture
def limits() -> Limits:
    """What each key and address may; a test of limits overrides it."""
    return Limits()


def door_to(upstream: UpstreamDouble) -> Upstream:
    return Upstream(
        upstream.base_url,
        UPSTREAM_KEY,
        connect_timeout_s=2,
        read_timeout_s=5,
        connections_max=10,
    )


def used_by_now(store: SqliteStore, account_id: UUID) -> tuple[int, int]:
    """What an account has used, when the follower has just come by."""
    catch_up(store, "usage", lambda _done, _of: None)
    return store.used(account_id)


def attach_receipts(app: Flask, doors: Doors, store: SqliteStore) -> None:
    receipts = Receipts(Seals(store), SIGNING_KEY, store.mapper.decode)
    bearer = Bearer(doors.deposits, store.account, store.key)
    routes = receipts_blueprint(bearer, doors.tickets.account_of, receipts.of_request)
    app.register_blueprint(routes)


@pytest.fixture
def allow() -> list[str]:
    """Hosts that Lightning addresses may lead to; a test that has some overrides it."""
    return []


@pytest.fixture
def foreign_urls() -> tuple[str, ...]:
    """The foreign mints of which tokens are taken; a test that has one overrides it."""
    return ()


@pytest.fixture
def house(
    tmp_path: Path,
    mint: FakeMint,
    upstream: UpstreamDouble,
    btc_usd: str | None,
    limits: Limits,
    allow: list[str],
    foreign_urls: tuple[str, ...],
) -> Iterator[House]:
    store = SqliteStore(tmp_path / "ledger.db")
    store.create()
    ledger = Ledger(OneByOne(store.commit).record, OWNER)
    seed = Seed(b"\x07" * 64)
    mints = Mints((mint.url,), seed, connect_timeout_s=2, timeout_s=5)
    gateway = door_to(upstream)
    taking = Taking(foreign_urls, 10, Msat.from_sat(10_000), timeout_s=5)
    guard = Guard(url.removeprefix("http://") for url in foreign_urls)
    parts = (ledger, mints, seed, store.history, taking, guard, lambda _: None)
    deposits = open_deposits(*parts, find_dead=known_dead(store))
    refunds = Refunds(ledger, mints, store, lambda _: None)
    book = from_models_json({"models": MODELS}, Fraction(0))
    routes = (Route("test", book, gateway, MODELS, markup=MARKUP),)
    quotes = Quotes(lambda: routes, Rates(store.rate, fixed_btc_usd=btc_usd, stale_after_s=900))
    charges = Charges(ledger, quotes, Policy("estimate", drain_s=5), account=store.account)
    sizes = TokenSizes(mints)
    vault = Vault(seed.subkey, DataKeys(store))
    doors = Doors(
        deposits=deposits,
        refunds=refunds,
        payouts=_payouts(allow, ledger, mints, vault, store),
        charges=charges,
        tickets=Tickets(deposits, charges, refunds, quotes, sizes, store),
        invoices=_invoices(ledger, mints, store, seed),
        find_invoice=partial(find_invoice, store),
        quotes=quotes,
        account=store.account,
        history=store.history,
        keys=Keys(ledger, store, Addresses(vault), Msat(CHILD_KEY_COST_MSAT)),
        used=partial(used_by_now, store),
        donate=ledger.donate,
        check_address=LightningAddresses(Fetch(Guard(allow))).read,
        token_fee_ppk=sizes.fee_ppk,
        about=about(mint.url),
        key_secret=seed.subkey(b"api keys"),
        body_bytes_max=BODY_BYTES_MAX,
        body_timeout_s=BODY_TIMEOUT_S,
        limits=RateLimits(limits),
    )
    app = create_web(doors)
    otherwise = watch(app)
    attach_receipts(app, doors, store)
    yield House(app, app.test_client(), mint, upstream, store, ledger, deposits, doors)
    gateway.close()
    for wallet in mints:
        wallet.client._session.close()
    store.close()
    assert otherwise == [], "an answer is not as /openapi.json describes it"


def _invoices(ledger: Ledger, mints: Mints, store: SqliteStore, seed: Seed) -> Invoices:
    # As if every look at an invoice came a minute after the one before.
    minutes = itertools.count(0, 60)
    return Invoices(
        ledger,
        mints,
        store,
        lambda invoice_id: seed.subkey(b"quote:" + invoice_id.bytes),
        lambda _: None,
        clock=lambda: next(minutes),
    )


def _payouts(
    allow: list[str], ledger: Ledger, mints: Mints, vault: Vault, store: SqliteStore
) -> Payouts:
    addresses = LightningAddresses(Fetch(Guard(allow)))
    offers = Offers(mints, addresses, store)
    destinations = Destinations(vault)
    return Payouts(ledger, mints, addresses, offers, destinations, store, lambda _: None)
