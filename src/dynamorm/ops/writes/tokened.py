"""The one path of a request with a client request token: sent, asked for again, and its token spent when it is refused.

DynamoDB applies all attempts with one token once, and remembers that for ten minutes. It does not remember a token whose
request it refused: an earlier attempt that is still under way may then be applied later, when its conditions have come
true. So after such a refusal the token is spent: a transaction that changes nothing is sent with it. From then on
DynamoDB refuses the earlier attempt; or it refuses the spending, because the earlier attempt was applied.
It must not know models, nor what the request does.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import dumps, expect_empty
from dynamorm.effects import Flow
from dynamorm.errors import ClientError, DynamORMError, Outcome, OutcomeUnknown, Rejected, TokenUsed
from dynamorm.ops.calls.attempts import in_doubt, info_of, unknown_of
from dynamorm.ops.calls.op import Op, Safety

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

TOKEN_LIFE: Final = 600.0 - 60.0
"""Seconds for which a client request token is sent again: DynamoDB remembers it for ten minutes, of which one is kept as a margin.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""
_BECAME: Final = {
    True: "which was applied",
    False: "which was refused and applied nothing",
    None: "and whether that was applied could not be found out",
}
_MISMATCH: Final = "IdempotentParameterMismatchException"


class Tokened:
    """One such request. ``op`` is the call, ``token`` the text in it, and ``spending(token)`` makes the call that spends it.

    ``said`` is what errors call it, where that is another one: the caller's, of which the one in the request was made.

    ``applied(end)`` is a flow that `resolve` runs once it is known that the request was applied, until the monotonic
    time ``end``. ``given``: the token is the caller's. ``end`` is when the verb must be done.
    """

    __slots__ = (
        "_applied",
        "_born",
        "_context",
        "_given",
        "_outcome",
        "_said",
        "_spending",
        "_started",
        "_token",
        "end",
        "op",
    )

    def __init__(
        self,
        context: Context,
        op: Op,
        token: str,
        spending: Callable[[str], Flow[Op]],
        applied: Callable[[float], Flow[Any]],
        *,
        given: bool = False,
        said: str = "",
    ) -> None:
        self._context = context
        self._token = token
        self._said = said or token
        self._spending = spending
        self._applied = applied
        self._given = given
        self._outcome = Outcome.UNKNOWN
        self._started = self._born = 0.0
        self.end: float = 0.0
        self.op: Op = op
        op.finds_out = True
        op.resolver = context.resolver(lambda _, deadline: self.resolve(deadline))

    def send(self) -> Flow[Any]:
        """Send it until it is answered. Returns the result of ``op.decode``; None when only the spending told the outcome.

        Raises: what ``op.refused`` raises, or the service's other refusals, when no attempt was or can be applied;
        OutcomeUnknown.
        """
        context, op = self._context, self.op
        self._started = context.channel.clock.monotonic()
        self._born = context.channel.clock.time()
        # After that DynamoDB may have forgotten the token, and would apply the same request once more.
        op.timeout = min(context.config.operation_timeout, TOKEN_LIFE)
        op.expires = self._born + TOKEN_LIFE
        self.end = context.end()
        try:
            result = yield from context.call(op)
        except OutcomeUnknown as error:
            error.token = self._said
            raise
        except DynamORMError as error:
            if self._given and _is_mismatch(error):
                raise (yield from self._used(error)) from error
            if error.outcome is not Outcome.UNKNOWN:
                raise
            refusal = error
        else:
            self._outcome = Outcome.APPLIED
            return result
        return (yield from self._refused(refusal))

    def _used(self, error: DynamORMError) -> Flow[TokenUsed]:
        """The caller's token is another request's: of one that was applied, unless it is the one that spent the token."""
        applied: bool | None = None
        try:
            op = yield from self._spending(self._token)
            op.end, op.timeout = self.end, TOKEN_LIFE  # its end alone bounds it
            yield from self._context.call(op)
        except DynamORMError as refusal:
            if _is_mismatch(refusal):
                applied = True
        else:
            applied = False
        return TokenUsed(
            f"this token belongs to another request of the last ten minutes, {_BECAME[applied]}; nothing of this one was applied,"
            " which is not the same to the byte: use one token for one piece of work",
            applied=applied,
            code=error.code,
            **info_of(error),
        )

    def _refused(self, error: DynamORMError) -> Flow[None]:
        """It was refused, and an earlier attempt is still under way or was applied."""
        with in_doubt():
            outcome = yield from self._spend(self.end)
        if outcome is Outcome.APPLIED:
            return
        if outcome is Outcome.NOT_APPLIED:
            error.outcome = outcome
            raise error
        why = "then the service refused it, and its token could not be spent"
        unknown = unknown_of(self.op, why, info_of(error))
        unknown.token = self._said
        raise unknown from error

    def resolve(self, deadline: float | None) -> Flow[Outcome]:
        """Settle it: the same request again has the same answer, and a refusal spends the token. See `OutcomeUnknown`."""
        context = self._context
        now = context.channel.clock.monotonic()
        end = min(now + (context.config.operation_timeout if deadline is None else deadline), self._dead)
        if self._outcome is not Outcome.UNKNOWN or end <= now:
            return self._outcome
        again = copy(self.op)
        again.purpose = "settle"
        again.end, again.timeout = end, TOKEN_LIFE  # its end alone bounds it
        try:
            yield from context.call(again)
        except Rejected as error:
            if _is_mismatch(error):
                return Outcome.UNKNOWN  # it is another request's, and nobody knows how that one ends
            if error.request_id is not None or error.outcome is Outcome.UNKNOWN:
                yield from self._spend(end)
        except DynamORMError:
            return Outcome.UNKNOWN
        else:
            self._outcome = Outcome.APPLIED
        if self._outcome is Outcome.APPLIED:
            yield from self._applied(end)
        return self._outcome

    @property
    def is_used_up(self) -> bool:
        """Whether it is the caller's token, and was used up without anything being applied."""
        return self._given and self._outcome is Outcome.NOT_APPLIED

    @property
    def _dead(self) -> float:
        """The monotonic time from which on the token must not be sent any more.

        A machine that sleeps may stop that clock, but not the other one.
        """
        context = self._context
        now = context.channel.clock.monotonic()
        return now + TOKEN_LIFE - max(now - self._started, context.channel.clock.time() - self._born)

    def _spend(self, end: float) -> Flow[Outcome]:
        """Use the token up, so that no attempt can be applied any more, unless one was: that is what the answer tells."""
        context = self._context
        end = min(end, self._dead)
        if end <= context.channel.clock.monotonic():
            return Outcome.UNKNOWN
        try:
            op = yield from self._spending(self._token)
            op.end, op.timeout = end, TOKEN_LIFE  # its end alone bounds it
            yield from context.call(op)
        except ClientError as error:
            if _is_mismatch(error) and not self._given:  # with a caller's token it may be another request that was
                self._outcome = Outcome.APPLIED
        except DynamORMError:
            return Outcome.UNKNOWN
        else:
            self._outcome = Outcome.NOT_APPLIED
        return self._outcome


def spending(table: str, key: bytes, names: tuple[str, ...], token: str) -> Op:
    """The call that spends a token: a transaction of one check that always holds. It costs two write units."""
    check = b'{"TableName":%b,"Key":%b,"ConditionExpression":"attribute_exists(#k) OR attribute_not_exists(#k)",' % (
        dumps(table),
        key,
    )
    body = b'{"TransactItems":[{"ConditionCheck":%b"ExpressionAttributeNames":{"#k":%b}}}],"ClientRequestToken":%b}' % (
        check,
        dumps(names[0]),
        dumps(token),
    )
    op = Op("TransactWriteItems", table, body, expect_empty, Safety.RESEND, key=names)
    op.parts = 1
    op.finds_out = True
    op.purpose = "settle"
    return op


def _is_mismatch(error: DynamORMError) -> bool:
    """Whether the token belongs to another request."""
    return isinstance(error, ClientError) and error.code == _MISMATCH
