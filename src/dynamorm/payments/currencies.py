"""The currencies of ISO 4217: their exponents, and those that were withdrawn. Data, and what may be asked of it.

The list is that of the maintenance agency, published on the day `as_of`; fund codes are in it, metals, SDR and codes for
tests and for no currency are not. Source: https://www.six-group.com/en/products-services/financial-information/data-standards.html
(list one, and list three for what was withdrawn).
"""

from __future__ import annotations

from datetime import date
from typing import Final

from dynamorm.errors import ValidationError

as_of: Final = date(2026, 1, 1)
"""The day on which the list was published that is stored here."""

_CURRENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP"
        " COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR"
        " JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN"
        " NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL"
        " THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
# Withdrawn since 1999; the exponents are those that ISO listed last.
_WITHDRAWN: Final = {
    0: "ADP BEF BYB BYR ESP GRD ITL LUF MGF PTE TPE TRL",
    2: (
        "AFA ANG ATS AZM BGL BGN CSD CUC CYP DEM EEK FIM FRF GHC HRK IEP LTL LVL MRO MTL MZM NLG ROL RUR SDD SIT SKK SLL SRG"
        " STD TMM VEB VEF YUM ZMK ZWD ZWL ZWN ZWR"
    ),
}


def _by_code(lists: dict[int, str]) -> dict[str, int]:
    return {code: exponent for exponent, codes in lists.items() for code in codes.split()}


CURRENT: Final = _by_code(_CURRENT)
"""The exponent of each currency that new money may be of, by its code."""

WITHDRAWN: Final = _by_code(_WITHDRAWN)
"""The same of those that are read from tables, and made with ``historic=True``."""


def exponent(code: str, *, historic: bool = False) -> int:
    """How many digits the minor unit of a currency has: 2 for EUR, 0 for JPY, 3 for KWD.

    ``historic`` lets currencies pass that were withdrawn. Codes are upper case, as ISO writes them.

    Raises: ValidationError for what is no currency of the list.

    Example: ``exponent("KWD") == 3``
    """
    if isinstance(code, str):
        found = CURRENT.get(code)
        if found is not None:
            return found
        found = WITHDRAWN.get(code)
        if found is not None:
            if historic:
                return found
            raise ValidationError(
                f"the currency {code} was withdrawn (ISO 4217 as of {as_of}): no new money is of it;"
                " Money(..., historic=True) is for amounts of the past",
                field="currency",
            )
    raise ValidationError(
        f"a currency is one of the codes of ISO 4217 (as of {as_of}), such as 'EUR', in upper case: metals, SDR and codes"
        " for tests are none",
        field="currency",
    )
