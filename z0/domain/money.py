"""
Money: an integer count of 1e-12 currency units inside, a decimal string on every wire. No float reaches it.

1e-12 because real prices of a language model's token need 11 to 12 decimals. Python's integers have no ceiling;
the stores hold numeric(38,12), which is the bound here: 26 digits before the point.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final

DECIMALS: Final = 12
SCALE: Final = 10**DECIMALS
WHOLE_DIGITS_MAX: Final = 26  # of the stores' numeric(38,12)
AMOUNT_CHARS_MAX: Final = WHOLE_DIGITS_MAX + 1 + DECIMALS  # longer ones need not be looked at
UNITS_MAX: Final = 10 ** (WHOLE_DIGITS_MAX + DECIMALS) - 1  # 38 digits
# Three digits by their number, and the same without zeros at the end: half of what padding and stripping cost.
_THREE: Final = [f"{number:03}" for number in range(1000)]
_LAST: Final = [text.rstrip("0") for text in _THREE]
# Wide enough that a product of a 38-digit price and an 18-digit quantity is exact before the one rounding.
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)


def parse_amount(text: str) -> int | None:
    """Units of 1e-12 in a plain decimal string (`12`, `0.0000025`), or None: signs, exponents and a 13th decimal are refused."""
    return _parsed(text)


@lru_cache(maxsize=1024)  # a command's amount is read when it is checked and again when its fact is folded
def _parse(text: str) -> int | None:
    whole, dot, fraction = text.partition(".")
    if not text.isascii() or not whole.isdigit() or len(whole) > WHOLE_DIGITS_MAX:
        return None
    if dot and not (fraction.isdigit() and len(fraction) <= DECIMALS):
        return None
    return int(whole + fraction.ljust(DECIMALS, "0"))


_parsed: Final = _parse  # found at once by compiled code, which looks a decorated function up by its name


def format_amount(units: int) -> str:
    """The shortest decimal string of a count of units: 2500000 -> `0.0000025`."""
    if units < 0:
        return "-" + format_amount(-units)
    whole, fraction = units // SCALE, units % SCALE
    if not fraction:
        return str(whole)
    first, second = fraction // 10**9, fraction // 10**6 % 1000
    third, fourth = fraction // 1000 % 1000, fraction % 1000
    if fourth:
        return f"{whole}.{_THREE[first]}{_THREE[second]}{_THREE[third]}{_LAST[fourth]}"
    if third:
        return f"{whole}.{_THREE[first]}{_THREE[second]}{_LAST[third]}"
    return f"{whole}.{_THREE[first]}{_LAST[second]}" if second else f"{whole}.{_LAST[first]}"


def price_times(price: Decimal, quantity: int) -> int:
    """Units of `price * quantity`, rounded half-even at 1e-12 once, after the product (a price may be finer than 1e-12)."""
    return int(_WIDE.multiply(price, Decimal(quantity)).scaleb(DECIMALS, _WIDE).to_integral_value(ROUND_HALF_EVEN, _WIDE))


def split_largest_remainder(units: int, weights: list[int]) -> list[int]:
    """Parts of `units` in proportion to `weights` that sum to it exactly; what is left over goes to the largest remainders."""
    total = sum(weights)
    shares = [divmod(units * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
    for i in by_remainder[: units - sum(parts)]:
        parts[i] += 1
    return parts


# ISO 4217 active currency codes, without the codes for metals, funds and testing.
CURRENCIES: Final = frozenset(
    (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY "
        "COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS "
        "INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP "
        "MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR "
        "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV "
        "WST XAF XCD XOF XPF YER ZAR ZMW ZWG"
    ).split()
)
