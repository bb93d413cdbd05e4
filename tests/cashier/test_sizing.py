from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.cashier.sizing import LOOK_AGAIN_S, PROOFS_SPARE, TokenSizes, token_sat
from app.gateways.mint.keysets import split
from domain.msat import Msat
from tests.doubles.mint import Fault

if TYPE_CHECKING:
    from tests.cashier.conftest import Build, OpenMint
    from tests.cashier.house import House, MoodyMint


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("fee_ppk", [0, 1, 100, 1_000, 5_000])
@pytest.mark.parametrize("price_msat", [0, 1, 999, 1_000, 1_001, 63_000, 64_000, 10**9 + 1])
def test_a_token_pays_its_price_and_the_fee(price_msat: int, fee_ppk: int) -> None:
    amount_sat = token_sat(price_msat, fee_ppk)

    fee_sat = -(-len(split(amount_sat)) * fee_ppk // 1000)
    assert (amount_sat - fee_sat) * 1000 >= max(1, price_msat)


def test_without_a_fee_no_more_is_asked_than_the_price_rounded_up() -> None:
    assert [token_sat(price_msat, 0) for price_msat in (0, 1_000, 1_001)] == [1, 1, 2]


def test_the_dearest_mint_is_counted_on(build: Build, open_mint: OpenMint) -> None:
    cheap, dear = open_mint(fee_ppk=0), open_mint("dear", fee_ppk=2_000)

    sizes = TokenSizes(build(cheap, dear).mints)

    assert sizes.fee_ppk() == 2_000
    assert sizes.mints == (cheap.url, dear.url)
    assert sizes.token_sat(Msat(1_000)) == 1 + 2 * (len("10011") + PROOFS_SPARE)


def test_a_mint_is_asked_once_a_minute_whether_or_not_it_answers(
    house: House, mint: MoodyMint
) -> None:
    clock = Clock()
    sizes = TokenSizes(house.mints, clock)
    mint.fault("keysets", Fault.SERVER_ERROR)

    first = [sizes.fee_ppk() for _ in range(3)]
    asked = mint.calls["keysets"]
    clock.now_s = LOOK_AGAIN_S
    second = sizes.fee_ppk()

    assert (first, asked) == ([0, 0, 0], 1)
    assert second == 100


def test_what_a_mint_said_holds_while_it_is_away(house: House, mint: MoodyMint) -> None:
    clock = Clock()
    sizes = TokenSizes(house.mints, clock)
    sizes.fee_ppk()
    mint.fault("keysets", Fault.SERVER_ERROR, times=10)

    clock.now_s = LOOK_AGAIN_S

    assert sizes.fee_ppk() == 100
