"""Setting up whom we ask for models: each change is an event that says who wanted it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, redirect, request, url_for

from app.cashier.errors import CashierError
from app.gateways.errors import GatewayError
from app.gateways.mint.errors import SealError
from app.web.admin.room import ON, Room, page
from domain.errors import InvalidProviderError, LedgerError
from domain.rights import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cashier.providers import Providers

PRIORITY = re.compile(r"-?[0-9]{1,4}", re.ASCII)


class ProviderDesk(Room):
    """Every provider, and forms to add, change, ask and remove one. Keys are never shown."""

    @page("/")
    def index(self) -> Any:
        return self._told("")

    @page("/add", "POST", scope=SETTINGS)
    def add(self) -> Any:
        """Make a provider of what was filled in."""

        def act(providers: Providers) -> None:
            providers.add(
                _name(), _text("base_url"), self.auditor.who(), _text("api_key"), **_terms()
            )

        return self._do(act)

    @page("/change", "POST", scope=SETTINGS)
    def change(self) -> Any:
        """Change a provider; a key that is not filled in stays as it is."""

        def act(providers: Providers) -> None:
            key = _text("api_key")
            given = {"api_key": key} if key else {}
            providers.change(
                _name(), self.auditor.who(), base_url=_text("base_url"), **given, **_terms()
            )

        return self._do(act)

    @page("/refresh", "POST", scope=SETTINGS)
    def refresh(self) -> Any:
        """Ask a provider for its models and prices now."""

        def act(providers: Providers) -> None:
            providers.refresh(_name(), self.auditor.who(), accept=_is_on("accept"))

        return self._do(act)

    @page("/remove", "POST", scope=SETTINGS)
    def remove(self) -> Any:
        """Ask a provider no more."""
        return self._do(lambda providers: providers.remove(_name(), self.auditor.who()))

    def _do(self, act: Callable[[Providers], None]) -> Any:
        providers = self.auditor.providers
        if providers is None:
            return Response("Refused.\n", HTTPStatus.FORBIDDEN, content_type="text/plain")
        try:
            act(providers)
        except (CashierError, GatewayError, LedgerError, SealError) as error:
            return self._told(str(error) or type(error).__name__), HTTPStatus.BAD_REQUEST
        return redirect(url_for("admin-providers.index"), HTTPStatus.SEE_OTHER)

    def _told(self, message: str) -> str:
        providers = self.auditor.providers
        found = providers.all() if providers else []
        return self.render("auditor/providers.html", providers=found, message=message)


def _terms() -> dict[str, Any]:
    priority = _text("priority") or "0"
    if not PRIORITY.fullmatch(priority):
        raise InvalidProviderError("priority", "must be a whole number")
    return {
        "fee": _text("fee") or "1",
        "priority": int(priority),
        "enabled": _is_on("enabled"),
        "lists": _is_on("lists"),
        "only": tuple(_text("only").split()),
    }


def _name() -> str:
    return _text("name")


def _text(name: str) -> str:
    return request.form.get(name, "").strip()


def _is_on(name: str) -> bool:
    return request.form.get(name) == ON
