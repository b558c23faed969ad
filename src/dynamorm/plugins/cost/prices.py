"""What AWS asks for, by Region: read from a data file with the date and the source of each price.

Unknown Regions are refused: the prices of another one would be a guess, and they differ by up to a factor of two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from dynamorm.arguments import is_whole
from dynamorm.errors import ConfigError, ValidationError

EMBEDDED: Final = Path(__file__).with_name("prices.json")
"""The prices that come with the library."""

REQUIRED: Final = ("read", "write", "storage")
"""The prices without which a Region is not known. Others may be missing: an estimate says which it had to leave out."""


class Prices(Struct, frozen=True, kw_only=True):
    """The prices of one Region in US dollars, as they were on ``priced_on``; ``source`` says where they are from.

    By name, each for one: ``read``, ``write``, ``replicated_write`` (a unit on demand), ``provisioned_read``,
    ``provisioned_write`` (a unit for an hour), ``storage``, ``pitr`` (a GB for a month), ``streams`` (a GetRecords),
    ``kms_key`` (a month), ``kms_request``; those with ``ia_`` in front are of the class STANDARD_INFREQUENT_ACCESS.
    """

    region: str
    priced_on: date
    source: str
    prices: dict[str, Decimal]
    currency: str = "USD"

    def of(self, name: str, *, infrequent: bool = False) -> Decimal | None:
        """A price, None where it is not known."""
        return self.prices.get(f"ia_{name}" if infrequent else name)


class _Region(Struct):
    priced_on: date
    source: str
    prices: dict[str, Decimal]


class PriceFile(Struct):
    """The form of a file of prices."""

    regions: dict[str, _Region]
    currency: str = "USD"


def read_prices(path: str | PathLike[str] | None = None) -> PriceFile:
    """The file of prices, the embedded one by default. Raises: ConfigError for a file that is not there, or of another form."""
    where = EMBEDDED if path is None else Path(fspath(path))
    try:
        file = msgspec.json.decode(where.read_bytes(), type=PriceFile)
    except (OSError, RecursionError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"the file of prices {where.name} cannot be read ({type(error).__name__}: {error}): make it by"
            " python -m dynamorm.plugins.cost refresh"
        ) from error
    for region, told in file.regions.items():
        for name in REQUIRED:
            if name not in told.prices:
                raise ConfigError(f"the file of prices {where.name} lacks {name} of {region}")
        for name, amount in told.prices.items():
            if not amount.is_finite() or amount < 0:
                raise ConfigError(
                    f"{name} of {region} in the file of prices {where.name} is no amount of money: {amount}"
                )
    return file


@cache
def _read(path: str | None) -> PriceFile:
    return read_prices(path)


def prices_of(region: str | None, path: str | PathLike[str] | None = None) -> Prices:
    """The prices of a Region. Raises: ConfigError for one that is not known, with those that are."""
    file = _read(None if path is None else fspath(path))
    told = file.regions.get(region) if isinstance(region, str) else None
    if told is None:
        given = region[:40] if isinstance(region, str) else type(region).__name__
        raise ConfigError(
            f"no price is known for the Region {given!r}: there are {', '.join(sorted(file.regions))}. Get the prices of"
            " another one from AWS by `python -m dynamorm.plugins.cost refresh --region NAME --output prices.json`, then"
            ' db.use(CostPlugin(prices="prices.json")); or name a Region that costs the same, CostPlugin(region=...)'
        )
    return Prices(
        region=str(region),
        priced_on=told.priced_on,
        source=told.source,
        prices=told.prices,
        currency=file.currency,
    )


def price(
    region: str,
    *,
    writes: int | Decimal = 0,
    strong_reads: int | Decimal = 0,
    eventual_reads: int | Decimal = 0,
    transactional_writes: int | Decimal = 0,
    transactional_reads: int | Decimal = 0,
    replicas: int | Iterable[str] = 1,
    prices: str | PathLike[str] | None = None,
) -> Decimal:
    """What so many requests cost on demand, in US dollars: writes of up to 1 KB, reads of up to 4 KB.

    ``replicas`` is in how many Regions a global table is, this one included, all at this one's prices; or the names of the
    other Regions, each at its own. Free tiers are not subtracted: they are an account's, and not a table's.

    Raises: ConfigError for an unknown Region; ValidationError for a negative count.

    Source: https://aws.amazon.com/dynamodb/pricing/on-demand/; the date and the source of each price are in `prices_of`.

    Example: ``price("us-east-1", writes=1_000_000) == Decimal("0.625")``
    """
    of = prices_of(region, prices)
    read = strong_reads_of(strong_reads, eventual_reads, transactional_reads)
    written = count("writes", writes) + 2 * count("transactional_writes", transactional_writes)
    elsewhere = _others(of, replicas, prices)
    return read * of.prices["read"] + written * (of.prices["write"] + sum(elsewhere, Decimal(0)))


def strong_reads_of(strong: int | Decimal, eventual: int | Decimal, transactional: int | Decimal) -> Decimal:
    """Read units of so many reads of up to 4 KB."""
    halves = 2 * count("strong_reads", strong) + count("eventual_reads", eventual)
    return halves / 2 + 2 * count("transactional_reads", transactional)


def count(name: str, value: Any) -> Decimal:
    """A count of requests or units. Raises: ValidationError."""
    if is_whole(value) or isinstance(value, Decimal):
        number = Decimal(value)
        if number.is_finite() and number >= 0:
            return number
    raise ValidationError(f"{name} is a count of 0 or more (an int or a Decimal), not {_shown(value)}", field=name)


def amount(name: str, value: Any) -> Decimal:
    """An amount of dollars above 0; a float is taken by its repr. Raises: ValidationError."""
    number: Decimal | None = None
    if is_whole(value) or isinstance(value, Decimal):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(float(value)))
    if number is None or not number.is_finite() or number <= 0:
        raise ValidationError(
            f"{name} is an amount of US dollars above 0 (an int, a Decimal or a float), not {_shown(value)}", field=name
        )
    return number


def _shown(value: Any) -> str:
    try:
        return str(value)[:40] if isinstance(value, (int, float, Decimal)) else type(value).__name__
    except (ValueError, InvalidOperation):  # an int of thousands of digits is not written
        return type(value).__name__


def _others(of: Prices, replicas: Any, path: Any) -> list[Decimal]:
    """What a write costs in each of the other Regions."""
    if is_whole(replicas):
        if replicas < 1:
            raise ValidationError(
                f"replicas is the number of Regions, 1 or more, not {_shown(replicas)}", field="replicas"
            )
        return [_replicated(of)] * (replicas - 1)
    if isinstance(replicas, (str, bool, float)) or not isinstance(replicas, Iterable):
        raise ValidationError(
            "replicas is the number of Regions (3), or the names of the other ones (('eu-west-1', 'us-west-2')), not"
            f" {_shown(replicas)}",
            field="replicas",
        )
    return [_replicated(prices_of(region, path)) for region in replicas]


def _replicated(of: Prices) -> Decimal:
    found = of.of("replicated_write")
    if found is None:
        raise ConfigError(f"no price of replicated writes is known for {of.region}: refresh the prices")
    return found
