"""Processes of the house that do one thing each, and die at it: `python -m …driver`.

The program reads errands from stdin, a JSON object a line. For each it forks a process that
builds a house, runs the errand and is killed or ends; then one line on stdout says how.
Forked, a process costs some milliseconds and not a second of imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, Self
from uuid import UUID

from app.cashier.stream import MeteredStream
from tests.integration.fuse import REPLY, Fuse
from tests.integration.house import AT_ONCE, Address, House, build, chat

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
SLOW_MODEL = "gpt-4o-mini+delay-5"


@dataclass(frozen=True)
class Errand:
    """What a process is to do, and where it is to die."""

    act: str
    place: str = ""
    count: int = 1
    token: str = ""
    account_id: str = ""
    invoice_id: str = ""
    payout_id: str = ""
    recipient: str = ""
    msat: int = 0
    stream: bool = False
    leaves: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a process ended: minus the signal's number, and what it replied."""

    code: int
    reply: Any


class Driver:
    """The program, running while the `with` block lasts."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Without errands there is nothing left to do: it ends by itself.
        self._process.communicate(timeout=TIMEOUT_S)

    def run(self, address: Address, errand: Errand) -> Outcome:
        """Send a fresh process on `errand`, and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        given = {"address": asdict(address), "errand": asdict(errand)}
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


def main() -> None:
    for line in sys.stdin:
        given = json.loads(line)
        come, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(come)
            _live(Address(**given["address"]), Errand(**given["errand"]), go)
        os.close(go)
        with os.fdopen(come) as reply:
            text = reply.read()
        _, status = os.waitpid(child, 0)
        outcome = {
            "code": os.waitstatus_to_exitcode(status),
            "reply": json.loads(text or "null"),
        }
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


def _live(address: Address, errand: Errand, reply_to: int) -> NoReturn:
    """Be the process: run the errand, reply, and end without unwinding the parent's stack."""
    code = 1
    try:
        fuse = Fuse(errand.place, errand.count)
        reply = _act(build(address, fuse), errand)
        fuse.reach(REPLY)
        os.write(reply_to, json.dumps(reply).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def _act(house: House, errand: Errand) -> object:
    if errand.invoice_id or errand.payout_id:
        return _invoice(house, errand) if errand.invoice_id else _pay(house, errand)
    if errand.act in {"watch", "recover", "tidy", "sweep", "expire"}:
        return _back_office(house, errand)
    if errand.act == "deposit":
        return house.deposit(errand.token, UUID(errand.account_id))
    if errand.act == "refund":
        return house.refunds.refund(UUID(errand.account_id)).token
    if errand.act == "ticket":
        return house.buy(errand.token)
    return _chat(house, errand)


def _back_office(house: House, errand: Errand) -> int:
    """Do its work once; return how many tokens were collected, or where the log ends."""
    if errand.act == "watch":
        return house.recovery.watch_tokens(older_than=AT_ONCE)
    if errand.act == "sweep":
        return house.recovery.sweep_tokens(older_than=AT_ONCE)
    if errand.act == "expire":
        return house.refund_expired()
    if errand.act == "tidy":
        return house.swaps.tidy()
    house.recover()
    return house.store.head()


def _invoice(house: House, errand: Errand) -> str:
    """Open an invoice, or look at it; return what the client is shown of it."""
    invoice_id = UUID(errand.invoice_id)
    if errand.act == "open invoice":
        owner = UUID(errand.account_id)
        return house.invoices.open(invoice_id, owner, 1000, "topup").request
    return house.invoices.standing(invoice_id).status


def _pay(house: House, errand: Errand) -> str:
    """Pay a client or the owner; return how far that is."""
    payout_id, account_id = UUID(errand.payout_id), UUID(errand.account_id)
    if errand.act == "draw":
        mint = house.mints.urls[0]
        return house.payouts.draw(payout_id, mint, errand.recipient, errand.msat).status
    return house.payouts.refund_to(payout_id, account_id, errand.recipient, errand.msat).status


def _chat(house: House, errand: Errand) -> int:
    """Have a chat; return how many bytes the client read."""
    call = chat(UUID(errand.account_id), stream=errand.stream, model=SLOW_MODEL)
    body = house.charges.serve(call).body
    if not isinstance(body, MeteredStream):
        return len(body)
    read = len(next(body))
    if not errand.leaves:
        read += sum(map(len, body))
    body.close()
    return read


if __name__ == "__main__":
    main()
