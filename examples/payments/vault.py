"""The vault: a card number comes in here, and nowhere else; a token goes out."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB

from .access import Asking
from .bodies import CardSearch, NewCard, card_body
from .models import Card
from .problems import Problem
from .service import Operating, new_id

router = APIRouter(tags=["cards"])
TOKEN = re.compile(r"card_[0-9a-f]{24}")


async def card_of(view: AsyncDB, token: str) -> Card:
    """A card of this merchant. Raises: Problem, the same for one of somebody else and for none."""
    card = await view.get(Card, token=token) if TOKEN.fullmatch(token) else None
    if card is None:
        raise Problem(404, "not-found", "there is no such card")
    return card


def check_not_expired(month: int, year: int) -> None:
    """Refuse a card whose month is over, by UTC. Raises: Problem."""
    now = datetime.now(UTC)
    if (year, month) < (now.year, now.month):
        raise Problem(422, "card-expired", "the card has expired: exp_month and exp_year are over")


@router.post("/cards", status_code=201)
async def add_card(body: NewCard, asking: Asking, op: Operating) -> JSONResponse:
    """Put a card into the vault. A number that is there already keeps its token, and takes the new date. 422: it has expired."""
    check_not_expired(body.exp_month, body.exp_year)
    card = await asking.view.find_by_unique(Card, number=body.number)
    with op.transaction() as tx:
        if card is None:
            status = 201
            card = Card(
                token=new_id("card"),
                number=body.number,
                last4=body.number[-4:],
                exp_month=body.exp_month,
                exp_year=body.exp_year,
            )
            tx.create(card)
        else:
            status = 200
            tx.update(card, Card.exp_month.set(body.exp_month), Card.exp_year.set(body.exp_year))
    return JSONResponse({**card_body(card), "exp_month": body.exp_month, "exp_year": body.exp_year}, status)


@router.post("/cards/search")
async def search_card(body: CardSearch, asking: Asking) -> JSONResponse:
    """Find a card by its number, which is in the body: addresses are written into logs. It changes nothing, and needs no key."""
    card = await asking.view.find_by_unique(Card, number=body.number)
    if card is None:
        raise Problem(404, "not-found", "there is no such card")
    return JSONResponse(card_body(card))


@router.get("/cards/{token}")
async def read_card(token: str, asking: Asking) -> JSONResponse:
    """What is known of a card; never its number."""
    return JSONResponse(card_body(await card_of(asking.view, token)))
