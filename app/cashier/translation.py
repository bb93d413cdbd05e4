"""A request of another API that is asked as a chat, because its provider has no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from app.cashier.documents import written
from app.cashier.meter import StreamMeter
from app.cashier.paths import MESSAGES, RESPONSES
from app.cashier.translated import TranslatedMeter
from app.gateways.upstream import UpstreamBrokenError
from app.translating.answer import answer_of
from app.translating.errors import TranslationError
from app.translating.library import Dialect
from app.translating.request import chat_of
from app.translating.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.bounds import Usage

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {MESSAGES: Dialect.MESSAGES, RESPONSES: Dialect.RESPONSES}
)
LIMIT = "max_completion_tokens"


@dataclass(frozen=True, slots=True)
class Translation:
    """What was `asked`, and the `chat` that asks the same in at most `prompt_bytes`."""

    dialect: Dialect
    asked: Mapping[str, Any] = field(repr=False)
    chat: Mapping[str, Any] = field(repr=False)
    prompt_bytes: int

    @classmethod
    def of(cls, path: str, document: Mapping[str, Any]) -> Translation:
        """Translate a request to `path`; raises `UntranslatableError`."""
        chat = chat_of(DIALECTS[path], document)
        return cls(DIALECTS[path], document, chat, len(written(chat)))

    def chat_for(self, limit_name: str) -> dict[str, Any]:
        """Return the chat for a provider that knows its bound by `limit_name`."""
        names = {LIMIT: limit_name}
        return {names.get(name, name): value for name, value in self.chat.items()}

    def answer(self, said: object, usage: Usage | None) -> dict[str, Any]:
        """Return what a chat has `said` as the answer; raises `UpstreamBrokenError`."""
        try:
            return answer_of(self.dialect, self.asked, said, usage)
        except TranslationError as error:
            raise UpstreamBrokenError(str(error)) from error

    def meter(self) -> TranslatedMeter:
        """Return what meters the chat's stream, and says it as the one that was asked for."""
        is_anthropic = self.dialect is Dialect.MESSAGES
        meter = StreamMeter(usage_invited=True, is_anthropic=is_anthropic)
        stream = Stream(self.dialect, self.asked)
        return TranslatedMeter(meter, stream, is_anthropic=is_anthropic)
