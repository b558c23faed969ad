"""The tables of models as CloudFormation and Terraform: complete, in the tools' own words, the same each time.

The words are those of the resource schema of AWS::DynamoDB::Table and of the provider hashicorp/aws; the same text was
accepted by cfn-lint 1.58 and by ``terraform fmt`` and ``terraform validate`` with the provider 5.100.
"""

from __future__ import annotations

import json

import pytest

from dynamorm import (
    AppendOnly,
    Attr,
    Model,
    TableSettings,
    Throughput,
    Unique,
    attr,
    gsi,
    lsi,
    partition_key,
    sort_key,
    ttl,
)
from dynamorm.errors import ModelError
from dynamorm.export import cloudformation, cloudformation_json, cloudformation_yaml, terraform
from dynamorm.models.schema.table_settings import IndexSettings

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class Payment(
    Model,
    table="payment-events",
    settings=TableSettings(
        deletion_protection=True,
        stream="NEW_AND_OLD_IMAGES",
        point_in_time_recovery=7,
        encryption=KEY,
        tags={"team": "pay", "odd tag": 'a "${quoted}" : value'},
        max_throughput=Throughput(100, -1),
        warm_throughput=Throughput(13_000, 5_000),
        table_class="STANDARD",
        indexes={"by-status": IndexSettings(max_throughput=Throughput(10))},
    ),
):
    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    status: Attr[str | None] = attr(default=None, name="st")
    amount: Attr[int | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None)
    until: Attr[int | None] = ttl(default=None)
    by_status = gsi("by-status", partition="status", sort="amount", projection=("note", "id"))
    by_amount = lsi("by-amount", sort="amount", projection="KEYS_ONLY")


class Order(
    Model,
    table="orders",
    settings=TableSettings(throughput=Throughput(5, 4), indexes={"by-c": IndexSettings(throughput=Throughput(2, 1))}),
):
    id: Attr[str] = partition_key()
    customer: Attr[str | None] = attr(default=None, name="c")
    by_customer = gsi("by-c", partition="customer")


class Multi(Model, table="multi"):
    id: Attr[bytes] = partition_key()
    a: Attr[str | None] = attr(default=None)
    b: Attr[int | None] = attr(default=None)
    c: Attr[int | None] = attr(default=None)
    by_all = gsi("by-all", partition=("a", "b"), sort=("c",))


class Other(Model, table="multi"):
    id: Attr[bytes] = partition_key()
    tenant: Attr[str | None] = attr(default=None)
    by_tenant = gsi("by-tenant", partition="tenant", projection="KEYS_ONLY")


ALL = [Payment, Order, Multi, Other]

_KEY_SCHEMA = [{"AttributeName": str, "KeyType": str}]
_PROJECTION = {"ProjectionType": str, "NonKeyAttributes": [str]}
_UNITS = {"ReadCapacityUnits": int, "WriteCapacityUnits": int}
_MOST = {"MaxReadRequestUnits": int, "MaxWriteRequestUnits": int}
_WARM = {"ReadUnitsPerSecond": int, "WriteUnitsPerSecond": int}
_INDEX = {"IndexName": str, "KeySchema": _KEY_SCHEMA, "Projection": _PROJECTION}
PROPERTIES = {
    "TableName": str,
    "BillingMode": str,
    "AttributeDefinitions": [{"AttributeName": str, "AttributeType": str}],
    "KeySchema": _KEY_SCHEMA,
    "GlobalSecondaryIndexes": [
        {**_INDEX, "ProvisionedThroughput": _UNITS, "OnDemandThroughput": _MOST, "WarmThroughput": _WARM}
    ],
    "LocalSecondaryIndexes": [_INDEX],
    "ProvisionedThroughput": _UNITS,
    "OnDemandThroughput": _MOST,
    "WarmThroughput": _WARM,
    "StreamSpecification": {"StreamViewType": str},
    "SSESpecification": {"SSEEnabled": bool, "SSEType": str, "KMSMasterKeyId": str},
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": bool, "RecoveryPeriodInDays": int},
    "TimeToLiveSpecification": {"AttributeName": str, "Enabled": bool},
    "DeletionProtectionEnabled": bool,
    "TableClass": str,
    "Tags": [{"Key": str, "Value": str}],
}
"""The resource schema of AWS::DynamoDB::Table, as far as the library speaks of it."""


def conforms(value, shape, where=""):
    """Every place of a value that the shape does not know."""
    if isinstance(shape, dict):
        unknown = [f"{where}.{name}" for name in value if name not in shape]
        return unknown + [
            wrong
            for name, inner in value.items()
            if name in shape
            for wrong in conforms(inner, shape[name], f"{where}.{name}")
        ]
    if isinstance(shape, list):
        return [wrong for one in value for wrong in conforms(one, shape[0], where)]
    return [] if type(value) is shape else [f"{where} is {value!r}"]


def test_every_property_is_one_that_cloudformation_knows():
    for resource in cloudformation(ALL)["Resources"].values():
        assert resource["Type"] == "AWS::DynamoDB::Table"
        assert conforms(resource["Properties"], PROPERTIES) == []


def test_the_whole_of_a_table_is_in_the_template():
    template = cloudformation(Payment, table_prefix="prod-")
    assert template["AWSTemplateFormatVersion"] == "2010-09-09"
    assert template["Resources"]["ProdPaymentEvents"] == {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": "prod-payment-events",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
                {"AttributeName": "st", "AttributeType": "S"},
                {"AttributeName": "amount", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "at", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "by-status",
                    "KeySchema": [
                        {"AttributeName": "st", "KeyType": "HASH"},
                        {"AttributeName": "amount", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["note"]},
                    "OnDemandThroughput": {"MaxReadRequestUnits": 10},
                }
            ],
            "LocalSecondaryIndexes": [
                {
                    "IndexName": "by-amount",
                    "KeySchema": [
                        {"AttributeName": "id", "KeyType": "HASH"},
                        {"AttributeName": "amount", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            "OnDemandThroughput": {"MaxReadRequestUnits": 100},
            "WarmThroughput": {"ReadUnitsPerSecond": 13_000, "WriteUnitsPerSecond": 5_000},
            "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
            "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7},
            "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
            "DeletionProtectionEnabled": True,
            "TableClass": "STANDARD",
            "Tags": [{"Key": "odd tag", "Value": 'a "${quoted}" : value'}, {"Key": "team", "Value": "pay"}],
        },
    }


def test_a_provisioned_table_has_the_units_of_table_and_index():
    found = cloudformation(Order)["Resources"]["Orders"]["Properties"]
    assert found["BillingMode"] == "PROVISIONED"
    assert found["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 4}
    (index,) = found["GlobalSecondaryIndexes"]
    assert index["ProvisionedThroughput"] == {"ReadCapacityUnits": 2, "WriteCapacityUnits": 1}


def test_models_of_one_table_make_one_resource():
    resources = cloudformation([Multi, Other])["Resources"]
    assert list(resources) == ["Multi"]
    indexes = resources["Multi"]["Properties"]["GlobalSecondaryIndexes"]
    assert [one["IndexName"] for one in indexes] == ["by-all", "by-tenant"]
    assert [(one["AttributeName"], one["KeyType"]) for one in indexes[0]["KeySchema"]] == [
        ("a", "HASH"),
        ("b", "HASH"),
        ("c", "RANGE"),
    ]


def test_tables_with_indexes_are_made_one_after_the_other():
    resources = cloudformation(ALL)["Resources"]
    assert [one.get("DependsOn") for one in resources.values()] == [None, "PaymentEvents", "Orders"]


def test_a_stack_may_delete_its_tables_on_request():
    assert "DeletionPolicy" not in cloudformation(Order, retain=False)["Resources"]["Orders"]
    assert "lifecycle" not in terraform(Order, retain=False)


def test_settings_of_the_call_replace_those_of_the_class():
    found = cloudformation(Payment, settings=TableSettings())["Resources"]["PaymentEvents"]["Properties"]
    assert set(found) == {
        "TableName",
        "BillingMode",
        "AttributeDefinitions",
        "KeySchema",
        "GlobalSecondaryIndexes",
        "LocalSecondaryIndexes",
        "TimeToLiveSpecification",
    }


def test_the_three_forms_of_a_template_say_the_same():
    yaml = pytest.importorskip("yaml")
    template = cloudformation(ALL)
    assert json.loads(cloudformation_json(ALL)) == template
    assert yaml.safe_load(cloudformation_yaml(ALL)) == template


@pytest.mark.parametrize(
    "text", ["yes", "NO", "null", "1", "1e3", "a: b", "- a", "", " a", "a #b", "é\U0001f600", "a\nb"]
)
def test_text_stays_text_in_yaml(text):
    yaml = pytest.importorskip("yaml")
    settings = TableSettings(tags={"t": text})
    template = cloudformation(Order, settings=settings)
    assert yaml.safe_load(cloudformation_yaml(Order, settings=settings)) == template


def test_the_text_is_the_same_each_time():
    assert cloudformation_yaml(ALL) == cloudformation_yaml(ALL)
    assert terraform(ALL) == terraform(ALL)


def test_names_inside_a_template_are_told_apart():
    class One(Model, table="a-table"):
        id: Attr[str] = partition_key()

    class Two(Model, table="a_table"):
        id: Attr[str] = partition_key()

    class Three(Model, table="3.tables"):
        id: Attr[str] = partition_key()

    assert list(cloudformation([One, Two, Three])["Resources"]) == ["ATable", "ATable2", "Table3Tables"]
    assert [line for line in terraform([One, Two, Three]).splitlines() if line.startswith("resource")] == [
        'resource "aws_dynamodb_table" "a_table" {',
        'resource "aws_dynamodb_table" "a_table2" {',
        'resource "aws_dynamodb_table" "table_3_tables" {',
    ]


TERRAFORM = """\
resource "aws_dynamodb_table" "prod_payment_events" {
  name                        = "prod-payment-events"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "id"
  range_key                   = "at"
  table_class                 = "STANDARD"
  deletion_protection_enabled = true
  stream_enabled              = true
  stream_view_type            = "NEW_AND_OLD_IMAGES"

  attribute {
    name = "id"
    type = "S"
  }

  attribute {
    name = "at"
    type = "N"
  }

  attribute {
    name = "st"
    type = "S"
  }

  attribute {
    name = "amount"
    type = "N"
  }

  global_secondary_index {
    name               = "by-status"
    hash_key           = "st"
    range_key          = "amount"
    projection_type    = "INCLUDE"
    non_key_attributes = ["note"]

    on_demand_throughput {
      max_read_request_units = 10
    }
  }

  local_secondary_index {
    name            = "by-amount"
    range_key       = "amount"
    projection_type = "KEYS_ONLY"
  }

  on_demand_throughput {
    max_read_request_units  = 100
    max_write_request_units = -1
  }

  warm_throughput {
    read_units_per_second  = 13000
    write_units_per_second = 5000
  }

  ttl {
    attribute_name = "until"
    enabled        = true
  }

  point_in_time_recovery {
    enabled                 = true
    recovery_period_in_days = 7
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  tags = {
    "odd tag" = "a \\"$${quoted}\\" : value"
    "team"    = "pay"
  }

  lifecycle {
    prevent_destroy = true
  }
}
"""


def test_the_whole_of_a_table_is_in_terraforms_text():
    assert terraform(Payment, table_prefix="prod-") == TERRAFORM


def test_terraform_has_the_units_of_a_provisioned_table():
    text = terraform(Order)
    assert 'billing_mode   = "PROVISIONED"\n  read_capacity  = 5\n  write_capacity = 4\n' in text
    assert "    read_capacity   = 2\n    write_capacity  = 1\n" in text


def test_an_index_key_of_several_attributes_is_a_list_of_blocks_in_terraform():
    text = terraform(Multi)
    index = text[text.index("global_secondary_index") : text.index("lifecycle")]
    assert index.count("key_schema {") == 3
    assert 'attribute_name = "b"\n      key_type       = "HASH"' in index
    assert "hash_key" not in index


@pytest.mark.parametrize("key", ["alias/pay", "1234abcd-12ab-34cd-56ef-1234567890ab"])
def test_terraform_wants_the_arn_of_a_key(key):
    with pytest.raises(ModelError, match="ARN of a KMS key") as caught:
        terraform(Order, settings=TableSettings(encryption=key))
    assert "orders" in str(caught.value)


@pytest.mark.parametrize("write", [cloudformation, cloudformation_json, cloudformation_yaml, terraform])
def test_what_is_no_model_is_refused(write):
    with pytest.raises(TypeError, match="Model"):
        write(dict)
    with pytest.raises(TypeError, match="name the model"):
        write([])
    with pytest.raises(ModelError, match="TableSettings"):
        write(Order, settings={"stream": False})


class Log(Model, table="logs"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(AppendOnly(), default="")


class User(Model, table="users"):
    id: Attr[str] = partition_key(Unique())


@pytest.mark.parametrize("write", [cloudformation, cloudformation_json, cloudformation_yaml, terraform])
def test_what_no_session_would_take_is_not_written_down(write):
    with pytest.raises(ModelError, match=r"Log\.text is AppendOnly, which needs a list"):
        write(Log)
    with pytest.raises(ModelError, match=r"User\.id is the whole key, which is unique as it is"):
        write(User)
