"""What requests cost in dollars: the golden cases, Regions that are not known, files of prices, and AWS's offer files."""

import json
from datetime import date
from decimal import Decimal

import pytest

from dynamorm.errors import ConfigError, ValidationError
from dynamorm.plugins.cost import CostPlugin, price, prices_of
from dynamorm.plugins.cost.__main__ import main
from dynamorm.plugins.cost.offer import WANTED, read_offer
from dynamorm.plugins.cost.prices import EMBEDDED, read_prices

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("requests", "dollars"),
    [
        ({"writes": MILLION}, "0.625"),
        ({"transactional_writes": MILLION}, "1.25"),
        ({"strong_reads": MILLION}, "0.125"),
        ({"eventual_reads": MILLION}, "0.0625"),
        ({"transactional_reads": MILLION}, "0.25"),
        ({"writes": MILLION, "replicas": 3}, "1.875"),
        ({"writes": MILLION, "replicas": ("us-east-2", "us-west-2")}, "1.875"),
        ({"writes": MILLION, "replicas": ("eu-west-1",)}, "1.33"),
        ({"writes": Decimal("0.5")}, "0.0000003125"),
        ({"writes": 10 * MILLION, "eventual_reads": 10 * MILLION}, "6.875"),
        ({}, "0"),
    ],
)
def test_the_golden_cases(requests, dollars):
    assert price("us-east-1", **requests) == Decimal(dollars)


@pytest.mark.parametrize(
    ("region", "write", "read"),
    [
        ("us-east-1", "0.625", "0.125"),
        ("us-east-2", "0.625", "0.125"),
        ("us-west-2", "0.625", "0.125"),
        ("eu-west-1", "0.705", "0.1415"),
        ("eu-central-1", "0.7625", "0.1525"),
    ],
)
def test_each_region_has_its_own_prices_with_a_date_and_a_source(region, write, read):
    assert price(region, writes=MILLION) == Decimal(write)
    assert price(region, strong_reads=MILLION) == Decimal(read)
    of = prices_of(region)
    assert of.priced_on > date(2024, 11, 1), "older prices are twice as high"
    assert "AWS Price List" in of.source
    assert of.currency == "USD"


@pytest.mark.parametrize("region", ["mars-1", "", "US-EAST-1", None, 5])
def test_a_region_that_is_not_known_is_refused_with_the_remedy(region):
    with pytest.raises(ConfigError, match=r"no price is known for the Region .* us-east-1.*cost refresh --region"):
        price(region, writes=1)
    if region is not None:
        with pytest.raises(ConfigError, match="no price is known"):
            CostPlugin(region=region)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"writes": -1}, "writes"),
        ({"writes": 1.5}, "writes"),
        ({"writes": True}, "writes"),
        ({"writes": Decimal("NaN")}, "writes"),
        ({"strong_reads": "5"}, "strong_reads"),
        ({"eventual_reads": None}, "eventual_reads"),
        ({"transactional_writes": -(10**5000)}, "transactional_writes"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": -2}, "replicas"),
        ({"replicas": "us-east-2"}, "replicas"),
        ({"replicas": 1.5}, "replicas"),
    ],
)
def test_counts_that_are_none(given, field):
    with pytest.raises(ValidationError) as refused:
        price("us-east-1", **given)
    assert refused.value.field == field


def test_a_replica_in_an_unknown_region_is_refused():
    with pytest.raises(ConfigError, match="mars-1"):
        price("us-east-1", writes=1, replicas=("mars-1",))


@pytest.mark.parametrize(
    "arguments",
    [
        {"estimate": "some"},
        {"max_scopes": 0},
        {"max_scopes": "many"},
        {"interval": 0},
        {"interval": -1},
        {"interval": "soon"},
        {"clock": 5},
        {"prices": "/nowhere/prices.json"},
    ],
)
def test_a_plugin_that_cannot_be(arguments):
    with pytest.raises(ConfigError):
        CostPlugin(**arguments)


# Files of prices


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no json", "cannot be read"),
        ('{"regions": 5}', "cannot be read"),
        (
            '{"regions": {"x-1": {"priced_on": "2026-01-01", "source": "s", "prices": {"read": "1"}}}}',
            "lacks write of x-1",
        ),
        ('{"regions": {"x-1": {"priced_on": "soon", "source": "s", "prices": {}}}}', "cannot be read"),
        (
            '{"regions": {"x-1": {"priced_on": "2026-01-01", "source": "s", "prices": {"read": "-1", "write": "1", "storage": "1"}}}}',
            "read of x-1 .* is no amount",
        ),
    ],
)
def test_a_file_of_prices_that_is_none(tmp_path, content, said):
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        CostPlugin(prices=path)


# Offer files


PRICES = {
    "read": "0.0000001415",
    "write": "0.0000007050",
    "replicated_write": "0.0000007050",
    "provisioned_read": "0.000147",
    "provisioned_write": "0.000735",
    "storage": "0.283",
    "pitr": "0.22",
    "streams": "0.000000226",
    "ia_read": "0.000000175",
    "ia_write": "0.00000088",
    "ia_replicated_write": "0.00000088",
    "ia_provisioned_read": "0.000183",
    "ia_provisioned_write": "0.00092",
    "ia_storage": "0.1132",
}
TIERED = {"storage": "25", "streams": "2500000", "provisioned_read": "18600", "provisioned_write": "18600"}


def offer(region="eu-west-1", **changed):
    """An offer file of the AWS Price List, with what is there besides: other classes, free tiers, products without a group."""
    products, terms = {}, {}

    def sell(sku, attributes, amounts):
        products[sku] = {
            "sku": sku,
            "attributes": {"servicecode": "AmazonDynamoDB", "regionCode": region, **attributes},
        }
        terms[sku] = {
            f"{sku}.JRTC": {
                "priceDimensions": {
                    f"{sku}.JRTC.{number}": {"unit": "x", "pricePerUnit": {"USD": amount}}
                    for number, amount in enumerate(amounts)
                }
            }
        }

    for name, wanted in WANTED.items():
        sell(name, wanted, ["0.0000000000", PRICES[name]] if name in TIERED else [PRICES[name]])
    sell("vector", {"usagetype": "EU-VectorSearch", "operation": "PayPerRequestThroughput"}, ["0.002"])
    sell("backup", {"volumeType": "Amazon DynamoDB - On-Demand Backup Storage"}, ["0.11"])
    made = {
        "offerCode": "AmazonDynamoDB",
        "version": "20260911124422",
        "publicationDate": "2026-09-11T12:44:22Z",
        "products": products,
        "terms": {"OnDemand": terms, "Reserved": {"write": {}}},
    }
    return json.dumps({**made, **changed}).encode()


def changed(change):
    """The offer file with a change."""
    made = json.loads(offer())
    change(made)
    return json.dumps(made).encode()


def test_an_offer_file_is_read():
    found = read_offer(offer())
    assert found.region == "eu-west-1"
    assert found.priced_on == date(2026, 9, 11)
    assert "20260911124422 eu-west-1" in found.source
    assert found.prices == {name: Decimal(amount) for name, amount in PRICES.items()}


def twice(name):
    def change(made):
        made["products"]["again"] = made["products"][name]
        made["terms"]["OnDemand"]["again"] = made["terms"]["OnDemand"][name]

    return change


def gone(name):
    return lambda made: made["products"].pop(name)


@pytest.mark.parametrize("name", list(WANTED))
@pytest.mark.parametrize(("change", "times"), [(twice, 2), (gone, 0)])
def test_a_price_that_is_not_there_exactly_once_is_refused(name, change, times):
    with pytest.raises(ConfigError, match=rf"the price {name} \(.*\) is in the offer file {times} times, not once"):
        read_offer(changed(change(name)))


def third_tier(made):
    dimensions = made["terms"]["OnDemand"]["storage"]["storage.JRTC"]["priceDimensions"]
    dimensions["more"] = {"unit": "GB-Mo", "pricePerUnit": {"USD": "0.2"}}


def free(made):
    made["terms"]["OnDemand"]["read"]["read.JRTC"]["priceDimensions"]["read.JRTC.0"]["pricePerUnit"]["USD"] = "0.0"


def in_yuan(made):
    made["terms"]["OnDemand"]["read"]["read.JRTC"]["priceDimensions"]["read.JRTC.0"]["pricePerUnit"] = {"CNY": "1"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (third_tier, "storage in the offer file has 2 tiers"),
        (free, "read in the offer file has 0 tiers"),
        (in_yuan, "the price read in the offer file has another form"),
        (lambda made: made.update(offerCode="AmazonS3"), "it is of AmazonS3"),
        (lambda made: made.pop("publicationDate"), "another form"),
        (lambda made: made.update(publicationDate="soon"), "another form"),
        (lambda made: made.update(products=[]), "no products"),
        (lambda made: made["terms"].pop("OnDemand"), "0 times"),
        (lambda made: made["products"]["read"]["attributes"].update(regionCode="eu-west-2"), "has 2 Regions"),
    ],
)
def test_an_offer_file_that_is_none(change, said):
    with pytest.raises(ConfigError, match=said):
        read_offer(changed(change))


def test_bytes_that_are_no_offer_file():
    for data in (b"", b"[]", b"<html>", b'{"offerCode": 5}'):
        with pytest.raises(ConfigError, match="no offer file"):
            read_offer(data)
    with pytest.raises(ConfigError, match="no prices for the Region 'mars-1': there are eu-west-1"):
        read_offer(offer(), "mars-1")


# The command


def test_the_command_takes_the_prices_of_a_region(tmp_path, capsys):
    source, output = tmp_path / "index.json", tmp_path / "prices.json"
    source.write_bytes(offer("ap-northeast-1"))
    assert main(["refresh", str(source), "--output", str(output)]) == 0
    assert "ap-northeast-1: 14 prices of 2026-09-11" in capsys.readouterr().out
    assert price("ap-northeast-1", writes=MILLION, prices=output) == Decimal("0.705")
    assert price("us-east-1", writes=MILLION, prices=output) == Decimal("0.625"), "the others stay as they are"
    assert CostPlugin(region="ap-northeast-1", prices=output)
    source.write_bytes(offer("us-east-1"))
    assert main(["refresh", str(source), "--output", str(output)]) == 0
    again = read_prices(output)
    assert again.regions["us-east-1"].prices["write"] == Decimal("0.000000705")
    assert again.regions["us-east-1"].prices["kms_key"] == 1, "what an offer file does not tell stays"
    assert main(["show", "--prices", str(output)]) == 0
    assert "us-east-1  of 2026-09-11" in capsys.readouterr().out


def test_a_refused_offer_file_changes_nothing(tmp_path, capsys):
    source, output = tmp_path / "index.json", tmp_path / "prices.json"
    output.write_bytes(EMBEDDED.read_bytes())
    source.write_bytes(changed(twice("ia_storage")))
    assert main(["refresh", str(source), "--output", str(output)]) == 1
    assert "refused: the price ia_storage" in capsys.readouterr().err
    assert output.read_bytes() == EMBEDDED.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "prices.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["refresh"], "name a Region"),
        (["refresh", "http://127.0.0.1:9/index.json"], "https alone"),
        (["refresh", "/nowhere/index.json"], "No such file"),
        (["show", "--prices", "/nowhere/prices.json"], "cannot be read"),
    ],
)
def test_a_command_that_cannot_be_carried_out(arguments, said, capsys):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_the_embedded_prices_are_shown(capsys):
    assert main(["show"]) == 0
    assert "eu-central-1  of 2026-09-11" in capsys.readouterr().out
