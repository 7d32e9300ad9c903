"""Money: exact on every wire, an integer inside."""

from decimal import Decimal

import pytest

from z0.domain.money import (
    CURRENCIES,
    SCALE,
    UNITS_MAX,
    format_amount,
    parse_amount,
    price_times,
    split_largest_remainder,
)


@pytest.mark.parametrize(
    ("text", "units", "shortest"),
    [
        ("0", 0, "0"),
        ("1", SCALE, "1"),
        ("007", 7 * SCALE, "7"),
        ("1.50", 3 * SCALE // 2, "1.5"),
        ("0.000000000001", 1, "0.000000000001"),
        ("0.0000025", 2_500_000, "0.0000025"),
        ("9" * 26 + "." + "9" * 12, UNITS_MAX, "9" * 26 + "." + "9" * 12),
    ],
)
def test_a_decimal_string_becomes_units_and_the_shortest_string_again(text: str, units: int, shortest: str) -> None:
    """No digit is lost in either direction."""
    assert parse_amount(text) == units
    assert format_amount(units) == shortest


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".5",
        "1.",
        "-1",
        "+1",
        "1e3",
        "1E-3",
        "0x10",
        "1_000",
        "1,5",
        " 1",
        "1 ",
        "1\n",
        "nan",
        "Infinity",
        "1.2.3",
        "1.-2",
        "0.0000000000001",  # a 13th decimal
        "1" * 27,  # a 27th digit before the point
        "0" * 27,
        "١٢",  # Arabic-Indic digits
        "\uff11",  # full width
        "²",
        "1.٢",
    ],
)
def test_everything_but_a_plain_decimal_is_refused(text: str) -> None:
    """Signs, exponents, separators, a finer or larger number than the stores hold, and digits of other alphabets."""
    assert parse_amount(text) is None


def test_a_negative_count_is_shown_with_its_sign() -> None:
    """Only ever shown, for differences; never parsed."""
    assert format_amount(-1) == "-0.000000000001"
    assert format_amount(-3 * SCALE) == "-3"


@pytest.mark.parametrize(
    ("price", "quantity", "units"),
    [
        ("0.0000000000005", 1, 0),  # half of a unit goes to the even one
        ("0.0000000000005", 3, 2),
        ("0.0000000000015", 1, 2),
        ("0.0000000000025", 1, 2),
        ("0.00000000000051", 1, 1),
        ("0.00000000000049", 1, 0),
        ("0.000000000000333", 3, 1),  # 0.999: rounded once, after the product
        ("0.15", 1_000_000, 150_000 * SCALE),
        ("99999999999999999999999999.999999999999", 10**18, UNITS_MAX * 10**18),
    ],
)
def test_a_price_times_a_quantity_is_rounded_half_even_once(price: str, quantity: int, units: int) -> None:
    """Rounding each unit of the quantity would add up."""
    assert price_times(Decimal(price), quantity) == units


@pytest.mark.parametrize(
    ("units", "weights", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),
        (100, [50, 30, 20], [50, 30, 20]),
        (1, [1, 1], [1, 0]),
        (7, [0, 1], [0, 7]),
        (0, [3, 4], [0, 0]),
        (5, [1, 2, 4], [1, 1, 3]),
    ],
)
def test_a_split_sums_exactly_and_the_largest_remainder_gets_the_rest(units: int, weights: list[int], parts: list[int]) -> None:
    """Nothing is made or lost by sharing; ties go to the first."""
    assert split_largest_remainder(units, weights) == parts


def test_currencies_are_codes_of_three_capitals_without_metals_and_tests() -> None:
    """XXX is no currency, XAU is a metal, XTS is for testing."""
    assert {"USD", "EUR", "JPY"} <= CURRENCIES
    assert not {"XXX", "XAU", "XTS"} & CURRENCIES
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
