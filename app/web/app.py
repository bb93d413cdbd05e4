"""The web application: every door in, and nothing behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from app.web.lightning_out import LightningOut
from app.web.models import Listing
from app.web.ratelimits import Limits, RateLimits
from app.web.repeats import Repeats
from app.web.visit import WITNESS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from app.cashier.charge import Charges
    from app.cashier.deposit import Deposits
    from app.cashier.invoice import Invoices
    from app.cashier.payout import Payouts
    from app.cashier.quote import Quotes
    from app.cashier.refund import Refunds
    from app.cashier.ticket import Tickets
    from app.logs import RequestLine
    from app.web.info import About
    from domain.event import Entry
    from domain.guards import AccountRow

WALLET_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What the doors lead to.

    `account` reads what an account has, `history` what has become of a movement,
    `find_invoice` which invoice a BOLT11 text is of; API keys are derived from `key_secret`,
    32 bytes. `token_fee_ppk` is what mints take of a proof.
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
    token_fee_ppk: Callable[[], int]
    about: About
    key_secret: bytes = field(repr=False)
    body_bytes_max: int
    body_timeout_s: float
    limits: Limits = field(default_factory=Limits)
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
    bearer = Bearer(doors.deposits, doors.account)
    bodies = Bodies(bytes_max=doors.body_bytes_max, timeout_s=doors.body_timeout_s)
    till = xcashu.Till(doors.tickets, bodies)
    small = Bodies(bytes_max=WALLET_BYTES_MAX, timeout_s=doors.body_timeout_s)
    keys = ApiKeys(doors.key_secret)
    rates = RateLimits(doors.limits)
    rates.attach(app)
    repeats = Repeats(doors.charges.serve, doors.history)
    paid = proxy.blueprint(bearer, doors.charges, till, bodies, rates, repeats)
    app.register_blueprint(paid)
    app.register_blueprint(xcashu.blueprint(till))
    rooms = balance.blueprint(
        balance.Balance(
            bearer,
            keys,
            doors.deposits,
            doors.refunds,
            doors.account,
            small,
            till.refund,
            LightningOut(doors.payouts),
        )
    )
    for name, prefix in balance.PREFIXES.items():
        app.register_blueprint(rooms, name=name, url_prefix=prefix)
    app.register_blueprint(left_over.blueprint(doors.deposits, small))
    desk = lightning.Lightning(doors.invoices, doors.find_invoice, bearer, keys, small)
    for name, prefix in lightning.PREFIXES.items():
        app.register_blueprint(lightning.blueprint(desk), name=name, url_prefix=prefix)
    app.register_blueprint(lightning_page.blueprint(desk, doors.about))
    listing = Listing(doors.quotes, doors.token_fee_ppk)
    app.register_blueprint(models.blueprint(listing))
    app.register_blueprint(info.blueprint(doors.about, listing, doors.account))
