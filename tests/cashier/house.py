"""A house for one test: real books, real wallets, mints in memory."""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from werkzeug.serving import make_server

from app.cashier.batch import Batches
from app.cashier.dead import known_dead
from app.cashier.deposit import Deposits
from app.cashier.foreign import ForeignTokens
from app.cashier.foreign_quote import ForeignLimits, ForeignQuotes
from app.cashier.instant import InstantTokens
from app.cashier.invoice import Invoices
from app.cashier.offers import Offers
from app.cashier.payout import ON_ITS_WAY, Payouts
from app.cashier.refund import Refunds
from app.cashier.swap import Swaps, Tidiness
from app.cashier.vault import Destinations, Vault
from app.gateways.guarded import Fetch, Guard
from app.gateways.lnurl import LightningAddresses
from app.gateways.mint import crypto
from app.gateways.mint.crypto import Seed
from app.gateways.mint.foreign import ForeignMints
from app.gateways.mint.gate import Gate, GateLimits
from app.gateways.mint.mints import Mints
from app.gateways.mint.opener import Opener
from app.gateways.mint.seal import Sealer
from app.gateways.mint.tokens import Token, decode, encode, token_id
from app.gateways.mint.wire import ProofState
from app.store.data_keys import DataKeys
from app.store.group import OneByOne
from domain.guards import FREE
from domain.hold import Metered, Terms
from domain.identity import account_of_key, deposit_of_token
from domain.ledger import Ledger
from domain.msat import Msat
from projections.follow import verify
from tests.doubles.mint import FakeMint, _Quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from app.cashier.ways import Deposited
    from domain.event import Event
    from tests.store.places import Store

ALICE, BOB = account_of_key("sk-alice"), account_of_key("sk-bob")
# Test vectors of BIP-39; they hold no money.
SEED = Seed.from_mnemonic("abandon " * 11 + "about")
OTHER_SEED = Seed.from_mnemonic(
    "legal winner thank year wave sausage worth useful legal winner thank yellow"
)
TIMEOUT_S = 5.0
ALWAYS = 1_000
# Nobody in these tests has time to leave a mint alone.
IMPATIENT = GateLimits(limited_pause_s=0.0, pause_s=0.0)
TERMS = Terms(model="gpt-x", route="main", price_version="p1")
USAGE = Metered(prompt_tokens=1)

LIMITS = ForeignLimits(fee_max_percent=10, amount_max=Msat(10_000_000), attempts_max=3)

T = TypeVar("T")


class MoodyMint(FakeMint):
    """A mint that can be told to refuse, and that can go away and come back."""

    def __init__(self, key: str = "fake", **options: Any) -> None:
        super().__init__(key, **options)
        self._refusals: list[tuple[str, int | None]] = []
        self.is_up = True

    def refuse(self, path: str, code: int, *, times: int = 1, after: int = 0) -> None:
        """Refuse `times` calls of `/v1/<path>` without acting, when `after` went well."""
        self._refusals += [(path, None)] * after + [(path, code)] * times

    def relent(self) -> None:
        self._refusals.clear()

    def answer(
        self, method: str, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        for place, (wanted, code) in enumerate(self._refusals):
            if wanted == path:
                del self._refusals[place]
                if code is not None:
                    return 400, {"code": code, "detail": "in no mood"}
                break
        return super().answer(method, path, body)

    def go_away(self) -> None:
        assert self._server is not None
        self._port = self._server.server_port
        self.is_up = False
        self.__exit__()

    def come_back(self) -> None:
        self._server = make_server(
            "127.0.0.1", self._port, self._application, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.is_up = True

    @property
    def swaps(self) -> list[dict[str, Any]]:
        """The swaps that were asked for, as they were posted."""
        return [body for body in self.bodies if "inputs" in body]


class House:
    """What one process of the house has; several may share one store."""

    def __init__(
        self,
        store: Store,
        mints: Sequence[MoodyMint],
        *,
        owner: str = "worker-1",
        seed: Seed = SEED,
        timeout_s: float = TIMEOUT_S,
        allow: Sequence[str] = (),
        on_its_way: timedelta = ON_ITS_WAY,
        foreign: Sequence[str] | None = (),
    ) -> None:
        self.store = store
        self.moody = mints
        self.pauses: list[float] = []
        self.passed_s = 0.0
        self.ledger = Ledger(OneByOne(store.commit).record, owner)
        self.mints = Mints(
            [mint.url for mint in mints],
            seed,
            connect_timeout_s=TIMEOUT_S,
            timeout_s=timeout_s,
            limits=IMPATIENT,
            clock=lambda: time.monotonic() + self.passed_s,
        )
        self.late_by = timedelta(0)
        sealer = Sealer(seed.subkey(b"sealed proofs"))
        self.opener = Opener(seed.subkey(b"locks"))
        self.foreign = self._abroad(foreign, seed, sealer, timeout_s)
        self.deposits = Deposits(
            self.ledger,
            self.mints,
            sealer,
            store.history,
            self.pauses.append,
            [self._at_once(sealer), self.foreign],
            known_dead(store),
            self.opener,
        )
        self.batches = Batches(
            self.ledger, self.mints, sealer, store, self.opener, self.pauses.append
        )
        self.refunds = Refunds(
            self.ledger, self.mints, store, self.pauses.append, self.batches.gather
        )
        self.tidiness = Tidiness(alike_max=4, fee_max_msat=50_000)
        self.swaps = Swaps(self.ledger, self.mints, store, self.tidiness, self.pauses.append)
        self.addresses = LightningAddresses(Fetch(Guard(allow)))
        self.vault = Vault(seed.subkey, DataKeys(store))
        self.payouts = self._payouts(on_its_way)
        self.invoices = Invoices(
            self.ledger,
            self.mints,
            store,
            lambda invoice_id: seed.subkey(b"quote:" + invoice_id.bytes),
            self.pauses.append,
            lambda: datetime.now(UTC) + self.late_by,
            lambda: self.passed_s,
        )

    def _payouts(self, on_its_way: timedelta) -> Payouts:
        return Payouts(
            self.ledger,
            self.mints,
            self.addresses,
            Offers(self.mints, self.addresses, self.store),
            Destinations(self.vault),
            self.store,
            self.pauses.append,
            on_its_way,
        )

    def _at_once(self, sealer: Sealer) -> InstantTokens:
        self.instant = InstantTokens(
            self.ledger, self.mints, sealer, self.store.history, self.opener, Msat(0)
        )
        return self.instant

    def _abroad(
        self, urls: Sequence[str] | None, seed: Seed, sealer: Sealer, timeout_s: float
    ) -> ForeignTokens:
        return ForeignTokens(
            self.ledger,
            self.mints,
            ForeignMints(urls, _guard(urls), seed, timeout_s=timeout_s),
            ForeignQuotes(
                self.mints,
                sealer,
                lambda stream: seed.subkey(b"quote:" + stream.bytes),
                LIMITS,
                lambda: datetime.now(UTC) + self.late_by,
            ),
            sealer,
            self.store.history,
            self.pauses.append,
            lambda: self.passed_s,
        )

    def deposit(self, token: str, account_id: UUID = ALICE) -> Deposited:
        return self.deposits.deposit(self.deposits.read(token), account_id)

    def available_msat(self, account_id: UUID = ALICE) -> int:
        row = self.store.account(account_id)
        return row.available_msat if row else 0

    def held_msat(self, account_id: UUID = ALICE) -> int:
        row = self.store.account(account_id)
        return row.held_msat if row else 0

    def events(self, stream: UUID) -> list[Event]:
        return [entry.event for entry in self.store.history(stream)]

    def topics(self, stream: UUID) -> list[str]:
        return [event.TOPIC for event in self.events(stream)]

    def log(self) -> list[Event]:
        return [placed.entry.event for page in self.store.log() for placed in page]

    def gate(self, mint: MoodyMint, limits: GateLimits) -> Gate:
        """Have the mint spared as `limits` say; return the gate before it."""
        gate = self.mints.get(mint.url).client._gate = Gate(mint.url, limits)
        return gate

    def close(self) -> None:
        for wallet in self.mints:
            wallet.client._session.close()

    def check(self) -> None:
        """Verify the log, and ask the mints whether what we call free can be spent."""
        assert verify(self.store, _quietly) is None
        _, rows = self.store.kept()
        for mint in self.moody:
            keys = [
                key
                for key, row in rows.proofs.rows.items()
                if row.mint == mint.url and row.state == FREE
            ]
            if keys and mint.is_up:
                # However the mint was treated, now it is asked.
                self.mints.get(mint.url).client._gate = Gate(mint.url)
                states = self.mints.get(mint.url).states(keys)
                assert set(states) == {ProofState.UNSPENT}


def as_v3(token: str) -> str:
    """Return the same proofs as a V3 token."""
    read = decode(token)
    proofs = [
        {"id": proof.keyset_id, "amount": proof.amount, "secret": proof.secret, "C": proof.c}
        for proof in read.proofs
    ]
    return v3(read.mint, proofs, read.unit)


def v3(mint: str, proofs: Sequence[dict[str, Any]], unit: str = "sat") -> str:
    document = {"token": [{"mint": mint, "proofs": list(proofs)}], "unit": unit}
    text = json.dumps(document).encode()
    return "cashuA" + base64.urlsafe_b64encode(text).decode().rstrip("=")


def changed(token: str, change: Callable[[Token], Token]) -> str:
    return encode(change(decode(token)))


def stream_of(token: str) -> UUID:
    """Return the deposit that a token is."""
    return deposit_of_token(token_id(decode(token).proofs))


def at_once(calls: Iterable[Callable[[], T]]) -> list[T]:
    """Return what `calls` answer when all of them begin at the same moment."""
    calls = list(calls)
    barrier = threading.Barrier(len(calls))

    def after_the_others(call: Callable[[], T]) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(after_the_others, calls))


def ys_of(token: str) -> set[str]:
    """Return the points by which a mint knows the token's proofs."""
    return {crypto.hash_to_curve(proof.secret) for proof in decode(token).proofs}


def spend(house: House, account_id: UUID, amount: Msat, hold_id: UUID) -> None:
    """Let a request cost `amount`, and be done."""
    house.ledger.hold(hold_id, account_id, amount, TERMS)
    house.ledger.charge(hold_id, account_id, amount, TERMS, USAGE)


def _guard(foreign: Iterable[str] | None) -> Guard:
    return Guard([url.removeprefix("http://") for url in foreign or ()])


def _quietly(_done: int, _all: int) -> None:
    """Show no progress."""
