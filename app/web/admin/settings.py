"""Every setting of the house: what it is, where that comes from, and who changed it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import redirect, url_for

from app.changes import SettingError
from app.web.admin.room import FormError, Room, filled, page
from domain.errors import InvalidSettingError, SettingMovedError
from domain.rights import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.changes import Changes

TROUBLES = (SettingError, InvalidSettingError, SettingMovedError)


class SettingDesk(Room):
    """All settings, secrets only as set or not; forms for what changes while it is open."""

    @page("/")
    def index(self) -> Any:
        return self._told("")

    @page("/set", "POST", scope=SETTINGS)
    def set(self) -> Any:
        """Let a setting be what was filled in, in every process, within seconds."""
        who = self.auditor.who()
        return self._do(lambda changes: changes.set(filled("name"), filled("value"), who))

    @page("/unset", "POST", scope=SETTINGS)
    def unset(self) -> Any:
        """Give a setting back to the environment."""
        who = self.auditor.who()
        return self._do(lambda changes: changes.unset(filled("name"), who))

    def _do(self, act: Callable[[Changes], str]) -> Any:
        try:
            act(self._changes())
        except TROUBLES as error:
            return self._told(str(error)), HTTPStatus.BAD_REQUEST
        return redirect(url_for("admin-settings.index"), HTTPStatus.SEE_OTHER)

    def _changes(self) -> Changes:
        if self.auditor.changes is None:
            raise FormError("No setting is changed from here.")
        return self.auditor.changes

    def _told(self, message: str) -> str:
        changes = self.auditor.changes
        return self.render(
            "auditor/settings.html", message=message, settings=changes.all() if changes else []
        )
