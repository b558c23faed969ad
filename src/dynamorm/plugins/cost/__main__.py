"""``python -m dynamorm.plugins.cost refresh``: brings the prices up to date; ``show`` prints those that are known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.request import urlopen  # a command, which runs in nobody's service

import msgspec

from dynamorm.errors import ConfigError

from .offer import read_offer
from .prices import EMBEDDED, Prices, prices_of, read_prices

OFFER: Final = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/current/{region}/index.json"
"""Source: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api-fetching-price-list-files-manually.html"""
_LARGEST: Final = 200 * 1024 * 1024
_PATIENCE: Final = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dynamorm.plugins.cost", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    refresh = commands.add_parser(
        "refresh", help="take the prices of a Region from an offer file of the AWS Price List"
    )
    refresh.add_argument("source", nargs="?", help="a path or an https URL; left out: AWS's own file for --region")
    refresh.add_argument("--region", help="needed where the source has several Regions, and without a source")
    refresh.add_argument(
        "--output", type=Path, default=EMBEDDED, help="the file to change (default: the library's own)"
    )
    show = commands.add_parser("show", help="print the prices that are known")
    show.add_argument("--prices", type=Path, help="a file of prices (default: the library's own)")
    given = parser.parse_args(arguments)
    try:
        if given.command == "show":
            return _show(given.prices)
        return _refresh(given.source, given.region, given.output)
    except (ConfigError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1


def _show(path: Path | None) -> int:
    for region in sorted(read_prices(path).regions):
        of = prices_of(region, path)
        print(f"{region}  of {of.priced_on}  ({of.source})")
        for name, amount in of.prices.items():
            print(f"  {name:<22} {amount:f} {of.currency}")
    return 0


def _refresh(source: str | None, region: str | None, output: Path) -> int:
    if source is None:
        if region is None:
            raise ConfigError("name a Region (--region eu-west-1), or an offer file")
        source = OFFER.format(region=region)
    found = read_offer(_loaded(source), region, source=source)
    _store(found, output)
    print(f"{found.region}: {len(found.prices)} prices of {found.priced_on} are in {output}")
    return 0


def _loaded(source: str) -> bytes:
    """The bytes of an offer file. Raises: OSError, ConfigError."""
    if "://" not in source:
        return Path(source).read_bytes()
    if not source.startswith("https://"):
        raise ConfigError("prices are taken over https alone")
    with urlopen(source, timeout=_PATIENCE) as answer:  # noqa: S310 - https, see above
        data: bytes = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ConfigError(f"the offer file is larger than {_LARGEST} bytes")
    return data


def _store(found: Prices, output: Path) -> None:
    """Put the prices of one Region into a file; the others, and what an offer file does not tell, stay as they are."""
    file = read_prices(output if output.exists() else None)
    known = file.regions.get(found.region) or read_prices().regions.get(found.region)
    kept = {} if known is None else {name: value for name, value in known.prices.items() if name.startswith("kms_")}
    regions = msgspec.to_builtins(file.regions, str_keys=True)
    regions[found.region] = {
        "priced_on": found.priced_on.isoformat(),
        "source": found.source + ("; KMS as before" if kept else ""),
        "prices": {name: f"{value:f}" for name, value in {**found.prices, **kept}.items()},
    }
    told = {"currency": file.currency, "regions": regions}
    beside = output.with_name(output.name + ".new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    read_prices(beside)
    beside.replace(output)


if __name__ == "__main__":
    raise SystemExit(main())
