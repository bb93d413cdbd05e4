"""The web application: every door in, and nothing behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask

from app.web import (
    balance,
    headers,
    info,
    left_over,
    lightning,
    lightning_page,
    models,
    problems,
    proxy,
    xcashu,
)
from app.web.bearer import ApiKeys, Bearer
from app.web.bodies import Bodies
from app.web.front import Front
from app.web.key_fields import Binding, KeyFields
from app.web.keys import KeyDesk
from app.web.lightning_out import LightningOut
from app.web.models import Listing
from app.web.openapi import document
from app.web.ratelimits import Limits, RateLimits
from app.web.repeats import Repeats
from app.web.visit import WITNESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.charge import Charges
    from app.cashier.deposit import Deposits
    from app.cashier.invoice import Invoices
    from app.cashier.keys import Keys, Spender
    from app.cashier.payout import Payouts
    from app.cashier.quote import Quotes
    from app.cashier.refund import Refunds
    from app.cashier.ticket import Tickets
    from app.logs import RequestLine
    from app.web.info import About
    from domain.donation import Donated
    from domain.event import Entry
    from domain.guards import AccountRow
    from domain.msat import Msat

WALLET_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What the doors lead to.

    `account` reads what an account has, `used` how many requests it made and what they have
    cost, `history` what has become of a movement, `find_invoice` which invoice a BOLT11 text
    is of; `check_address` raises a `RefusedError` for an address at which nobody can be paid.
    API keys are derived from `key_secret`, 32 bytes. `token_fee_ppk` is what mints take of a
    proof.
    """

    deposits: Deposits
    refunds: Refunds
    payouts: Payouts
    charges: Charges
    tickets: Tickets
    invoices: Invoices
    find_invoice: Callable[[str], UUID | None]
    quotes: Quotes
    account: Callable[[UUID], AccountRow | None]
    history: Callable[[UUID], list[Entry]]
    keys: Keys
    used: Callable[[UUID], tuple[int, int]]
    donate: Callable[[UUID, UUID, Msat | None], Donated]
    check_address: Callable[[str], object]
    token_fee_ppk: Callable[[], int]
    about: About
    key_secret: bytes = field(repr=False)
    body_bytes_max: int
    body_timeout_s: float
    limits: RateLimits = field(default_factory=lambda: RateLimits(Limits()))
    witness: Callable[[RequestLine], None] | None = None


def create_web(doors: Doors) -> Flask:
    """Return the application that serves `doors`."""
    app = Flask(__name__)
    # A redirect to the other spelling would carry a key to wherever `Host` says.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.extensions[WITNESS] = doors.witness
    headers.attach(app)
    app.register_error_handler(Exception, problems.answer)
    _register(app, doors)
    return app


def _register(app: Flask, doors: Doors) -> None:
    fields = KeyFields(doors.check_address, partial(_model_ids, doors.quotes))
    bearer = Bearer(
        doors.deposits, doors.account, doors.keys.row, partial(_first_wish, fields, doors.keys)
    )
    bodies = Bodies(bytes_max=doors.body_bytes_max, timeout_s=doors.body_timeout_s)
    till = xcashu.Till(doors.tickets, bodies)
    small = Bodies(bytes_max=WALLET_BYTES_MAX, timeout_s=doors.body_timeout_s)
    keys = ApiKeys(doors.key_secret)
    rates = doors.limits
    rates.attach(app)
    repeats = Repeats(doors.charges.serve, doors.history)
    paid = proxy.Proxy(bearer, doors.charges, till, bodies, rates, repeats)
    app.register_blueprint(proxy.blueprint(paid))
    app.wsgi_app = Front(app.wsgi_app, paid, bearer, rates, doors.witness)  # type: ignore[method-assign]  # how Flask documents it
    app.register_blueprint(xcashu.blueprint(till))
    rooms = balance.blueprint(
        balance.Balance(
            bearer,
            keys,
            doors.deposits,
            doors.refunds,
            small,
            till.refund,
            LightningOut(doors.payouts),
            Binding(doors.keys, fields),
        ),
        KeyDesk(
            bearer, keys, doors.keys, fields, small, doors.account, doors.used, doors.donate
        ),
    )
    for name, prefix in balance.PREFIXES.items():
        app.register_blueprint(rooms, name=name, url_prefix=prefix)
    app.register_blueprint(left_over.blueprint(doors.deposits, small))
    desk = lightning.Lightning(
        doors.invoices, doors.find_invoice, bearer, keys, small, doors.keys, fields
    )
    for name, prefix in lightning.PREFIXES.items():
        app.register_blueprint(lightning.blueprint(desk), name=name, url_prefix=prefix)
    app.register_blueprint(lightning_page.blueprint(desk, doors.about))
    listing = Listing(doors.quotes, doors.token_fee_ppk)
    app.register_blueprint(models.blueprint(listing))
    app.register_blueprint(document.blueprint(doors.about))
    app.register_blueprint(info.blueprint(doors.about, listing, doors.account))


def _model_ids(quotes: Quotes, model: str) -> set[str]:
    """Return what the ledger may call `model`; each route has its own word for it."""
    return {quote.terms.model for quote in quotes.quotes(model)}


def _first_wish(fields: KeyFields, keys: Keys) -> Callable[[Spender], None]:
    """Return what binds an account that the current request opens by a token."""
    wanted = fields.ending({})
    return lambda spender: keys.bind(spender, wanted)
