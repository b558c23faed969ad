"""Customers who charge and give back while answers are lost. Each request has a key, and is sent until an answer has come."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

AGAIN: Final = frozenset({409, 500, 502, 503})
"""Answers after which the same key is sent again."""
NUMBERS: Final = ("4242424242424242", "5555555555554444", "4000000000000002")
"""Cards; the last one is always declined."""


@dataclass
class Storm:
    """What the customers do, and what they have been answered.

    ``answers`` are all answers by key: those of one key must be equal. A share ``loss`` of the answers is thrown away, or not waited for.
    """

    ports: list[int]
    api_key: str
    loss: float
    seed: int
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    is_over: bool = False
    _number: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def run(self, customers: int, seconds: float) -> None:
        """Let customers come for some seconds; what they have begun is brought to its end."""
        async with httpx.AsyncClient(timeout=20) as http:
            tokens = [
                (await self._sent(http, "/v1/cards", {"number": number, "exp_month": 12, "exp_year": 2030}))["token"]
                for number in NUMBERS
            ]
            self.counts.clear()
            work = [asyncio.create_task(self._customer(http, tokens)) for _ in range(customers)]
            await asyncio.sleep(seconds)
            self.is_over = True
            await asyncio.gather(*work)

    async def _customer(self, http: httpx.AsyncClient, tokens: list[str]) -> None:
        while not self.is_over:
            order = self._new("order")
            token = self._random.choices(tokens, (8, 8, 1))[0]
            amount = self._random.randint(100, 99_999)
            body = {
                "amount": amount,
                "currency": self._random.choice(("EUR", "USD", "JPY")),
                "card": token,
                "order": order,
            }
            payment = await self._sent(http, "/v1/payments", {**body, "cvv": "123", "capture": True}, key=order)
            self.counts["charges"] += 1
            if payment["status"] == "captured" and self._random.random() < 0.3:
                await self._give_back(http, payment)

    async def _give_back(self, http: httpx.AsyncClient, payment: dict[str, Any]) -> None:
        """Two customers' clerks give back 60 % at once: one of them is refused."""
        path, amount = f"/v1/payments/{payment['id']}/refunds", payment["amount"] * 6 // 10
        keys = [self._new("refund"), self._new("refund")]
        await asyncio.gather(*(self._sent(http, path, {"amount": amount, "reason": key}, key=key) for key in keys))
        self.counts["refunds"] += 1

    async def _sent(
        self, http: httpx.AsyncClient, path: str, body: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Send until an answer has come, now and then twice at once."""
        key = key or self._new("card")
        while True:
            copies = 2 if self._random.random() < 0.1 else 1
            await asyncio.gather(*(self._once(http, path, body, key) for _ in range(copies)))
            if key in self.answers:
                answer: dict[str, Any] = httpx.Response(200, content=self.answers[key][0][1]).json()
                return answer
            await asyncio.sleep(self._random.uniform(0.02, 0.2))

    async def _once(self, http: httpx.AsyncClient, path: str, body: dict[str, Any], key: str) -> None:
        headers = {"authorization": f"Bearer {self.api_key}", "idempotency-key": key}
        url = f"http://127.0.0.1:{self._random.choice(self.ports)}{path}"
        dice = self._random.random()
        patience = self._random.uniform(0, 0.05) if dice < self.loss / 2 else None  # gives up while it is served
        try:
            async with asyncio.timeout(patience):
                answer = await http.post(url, json=body, headers=headers)
        except (httpx.HTTPError, TimeoutError):
            self.counts["no answer"] += 1
            await asyncio.sleep(0.05)
            return
        if answer.status_code in AGAIN:
            self.counts["to be sent again"] += 1
        elif dice < self.loss:
            self.counts["no answer"] += 1  # it was served, and nobody hears of it
        else:
            self.answers.setdefault(key, []).append((answer.status_code, answer.content))

    def _new(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self.seed}-{self._number}"
