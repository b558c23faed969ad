"""What comes in, and what goes out. A body is refused for a member that it should not have, and its errors show no values."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dynamorm.errors import ValidationError
from dynamorm.payments import Money, currencies

from .models import Card, Payment, Refund
from .problems import Problem


class Body(BaseModel):
    """What every body has in common."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


def _luhn(number: str) -> str:
    """Refuse a number that no card has: its last digit does not fit the others."""
    digits = [int(digit) for digit in reversed(number)]
    if (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10:
        raise ValueError("no card has this number")
    return number


def _known(code: str) -> str:
    try:
        currencies.exponent(code)
    except ValidationError:
        raise ValueError("no currency of ISO 4217") from None
    return code


def _no_card(text: str) -> str:
    """Refuse a text that may have a card number in it: such texts are stored, shown and told as they are."""
    if LIKE_A_CARD.search(text):
        raise ValueError("this may have a card number in it: use fewer digits in a row")
    return text


LIKE_A_CARD = re.compile(r"[0-9]{12}|(?:[0-9]{4}[ .,_-]){3}[0-9]")
CardNumber = Annotated[str, Field(pattern=r"^[0-9]{12,19}$"), AfterValidator(_luhn)]
Cvv = Annotated[str, Field(pattern=r"^[0-9]{3,4}$")]
Amount = Annotated[int, Field(gt=0, le=10**12)]
"""Minor units: 1250 are 12.50 EUR, or 1250 JPY."""


class NewCard(Body):
    """A card for the vault."""

    number: CardNumber = Field(repr=False)
    exp_month: Annotated[int, Field(ge=1, le=12)]
    exp_year: Annotated[int, Field(ge=2000, le=2100)]


class CardSearch(Body):
    """Looks for a card by its number."""

    number: CardNumber = Field(repr=False)


class NewPayment(Body):
    """A charge of a card that is in the vault. With ``capture`` the money is taken at once, else it is reserved."""

    amount: Amount
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_known)]
    card: Annotated[str, Field(pattern=r"^card_[0-9a-f]{24}$")]
    cvv: Cvv | None = Field(default=None, repr=False)
    order: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"), AfterValidator(_no_card)]
    capture: bool = False

    @property
    def money(self) -> Money:
        """What is charged."""
        return Money.minor(self.amount, self.currency)


class NewCapture(Body):
    """Takes what was reserved: all of it, or less."""

    amount: Amount | None = None


class NewRefund(Body):
    """Gives a part back, or all of it. With ``ends_dispute`` also of a payment that is disputed, which it then is no more."""

    amount: Amount
    ends_dispute: bool = False
    reason: Annotated[str, Field(pattern=r"^[A-Za-z0-9 .,_-]{1,64}$"), AfterValidator(_no_card)] | None = None


class NewEndpoint(Body):
    """Where webhooks are sent to."""

    url: Annotated[str, Field(min_length=1, max_length=500)]


async def whole(request: Request, most: int = 2**20) -> bytes:
    """The body of a request of a stranger: no more is read of it than ``most``. Raises: Problem."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise Problem(413, "too-large", f"a body has at most {most} bytes here")
    return bytes(body)


class AcquirerEvent(Body):
    """What the acquirer tells. Its own name of the payment is the one that it was given."""

    type: Literal["payment.settled", "payment.disputed"]
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    payment: str


def card_body(card: Card) -> dict[str, Any]:
    """A card as it is shown: what is on a receipt."""
    return {"token": card.token, "last4": card.last4, "exp_month": card.exp_month, "exp_year": card.exp_year}


def payment_body(payment: Payment) -> dict[str, Any]:
    """A payment as it is shown; of one that is not stored yet the time is missing."""
    shown = {
        "id": payment.id,
        "order": payment.order,
        "status": payment.status.value,
        "amount": payment.amount,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "currency": payment.currency,
        "card": payment.card,
    }
    stored: Any = payment.created_at
    return shown if stored is None else {**shown, "created_at": payment.created_at.isoformat()}


def refund_body(refund: Refund) -> dict[str, Any]:
    """A refund as it is shown."""
    return {
        "id": refund.id,
        "payment": refund.payment_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
    }
