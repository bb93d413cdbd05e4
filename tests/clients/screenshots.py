"""Pictures of the auditor's view over a sample of a busy house: `make screenshots`."""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from app.sample.verb import fill_sample
from app.sealing.sign import Sealing, SigningKey
from app.store.seals import Seals
from tests.clients.auditing import served, sign_in
from tests.clients.devtools import Chromium

if TYPE_CHECKING:
    from tests.store.places import Store

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
EVENTS, SEED = 20_000, 1
NEWEST_CHARGE = "document.querySelector('tbody th a').getAttribute('href')"
ACCOUNT = "document.querySelector('.fields a').getAttribute('href')"


class Shot(NamedTuple):
    """A picture's name, the page it is of, and how large it is."""

    name: str
    path: str
    width: int
    height: int


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with (
        TemporaryDirectory(prefix="tallystick-pictures-") as home,
        served(Path(home), _fill, house="Tallystick") as house,
        Chromium(Path(home) / "browser") as page,
    ):
        sign_in(page, house)
        for shot in _shots(page, house):
            page.resize(shot.width, shot.height)
            page.go(house + shot.path)
            (PICTURES / f"{shot.name}.png").write_bytes(page.picture())
            print(f"docs/pictures/{shot.name}.png")  # noqa: T201  # a command's progress
        if page.complaints:
            raise SystemExit(f"the pages complain: {json.dumps(page.complaints)}")


def _fill(store: Store) -> None:
    with redirect_stderr(StringIO()):
        fill_sample(store, SEED, EVENTS, datetime.now(UTC))
    Sealing(Seals(store), SigningKey(bytes(32), "house.example")).seal()


def _shots(page: Chromium, house: str) -> list[Shot]:
    page.go(f"{house}/admin/events/?type=hold.charged")
    event = str(page.run(NEWEST_CHARGE))
    page.go(house + event)
    statement = str(page.run(ACCOUNT))
    wide = (
        ("overview", "/admin/"),
        ("events", "/admin/events/"),
        ("event", event),
        ("statement", statement),
        ("reconciliation", "/admin/reconciliation/"),
    )
    return [
        *(Shot(name, path, 1280, 860) for name, path in wide),
        Shot("overview-narrow", "/admin/", 390, 1200),
    ]


if __name__ == "__main__":
    main()
