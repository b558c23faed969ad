"""AWS's partitions: which Region is in which of them, and the names of DynamoDB's hosts there.

The table is botocore's (`partitions.json` and the endpoint rule sets of `dynamodb` and `dynamodbstreams`), which a test
compares with it. A Region or host that the table does not know is looked for in the botocore that is installed, whose
data may be newer; nothing of botocore is imported for that. It must not open connections.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec import Struct

from dynamorm.errors import ConfigError


class Partition(Struct, frozen=True):
    """A part of AWS with accounts, Regions and host names of its own.

    ``regions`` is a regular expression, ``suffix`` and ``dual_stack`` are the last labels of its hosts.
    """

    name: str
    regions: str
    suffix: str
    dual_stack: str
    has_fips: bool = True
    has_dual_stack: bool = True

    def holds(self, region: str) -> bool:
        """Whether a Region is in this partition."""
        import re  # a host is computed once

        return re.fullmatch(self.regions, region) is not None


PARTITIONS = (
    Partition("aws", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com", "api.aws"),
    Partition("aws-cn", r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    Partition("aws-eusc", r"eusc-(de)-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    Partition("aws-iso", r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    Partition("aws-iso-b", r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    Partition("aws-iso-e", r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    Partition("aws-iso-f", r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    Partition("aws-us-gov", r"us-gov-\w+-\d+", "amazonaws.com", "api.aws"),
)

_OWN_STREAMS_NAME = frozenset({"aws", "aws-cn", "aws-us-gov"})
"""Where the dual-stack host of DynamoDB Streams begins with ``streams-dynamodb``, not with ``streams.dynamodb``."""
_SERVICES = frozenset(
    service + fips for service in ("dynamodb", "ddb", "streams-dynamodb", "kms", "sts") for fips in ("", "-fips")
)
"""The labels that stand before the Region in the hosts of the services that are asked."""
_NEW_REGION = r"[a-z]{2}-[a-z]+-\d+"
"""The form of a Region that is opened next in the partition ``aws``; all other partitions have longer names."""


def partition_of(region: str) -> Partition:
    """The partition of a Region.

    Raises: ConfigError for what is no Region of AWS's: ``local``, ``aws-global``, ``us-east-1-fips``.

    Example: ``partition_of("eusc-de-east-1").suffix == "amazonaws.eu"``
    """
    for partition in PARTITIONS:
        if partition.holds(region):
            return partition
    for partition in _newer():
        if partition.holds(region):
            return partition
    import re

    if re.fullmatch(_NEW_REGION, region):
        return PARTITIONS[0]
    raise ConfigError(f"region={region!r} is no Region whose host is known: {_remedy(region)}")


def is_aws_host(host: str) -> bool:
    """Whether ``host`` (lower case, no port) is one of AWS's own, in any partition.

    Example: ``is_aws_host("dynamodb.eu-west-1.amazonaws.com")`` is True; ``"amazonaws.com.evil.io"`` is not one.
    """
    if host.endswith(_SUFFIXES):
        return True
    last = host.rpartition(".")[2]
    return last != host and not last.isdigit() and host.endswith(_newer_suffixes())  # neither a label nor an address


def is_service_host(host: str) -> bool:
    """Whether ``host`` is one of AWS's that only AWS can have: of DynamoDB, its streams, KMS or STS, in a Region or a VPC.

    Anybody can have a name below AWS's: of a bucket, of a machine, of an API behind a gateway. Requests are not sent there.

    Example: ``is_service_host("evil.execute-api.eu-west-1.amazonaws.com")`` is False.
    """
    if not is_aws_host(host):
        return False
    return any(_is_service(host.removesuffix(end)) for end in (*_SUFFIXES, *_newer_suffixes()) if host.endswith(end))


def _is_service(name: str) -> bool:
    """Whether a host's name, without the partition's labels, ends in one of the services and a Region."""
    before, _, region = name.removesuffix(".vpce").rpartition(".")
    if not before:
        return region == "sts"  # the one that has a host for all Regions
    return before.rpartition(".")[2] in _SERVICES and region.count("-") >= 2


def dynamodb_host(region: str, *, fips: bool = False, dual_stack: bool = False, account_id: str | None = None) -> str:
    """The host of DynamoDB in a Region; ``account_id`` gives the account's own one, which only the partition ``aws`` has.

    Raises: ConfigError for a variant that the partition does not have.

    Example: ``dynamodb_host("cn-north-1", dual_stack=True) == "dynamodb.cn-north-1.api.amazonwebservices.com.cn"``
    """
    partition = _with(partition_of(region), fips=fips, dual_stack=dual_stack)
    suffix = partition.dual_stack if dual_stack else partition.suffix
    if account_id is not None and not fips and partition.name == "aws":
        return f"{account_id}.ddb.{region}.{suffix}"
    # GovCloud's usual host is a FIPS one.
    plain = not fips or (partition.name == "aws-us-gov" and not dual_stack)
    return f"{'dynamodb' if plain else 'dynamodb-fips'}.{region}.{suffix}"


def streams_host(region: str, *, fips: bool = False, dual_stack: bool = False) -> str:
    """The host of DynamoDB Streams in a Region.

    Raises: ConfigError for a variant that the partition does not have.

    Example: ``streams_host("eu-west-1") == "streams.dynamodb.eu-west-1.amazonaws.com"``
    """
    partition = _with(partition_of(region), fips=fips, dual_stack=dual_stack)
    plain = not fips or (partition.name == "aws-us-gov" and not dual_stack)
    service = "dynamodb" if plain else "dynamodb-fips"
    joint = "-" if dual_stack and partition.name in _OWN_STREAMS_NAME else "."
    return f"streams{joint}{service}.{region}.{partition.dual_stack if dual_stack else partition.suffix}"


def is_dual_stack(host: str) -> bool:
    """Whether one of AWS's hosts is a dual-stack one."""
    return host.endswith(tuple(f".{one.dual_stack}" for one in (*PARTITIONS, *_newer())))


def _with(partition: Partition, *, fips: bool, dual_stack: bool) -> Partition:
    for wanted, has, name in (
        (fips, partition.has_fips, "use_fips_endpoint"),
        (dual_stack, partition.has_dual_stack, "use_dualstack_endpoint"),
    ):
        if wanted and not has:
            raise ConfigError(f"{name}=True: the partition {partition.name} has no such hosts; leave it out")
    return partition


def _remedy(region: str) -> str:
    plain = region.removeprefix("fips-").removesuffix("-fips")
    if plain != region:
        return f"write region={plain!r} and use_fips_endpoint=True"
    if region == "local":
        return "for an emulator pass its address, endpoint='http://localhost:8000', and any Region such as 'us-east-1'"
    return "correct it, update botocore, or pass endpoint='https://...'"


_SUFFIXES = tuple(sorted({f".{end}" for one in PARTITIONS for end in (one.suffix, one.dual_stack)}))


@cache
def _newer_suffixes() -> tuple[str, ...]:
    return tuple(f".{end}" for one in _newer() for end in (one.suffix, one.dual_stack))


@cache
def _newer() -> tuple[Partition, ...]:
    """The partitions of the botocore that is installed which are not in the table; none when there is no botocore."""
    from importlib.util import find_spec
    from pathlib import Path

    try:
        spec = find_spec("botocore")
        text = Path(str(spec.origin)).with_name("data").joinpath("partitions.json").read_bytes() if spec else b"{}"
        return tuple(_partition(one) for one in _decoded(text)["partitions"] if one["id"] not in _NAMES)
    except (ImportError, OSError, ValueError, KeyError, TypeError):
        return ()  # whatever is there instead of the data, it adds nothing to the table


def _decoded(text: bytes) -> Any:
    from msgspec import json

    return json.decode(text)


def _partition(found: dict[str, Any]) -> Partition:
    outputs = found["outputs"]
    ends = str(outputs["dnsSuffix"]), str(outputs["dualStackDnsSuffix"])
    if not all(ends):
        raise ValueError("a partition without names")
    return Partition(found["id"], found["regionRegex"], *ends, outputs["supportsFIPS"], outputs["supportsDualStack"])


_NAMES = frozenset(one.name for one in PARTITIONS)
