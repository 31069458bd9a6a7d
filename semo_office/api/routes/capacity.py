"""`/api/offices/{office_id}/pool` and `breakers`: what holds sessions back."""

from fastapi import APIRouter

from semo_office.api.bodies import BreakerReset, Breakers
from semo_office.api.desk import AtDesk
from semo_office.api.problems import not_found
from semo_office.api.routes import READING, WRITING
from semo_office.breaker import Breaker, BreakerStore
from semo_office.offices import OfficeStore
from semo_office.pool import PoolStatus, PoolStore

router = APIRouter(prefix="/api/offices/{office_id}", tags=["capacity"])


@router.get("/pool", responses=READING)
async def get_pool(desk: AtDesk) -> PoolStatus:
    """The sessions that jobs have: spares, in use, the cap, and what was decided last and why."""
    return await PoolStore(desk.link).status(desk.office_id)


@router.get("/breakers", responses=READING)
async def list_breakers(desk: AtDesk) -> Breakers:
    """Which CLIs are paused where, and why. One that is not here has never failed."""
    return Breakers(breakers=await BreakerStore(desk.link).breakers(desk.office_id))


@router.post("/breakers/reset", responses=WRITING)
async def reset_breaker(desk: AtDesk, body: BreakerReset) -> Breaker:
    """Let a CLI start again on a host."""
    hosts = await OfficeStore(desk.link).hosts(desk.office_id)
    if body.host_id not in {placed.host.id for placed in hosts}:
        raise not_found("host")
    return await BreakerStore(desk.link).reset(desk.office_id, body.host_id, body.profile)
