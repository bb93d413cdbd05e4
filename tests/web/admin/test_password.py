from __future__ import annotations

from app.web.admin.password import ADDRESSES_MAX, Password, Throttle
from tests.web.admin.conftest import PASSWORD, Clock


def test_only_the_password_is_right() -> None:
    password = Password(PASSWORD)

    assert password.is_right(PASSWORD)
    assert not password.is_right(PASSWORD[:-1])
    assert not password.is_right("")


def test_the_password_itself_is_not_kept() -> None:
    assert PASSWORD not in repr(vars(Password(PASSWORD)))


def waits(throttle: Throttle, clock: Clock, address: str, count: int) -> list[float]:
    """How long each of `count` attempts had to wait before it was looked at."""
    found = []
    for _ in range(count):
        left_s = throttle.wait_s(address)
        found.append(left_s)
        if left_s:
            clock.now_s += left_s
            assert throttle.wait_s(address) == 0
    return found


def test_each_attempt_waits_twice_as_long_as_the_one_before() -> None:
    clock = Clock()

    found = waits(Throttle(clock), clock, "a", 18)

    assert found[:9] == [0, 0, 0, 0, 0, 1, 2, 4, 8]
    assert found[-1] == 900


def test_many_addresses_together_wait_too_but_never_long() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for number in range(40):
        clock.now_s += throttle.wait_s(f"address-{number}")

    assert 0 < throttle.wait_s("another") <= 8


def test_the_password_forgives_all() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits(throttle, clock, "a", 10)

    throttle.forgive("a")

    assert waits(throttle, clock, "a", 5) == [0, 0, 0, 0, 0]


def test_an_hour_without_attempts_forgives_too() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    waits(throttle, clock, "a", 10)

    clock.now_s += 3601

    assert throttle.wait_s("a") == 0
    assert throttle.wait_s("a") == 0


def test_the_addresses_remembered_are_bounded() -> None:
    clock = Clock()
    throttle = Throttle(clock)

    for number in range(ADDRESSES_MAX + 100):
        throttle.wait_s(f"address-{number}")

    assert len(throttle._paces) == ADDRESSES_MAX
