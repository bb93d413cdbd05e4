"""The page about Nostr: what relays say of us, and of whom they tell."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from app.discovery.announcement import announcements
from app.discovery.publisher import REFUSED, TOOK_IT, Published
from app.store.nostr_rows import PROVIDERS, RELAYS, NostrRows
from tests.gateways.nostr.given import ALICE, BOB, NOW_S, signed
from tests.web.admin.conftest import SCRIPT
from tests.web.admin.reading import rows

if TYPE_CHECKING:
    from tests.web.admin.conftest import View


def test_before_anything_was_published_it_says_what_that_takes(empty: View) -> None:
    text = empty.page("/admin/nostr/")

    assert "<code>NSEC</code>" in text
    assert "No other house is known" in text


def test_each_relays_word_is_shown(empty: View) -> None:
    told = [
        Published("wss://one.example", TOOK_IT, "", "e" * 64, NOW_S, NOW_S + 86_400),
        Published(
            "wss://two.example", REFUSED, f"blocked {SCRIPT}", "e" * 64, NOW_S, NOW_S + 5
        ),
    ]
    rows_of_nostr = NostrRows(empty.store)
    rows_of_nostr.replace(RELAYS, [(one.relay, json.dumps(asdict(one)), "") for one in told])

    text = empty.page("/admin/nostr/")

    _, first, second = rows(text)
    assert first == [
        "wss://one.example",
        "took it",
        "",
        "2023-11-14 22:13:20",
        "2023-11-15 22:13:20",
    ]
    assert second[1:3] == ["refused it", f"blocked {SCRIPT}"]
    assert SCRIPT not in text


def test_other_houses_are_shown_with_their_hostile_names_as_text(empty: View) -> None:
    hostile = json.dumps({"name": SCRIPT})
    found = announcements([signed(ALICE), signed(BOB, content=hostile)], NOW_S)
    healths = ({"status_code": 200}, {"status_code": 500})
    NostrRows(empty.store).replace(
        PROVIDERS,
        [
            (f"{each.pubkey}:{each.id}", json.dumps(each.document()), json.dumps(health))
            for each, health in zip(found, healths, strict=True)
        ],
    )

    text = empty.page("/admin/nostr/")

    _, first, second = rows(text)
    assert first[:4] == ["Shop", "https://shop.example.com", "answers", "0"]
    assert (second[0], second[2]) == (SCRIPT, "silent")
    assert SCRIPT not in text


def test_the_page_is_for_who_is_signed_in(stranger: View) -> None:
    assert stranger.get("/admin/nostr/").status_code == 303
