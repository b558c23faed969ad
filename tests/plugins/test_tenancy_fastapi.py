"""The dependency of FastAPI: each request has a view of its own tenant, whatever is served at once."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Header
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB, Presets
from dynamorm.errors import TenantError
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.plugins.tenancy.fastapi import tenant_db
from dynamorm.plugins.tenancy.scopes import current

from .tenancy_kit import Order

pytestmark = pytest.mark.engine


def application(db):
    app = FastAPI()

    def merchant(x_merchant: Annotated[str | None, Header()] = None):
        return x_merchant

    ledger = tenant_db(lambda: db, merchant)

    @app.exception_handler(TenantError)
    async def refused(_, error):
        return JSONResponse({"code": error.code}, status_code=403)

    @app.post("/orders/{number}")
    async def create(number: str, view: Annotated[AsyncDB, Depends(ledger)]):
        await asyncio.sleep(0.001)
        return {"tenant": (await view.create(Order(number=number))).tenant_id}

    @app.get("/orders")
    async def read(view: Annotated[AsyncDB, Depends(ledger)]):
        assert current() is None
        return sorted({one.tenant_id for one in await view.model(Order).all()})

    return app


def test_requests_of_many_tenants_are_served_apart(engine):
    async def main():
        async with AsyncDB(
            Presets.local_development(endpoint=engine.endpoint, table_prefix="web-"), extensions=(Tenancy(),)
        ) as db:
            await db.tables.ensure(Order)
            transport = httpx.ASGITransport(app=application(db))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                tenants = [f"m{number % 7}" for number in range(70)]
                answers = await asyncio.gather(
                    *(client.post(f"/orders/{n}", headers={"x-merchant": one}) for n, one in enumerate(tenants))
                )
                assert [answer.json()["tenant"] for answer in answers] == tenants
                for tenant in set(tenants):
                    answer = await client.get("/orders", headers={"x-merchant": tenant})
                    assert answer.json() == [tenant]
                for headers in ({}, {"x-merchant": ""}, {"x-merchant": "T"}):
                    answer = await client.get("/orders", headers=headers)
                    assert (answer.status_code, answer.json()) == (403, {"code": "ErrInvalidTenant"})

    asyncio.run(main())
