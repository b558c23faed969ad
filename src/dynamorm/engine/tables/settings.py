"""Time to live, point-in-time recovery, and what an account may have.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

from __future__ import annotations

from typing import Any, Final

from dynamorm.engine.answers import encode
from dynamorm.engine.core import Core, checked_name
from dynamorm.engine.refusal import Refusal, invalid, wrong_parameter

RECOVERY_DAYS: Final = 35


def update_ttl(core: Core, request: dict[str, Any]) -> bytes:
    """UpdateTimeToLive."""
    table = core.table(checked_name(request["TableName"]))
    wanted = request["TimeToLiveSpecification"]
    name, on = wanted.get("AttributeName"), wanted.get("Enabled")
    current = table.expiring
    if not name:
        raise invalid("TimeToLiveSpecification.AttributeName must not be empty")
    if on and current is not None:
        raise invalid("TimeToLive is already enabled" if current == name else "TimeToLive is active on a different AttributeName: current AttributeName is " + current)  # fmt: skip
    if not on and current is None:
        raise invalid("TimeToLive is already disabled")
    if not on and current != name:
        raise invalid(f"TimeToLive is active on a different AttributeName: current AttributeName is {current}")
    core.keep(table.record | {"ttl": name if on else None})
    return encode({"TimeToLiveSpecification": {"AttributeName": name, "Enabled": bool(on)}})


def describe_ttl(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeTimeToLive."""
    name = core.table(checked_name(request["TableName"])).expiring
    found = {"TimeToLiveStatus": "DISABLED"} if name is None else {"TimeToLiveStatus": "ENABLED", "AttributeName": name}
    return encode({"TimeToLiveDescription": found})


def _backups(core: Core, recovery: dict[str, Any] | None) -> bytes:
    found: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    if recovery is not None:
        found = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "EarliestRestorableDateTime": recovery["since"],
            "LatestRestorableDateTime": core.now(),
            "RecoveryPeriodInDays": recovery["days"],
        }
    return encode(
        {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": found,
            }
        }
    )


def _table_or_not(core: Core, name: str) -> Any:
    table = core.known(checked_name(name))
    if table is None:
        raise Refusal("TableNotFoundException", f"Table not found: {name}")
    return table


def describe_backups(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeContinuousBackups."""
    return _backups(core, _table_or_not(core, request["TableName"]).record.get("recovery"))


def update_backups(core: Core, request: dict[str, Any]) -> bytes:
    """UpdateContinuousBackups."""
    table = _table_or_not(core, request["TableName"])
    wanted = request["PointInTimeRecoverySpecification"]
    days = wanted.get("RecoveryPeriodInDays") or RECOVERY_DAYS
    if not 1 <= days <= RECOVERY_DAYS:
        raise wrong_parameter(f"RecoveryPeriodInDays is between 1 and {RECOVERY_DAYS}")
    recovery = None
    if wanted.get("PointInTimeRecoveryEnabled"):
        old = table.record.get("recovery")
        recovery = {"since": core.now() if old is None else old["since"], "days": days}
    core.keep(table.record | {"recovery": recovery})
    return _backups(core, recovery)


def describe_limits(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeLimits: the quotas of a new account."""
    del core, request
    most = {"AccountMaxReadCapacityUnits": 80_000, "AccountMaxWriteCapacityUnits": 80_000}
    return encode({**most, "TableMaxReadCapacityUnits": 40_000, "TableMaxWriteCapacityUnits": 40_000})


def describe_endpoints(core: Core, request: dict[str, Any]) -> bytes:
    """DescribeEndpoints."""
    del request
    address = f"dynamodb.{core.settings.region}.amazonaws.com"
    return encode({"Endpoints": [{"Address": address, "CachePeriodInMinutes": 1440}]})
