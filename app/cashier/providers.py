"""Setting providers up, and asking them for their models: what operators and the clock do."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID, uuid4

from msgspec.structs import replace

from app.cashier.errors import (
    CashierError,
    ModelListError,
    ProviderThereError,
    ProviderUnknownError,
)
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError
from app.gateways.upstream import AnswerTooLongError
from domain.catalogue import Provider, ProviderRow
from domain.errors import InvalidProviderError, LedgerError, PricingError
from domain.model_list import Merged, merged, read_models
from domain.provider import ListModels, RemoveProvider, SetProvider

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from app.gateways.mint.seal import Sealer
    from app.gateways.upstream import Upstream, UpstreamAnswer
    from domain.catalogue import Model
    from domain.ledger import Ledger

logger = logging.getLogger(__name__)

DEFAULT = "default"
"""The provider that the settings name, unless the log says otherwise."""

BACK_OFFICE = "back office"
LIST_BYTES_MAX = 16 * 1024 * 1024
LIST_WITHIN_S = 60.0
NAMES_LOGGED_MAX = 20
# Anything else cannot stand in a header, or would begin another one.
API_KEY = re.compile(r"[\x21-\x7e]{1,1000}")


class Books(Protocol):
    """What is read of the store."""

    def providers(self) -> dict[str, ProviderRow]: ...


@dataclass(frozen=True, slots=True)
class OwnProvider:
    """The provider of the settings: what it sells stands in models.json."""

    base_url: str
    api_key: str = field(repr=False)
    fee: str
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A provider as operators see it; the key is only told to be there.

    `is_of_settings` says that no event speaks of it.
    """

    name: str
    base_url: str
    has_key: bool
    fee: str
    priority: int
    enabled: bool
    lists: bool
    only: tuple[str, ...]
    models: int
    is_of_settings: bool


class Sold(NamedTuple):
    """A model as a provider lists it; the prices are texts in USD for a token or a request."""

    provider: str
    is_asked: bool
    model: str
    prompt: str
    completion: str
    request: str


class Providers:
    """Every change of a provider, each an event with `who` wanted it.

    `connect` opens the way to an address with a key, `plain` writes an address in the one
    way it is kept, or raises `ValueError`. Prices that a provider's own list changes by more
    than the factor `jump_max` are held back.
    """

    def __init__(
        self,
        ledger: Ledger,
        books: Books,
        sealer: Sealer,
        own: OwnProvider,
        connect: Callable[[str, str], Upstream],
        plain: Callable[[str], str],
        jump_max: Fraction,
    ) -> None:
        self._ledger = ledger
        self._books = books
        self._sealer = sealer
        self._own = own
        self._connect = connect
        self._plain = plain
        self._jump_max = jump_max

    def all(self) -> list[Shown]:
        """Return every provider there is, the one of the settings included."""
        rows = self._books.providers()
        found = [_shown(name, row) for name, row in rows.items() if name != DEFAULT]
        found.append(self._shown_own(rows.get(DEFAULT)))
        return sorted(found, key=lambda shown: (shown.priority, shown.name))

    def sold(self) -> list[Sold]:
        """Return every model of every provider, with what the provider asks for it."""
        rows = self._books.providers()
        own = rows.get(DEFAULT) or ProviderRow(UUID(int=0), 0, Provider(base_url=""), ())
        rows[DEFAULT] = own if own.models else own._replace(models=self._own.models)
        return [
            _sold(name, row.provider, model)
            for name, row in sorted(rows.items())
            for model in row.models
        ]

    def add(self, name: str, base_url: str, who: str, api_key: str = "", **terms: Any) -> None:
        """Make a provider; `terms` are further members of `Provider`.

        Raises `ProviderThereError`, `InvalidProviderError`.
        """
        if name == DEFAULT or name in self._books.providers():
            raise ProviderThereError(name)
        provider_id = uuid4()
        provider = Provider(
            base_url=self._url(base_url), sealed_key=self._sealed(provider_id, api_key), **terms
        )
        self._ledger.change_provider(SetProvider(provider_id, 0, name, who, provider))

    def change(
        self,
        name: str,
        who: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        **terms: Any,
    ) -> None:
        """Change what is given; an `api_key` that is empty is none from now on.

        A change of the settings' provider goes before the settings from now on. Raises
        `ProviderUnknownError`, `InvalidProviderError`, `ProviderChangedError`.
        """
        row = self._row(name)
        if base_url is not None:
            terms["base_url"] = self._url(base_url)
        if api_key is not None:
            terms["sealed_key"] = self._sealed(row.provider_id, api_key)
        provider = replace(row.provider, **terms)
        if provider != row.provider or not row.version:
            change = SetProvider(row.provider_id, row.version, name, who, provider)
            self._ledger.change_provider(change)

    def list_models(self, name: str, document: object, who: str) -> int:
        """Sell what `document`, in the shape of models.json, lists; return how many models.

        Raises `ProviderUnknownError`, `PricingError`, `ProviderChangedError`.
        """
        models = read_models(document)
        self._list(name, self._recorded(name, who), models, who)
        return len(models)

    def remove(self, name: str, who: str) -> None:
        """Ask a provider no more; the settings' one is as they say again.

        Raises `ProviderUnknownError`, `ProviderChangedError`.
        """
        row = self._books.providers().get(name)
        if row is None:
            raise ProviderUnknownError(name)
        change = RemoveProvider(row.provider_id, row.version, name, who)
        self._ledger.change_provider(change)

    def refresh(self, name: str, who: str, *, accept: bool = False) -> Merged:
        """Ask a provider for its models and prices, and sell by them; say what came of it.

        With `accept`, prices are taken however far they jump. Raises `ProviderUnknownError`,
        `ModelListError`, `GatewayError`, `SealError`, `ProviderChangedError`.
        """
        row = self._recorded(name, who)
        document = self._asked(name, row)
        jump_max = None if accept else self._jump_max
        try:
            found = merged(row.models, document, row.provider.only, jump_max)
        except PricingError as error:
            raise ModelListError(name, str(error)) from error
        if found.models != row.models:
            self._list(name, row, found.models, who)
        return found

    def refresh_all(self) -> None:
        """Ask each provider that is asked for its list; one that fails stops no other."""
        for name, row in self._books.providers().items():
            if not (row.provider.lists and row.provider.enabled):
                continue
            try:
                found = self.refresh(name, BACK_OFFICE)
            except (CashierError, GatewayError, LedgerError, SealError) as error:
                fields = {"provider": name, "reason": str(error) or type(error).__name__}
                logger.warning("no list of models", extra={"fields": fields})
                continue
            if found.held_back:
                some = ", ".join(found.held_back[:NAMES_LOGGED_MAX])
                fields = {"provider": name, "models": str(len(found.held_back)), "some": some}
                logger.warning("prices held back", extra={"fields": fields})

    def _shown_own(self, row: ProviderRow | None) -> Shown:
        own = self._own
        if row is None:
            plain = Provider(base_url=own.base_url, fee=own.fee)
            shown = _shown(DEFAULT, ProviderRow(UUID(int=0), 0, plain, own.models))
            return dataclasses.replace(shown, has_key=bool(own.api_key), is_of_settings=True)
        return _shown(DEFAULT, row if row.models else row._replace(models=own.models))

    def _row(self, name: str) -> ProviderRow:
        """Return a provider; the settings' one as if it had just been made of them."""
        row = self._books.providers().get(name)
        if row is not None:
            return row
        if name != DEFAULT:
            raise ProviderUnknownError(name)
        own, provider_id = self._own, uuid4()
        sealed = self._sealed(provider_id, own.api_key)
        provider = Provider(base_url=own.base_url, sealed_key=sealed, fee=own.fee)
        return ProviderRow(provider_id, 0, provider, ())

    def _recorded(self, name: str, who: str) -> ProviderRow:
        """Return a provider that the log knows, the settings' one after recording it."""
        row = self._row(name)
        if row.version:
            return row
        self._ledger.change_provider(SetProvider(row.provider_id, 0, name, who, row.provider))
        return row._replace(version=1, models=())

    def _list(self, name: str, row: ProviderRow, models: tuple[Model, ...], who: str) -> None:
        change = ListModels(row.provider_id, row.version, name, who, models)
        self._ledger.change_provider(change)

    def _asked(self, name: str, row: ProviderRow) -> object:
        upstream = self._connect(row.provider.base_url, opened(self._sealer, row))
        try:
            return _document(name, upstream.get("/models"))
        finally:
            upstream.close()

    def _url(self, base_url: str) -> str:
        try:
            return self._plain(base_url)
        except ValueError as error:
            raise InvalidProviderError("base_url", str(error)) from error

    def _sealed(self, provider_id: UUID, api_key: str) -> bytes:
        if not api_key:
            return b""
        if not API_KEY.fullmatch(api_key):
            raise InvalidProviderError("key", "must be 1 to 1000 visible ASCII characters")
        return self._sealer.seal(api_key.encode(), provider_id.bytes)


def opened(sealer: Sealer, row: ProviderRow) -> str:
    """Return our key at a provider, or raise `SealError` if another seed sealed it."""
    sealed = row.provider.sealed_key
    return sealer.open(sealed, row.provider_id.bytes).decode() if sealed else ""


def _shown(name: str, row: ProviderRow) -> Shown:
    provider = row.provider
    return Shown(
        name=name,
        base_url=provider.base_url,
        has_key=bool(provider.sealed_key),
        fee=provider.fee,
        priority=provider.priority,
        enabled=provider.enabled,
        lists=provider.lists,
        only=provider.only,
        models=len(row.models),
        is_of_settings=False,
    )


def _document(name: str, answer: UpstreamAnswer) -> object:
    """Return the list a provider answers with, which is there in time and of a size to read."""
    until_s = time.monotonic() + LIST_WITHIN_S
    body = bytearray()
    try:
        if answer.status != HTTPStatus.OK:
            raise ModelListError(name, f"status {answer.status}")
        while piece := answer.read_some():
            body += piece
            if len(body) > LIST_BYTES_MAX:
                raise AnswerTooLongError(f"The list is longer than {LIST_BYTES_MAX} bytes.")
            if time.monotonic() > until_s:
                raise ModelListError(name, f"not there within {LIST_WITHIN_S:.0f} s")
    finally:
        answer.close()
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        raise ModelListError(name, "is not JSON") from None
    return found


def _sold(name: str, provider: Provider, model: Model) -> Sold:
    pricing = model.get("pricing")
    prices = pricing if isinstance(pricing, Mapping) else {}
    each = (str(prices.get(part, "")) for part in ("prompt", "completion", "request"))
    return Sold(name, provider.enabled, str(model.get("id", "")), *each)
