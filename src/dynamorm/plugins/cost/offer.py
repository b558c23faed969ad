"""Reads the prices of DynamoDB out of an offer file of the AWS Price List. It downloads nothing.

The form: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from dynamorm.errors import ConfigError

from .prices import Prices

_ON_DEMAND: Final = {"operation": "PayPerRequestThroughput"}
_PROVISIONED: Final = {"operation": "CommittedThroughput"}
_STORED: Final = "Amazon DynamoDB - Indexed DataStore"

WANTED: Final[dict[str, dict[str, str]]] = {
    "read": {"group": "DDB-ReadUnits", **_ON_DEMAND},
    "write": {"group": "DDB-WriteUnits", **_ON_DEMAND},
    "replicated_write": {"group": "DDB-ReplicatedWriteUnits", **_ON_DEMAND},
    "provisioned_read": {"group": "DDB-ReadUnits", **_PROVISIONED},
    "provisioned_write": {"group": "DDB-WriteUnits", **_PROVISIONED},
    "storage": {"volumeType": _STORED},
    "pitr": {"volumeType": "Amazon DynamoDB - Point-In-Time-Restore (PITR) Backup Storage"},
    "streams": {"group": "DDB-StreamsReadRequests"},
    "ia_read": {"group": "DDB-ReadUnitsIA", **_ON_DEMAND},
    "ia_write": {"group": "DDB-WriteUnitsIA", **_ON_DEMAND},
    "ia_replicated_write": {"group": "DDB-ReplicatedWriteUnitsIA", **_ON_DEMAND},
    "ia_provisioned_read": {"group": "DDB-ReadUnitsIA", **_PROVISIONED},
    "ia_provisioned_write": {"group": "DDB-WriteUnitsIA", **_PROVISIONED},
    "ia_storage": {"volumeType": f"{_STORED} - IA"},
}
"""The prices that are read, and the attributes by which each product is told: those of the classes differ by the group alone."""


def read_offer(data: bytes, region: str | None = None, *, source: str = "an offer file") -> Prices:
    """The prices of one Region in an offer file of AmazonDynamoDB. ``region`` may be left out where there is only one.

    Of a price in tiers (storage: 25 GB at 0, then the price; provisioned units and streams likewise) the one that is paid is
    taken: free tiers belong to an account.

    Raises: ConfigError where a wanted price is not found exactly once, and for what is no offer file.
    """
    offer = _decoded(data)
    products = list(_products(offer))
    regions = {attributes["regionCode"] for _, attributes in products if "regionCode" in attributes}
    if region is None:
        if len(regions) != 1:
            raise ConfigError(f"the offer file has {len(regions)} Regions: name one, --region")
        (region,) = regions
    if region not in regions:
        raise ConfigError(
            f"the offer file has no prices for the Region {region!r}: there are {', '.join(sorted(regions))}"
        )
    here = [(sku, attributes) for sku, attributes in products if attributes.get("regionCode") == region]
    terms = offer["terms"].get("OnDemand") or {}
    return Prices(
        region=region,
        priced_on=date.fromisoformat(str(offer.get("publicationDate"))[:10]),
        source=f"AWS Price List, AmazonDynamoDB {offer.get('version', '')} {region}, from {source}".replace("  ", " "),
        prices={name: _price(name, wanted, here, terms) for name, wanted in WANTED.items()},
    )


def _decoded(data: bytes) -> dict[str, Any]:
    problem = "it is no JSON"
    try:
        offer: dict[str, Any] = msgspec.json.decode(data)
        if offer["offerCode"] != "AmazonDynamoDB":
            problem = f"it is of {str(offer['offerCode'])[:40]}"
        else:
            date.fromisoformat(str(offer["publicationDate"])[:10])
            if isinstance(offer["products"], dict) and isinstance(offer["terms"], dict):
                return offer
            problem = "it has no products"
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        problem = f"it has another form ({type(error).__name__}: {error})"
    raise ConfigError(f"this is no offer file of AmazonDynamoDB: {problem}")


def _products(offer: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for sku, product in offer["products"].items():
        attributes = product.get("attributes") if isinstance(product, dict) else None
        if isinstance(attributes, dict):
            yield sku, attributes


def _price(name: str, wanted: dict[str, str], here: list[tuple[str, dict[str, str]]], terms: dict[str, Any]) -> Decimal:
    """The one amount that is asked for a product. Raises: ConfigError where there is none, or more than one."""
    found = [
        paid
        for sku, attributes in here
        if all(attributes.get(key) == value for key, value in wanted.items()) and sku in terms
        for paid in [_paid(name, terms[sku])]
    ]
    if len(found) != 1:
        told = " and ".join(f"{key} {value}" for key, value in wanted.items())
        raise ConfigError(
            f"the price {name} ({told}) is in the offer file {len(found)} times, not once: nothing was changed. AWS may sell"
            " it in another way now; tell us, and go on with the prices that you have"
        )
    return found[0]


def _paid(name: str, terms: dict[str, Any]) -> Decimal:
    """What is paid behind the free tier of a product."""
    try:
        amounts = [
            Decimal(dimension["pricePerUnit"]["USD"])
            for term in terms.values()
            for dimension in term["priceDimensions"].values()
        ]
    except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise ConfigError(f"the price {name} in the offer file has another form ({type(error).__name__})") from error
    paid = [amount for amount in amounts if amount != 0]
    if len(paid) != 1 or not paid[0].is_finite() or paid[0] < 0:
        raise ConfigError(f"the price {name} in the offer file has {len(paid)} tiers that cost something, not one")
    return paid[0]
