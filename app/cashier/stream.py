"""A streamed answer on its way to the client: passed through, metered and settled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TypeAlias

from app.cashier.costs import cost_headers
from app.gateways.upstream import UpstreamAnswer, UpstreamBrokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.bill import Bill
    from app.cashier.meter import SoundMeter, StreamMeter
    from app.cashier.translated import TranslatedMeter
    from domain.bounds import Usage
    from domain.cost import Cost


Meter: TypeAlias = "StreamMeter | SoundMeter | TranslatedMeter"


class MeteredStream:
    """An answer passing through: bytes for the client, usage for the bill.

    A class and not a generator: closing a generator nobody has begun to read runs none of
    it, and the hold would stay for ever.
    """

    def __init__(
        self,
        answer: UpstreamAnswer,
        meter: Meter,
        bill: Bill,
        drain_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answer = answer
        self._meter = meter
        self._bill = bill
        self._drain_s = drain_s
        self._clock = clock
        self.is_events = meter.is_events
        """Whether something can be said in it beside the answer."""
        self._over = False
        self._settled = False
        self.is_broken = False
        """Whether the upstream has cut it short."""
        self.charged_msat: int | None = None
        """What it cost, once that is known."""
        self.cost_headers: dict[str, str] = {}
        """The same as headers, for whoever has kept the stream back to its end."""

    @property
    def is_settled(self) -> bool:
        """Tell whether its bill has come to its end: then nothing more is to come."""
        return self._settled

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while not self._settled:
            try:
                data = self._answer.read_some()
                out = self._meter.feed(data) if data else self._meter.finish()
            except UpstreamBrokenError as error:
                return self._broken(error)
            if self._meter.done or not data:
                return out + self._settle()
            if out:
                return out
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Settle what is not settled: a client that left is charged for what was used."""
        if self._over:
            return
        self._over = True
        try:
            if not self._settled:
                self._drain()
        finally:
            self._answer.close()

    def _settle(self) -> bytes:
        # Charged first: a client that has read the end finds its balance right.
        self._settled = True
        meter = self._meter
        if self._is_empty():
            self._bill.release("empty answer")
            return meter.tail(None)
        usage = meter.used()
        cost = self._charged(usage, meter.delivered_text_characters)
        if cost is None or not meter.tells_cost:
            return meter.tail(None)
        return meter.tail(self._bill.told(cost, usage))

    def _is_empty(self) -> bool:
        usage = self._meter.usage
        written = usage is not None and usage.completion_tokens > 0
        return not written and not self._meter.delivered_text_characters

    def _charged(self, usage: Usage | None, delivered_characters: int) -> Cost | None:
        cost = self._bill.charge(usage, delivered_characters)
        if cost is not None:
            self.charged_msat = cost.total.msat
            self.cost_headers = cost_headers(cost, self._bill.rate)
        return cost

    def _broken(self, error: UpstreamBrokenError) -> bytes:
        """End a stream the upstream has cut: a connection that just ends tells nobody why."""
        self._settled = self.is_broken = True
        meter = self._meter
        # The half of a sound is worth nothing.
        if meter.is_events and meter.delivered_text_characters:
            self._charged(meter.used(), meter.delivered_text_characters)
        else:
            self._bill.release("upstream broke off")
        return meter.fault(str(error))

    def _drain(self) -> None:
        """Read on without a reader, for a while, to learn the usage."""
        delivered = self._meter.delivered_text_characters
        until_s = self._clock() + self._drain_s
        usage = None
        try:
            while not (self._meter.knows_usage or self._meter.done):
                data = self._answer.read_some()
                if not data or self._clock() > until_s:
                    break
                self._meter.feed(data)
            self._meter.finish()
            usage = self._meter.used()
        except UpstreamBrokenError:
            usage = self._meter.used()
        finally:
            self._settled = True
            if usage is None and not delivered:
                self._bill.release("client left before anything was delivered")
            else:
                self._charged(usage, delivered)
