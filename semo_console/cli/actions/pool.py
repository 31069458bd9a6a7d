"""`semo pool …`: what waits ready for jobs, and what does not."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import print_json, print_table, remark, say
from semo_console.errors import UnreadableInput
from semo_office.jobs import JobService
from semo_office.locations import StateFolder
from semo_office.pool import PoolConfig, PoolStatus, PoolStore, RolePool

SPARES_MAX = 50
IDLE_MAX_S = 7 * 24 * 3600

_SIZE = re.compile(r"\s*(?P<role>[^=]*[^=\s])\s*=\s*(?P<size>-?\d{1,9})\s*")


@dataclass(frozen=True)
class Wish:
    """What `semo pool set` was told; `idle_timeout` in s."""

    sizes: tuple[str, ...]
    profile: str | None = None
    cold_cap: int | None = None
    idle_timeout: float | None = None


@dataclass(frozen=True)
class KeptPool:
    """The pool, and whether a server keeps it now."""

    status: PoolStatus
    is_led: bool


def show_pool(state_dir: Path | None, office: str | None, *, as_json: bool) -> None:
    """Print the pool. Raises UnclearTarget, OfficeError."""
    _tell(at_desk(StateFolder.find(state_dir), lambda desk: _look(desk, office)), as_json)


def set_pool(state_dir: Path | None, office: str | None, wish: Wish, *, as_json: bool) -> None:
    """Change the pool and print it. Raises UnreadableInput, UnclearTarget, OfficeError."""
    config = read_wish(wish)
    _tell(at_desk(StateFolder.find(state_dir), lambda desk: _set(desk, office, config)), as_json)


def read_wish(wish: Wish) -> PoolConfig:
    """Raises UnreadableInput."""
    if not wish.sizes and wish.cold_cap is None and wish.idle_timeout is None:
        raise UnreadableInput("Say what to set, such as BE=1, --cold-cap 3 or --idle-timeout 600.")
    if wish.profile is not None and not wish.sizes:
        raise UnreadableInput("--profile is for the spares that are named, such as BE=1.")
    if wish.idle_timeout is not None and not 1 <= wish.idle_timeout <= IDLE_MAX_S:
        raise UnreadableInput(f"--idle-timeout is 1 to {IDLE_MAX_S} seconds, not {wish.idle_timeout:g}.")
    return PoolConfig(
        warm_pool_size=read_sizes(wish.sizes),
        max_cold_sessions=wish.cold_cap,
        idle_timeout=None if wish.idle_timeout is None else round(wish.idle_timeout * 1000),
        profile=wish.profile,
    )


def read_sizes(words: Iterable[str]) -> dict[str, int]:
    """`BE=1` as {"BE": 1}. Raises UnreadableInput."""
    sizes: dict[str, int] = {}
    for word in words:
        found = _SIZE.fullmatch(word)
        if found is None:
            raise UnreadableInput(f"{word!r} is not a role and a number, such as BE=1.")
        role, size = found["role"], int(found["size"])
        if role in sizes:
            raise UnreadableInput(f"{role} is named twice.")
        if not 0 <= size <= SPARES_MAX:
            raise UnreadableInput(f"A role has 0 to {SPARES_MAX} spare sessions, not {size}.")
        sizes[role] = size
    return sizes


async def _look(desk: OperatorDesk, named: str | None) -> KeptPool:
    office = await desk.find_office(named)
    return KeptPool(await PoolStore(desk.link).status(office.id), await JobService(desk.link).is_led(office.id))


async def _set(desk: OperatorDesk, named: str | None, config: PoolConfig) -> KeptPool:
    office = await desk.find_office(named)
    status = await PoolStore(desk.link).set_pool(office.id, config)
    return KeptPool(status, await JobService(desk.link).is_led(office.id))


def _tell(pool: KeptPool, as_json: bool) -> None:
    status = pool.status
    if as_json:
        print_json({**status.model_dump(mode="json"), "led": pool.is_led})
        return
    idle_s = status.idle_timeout_ms / 1000
    say(f"{status.used} of {status.cap} sessions beside the spares; they end after {idle_s:g} s of rest.")
    if status.roles:
        print_table([_row(role) for role in status.roles])
    else:
        remark("No spares. `semo pool set BE=1` keeps one ready.")
    if not pool.is_led:
        remark("No server keeps the pool of this office now; `semo serve` starts one.")


def _row(role: RolePool) -> tuple[str, ...]:
    counts = [
        f"{role.spares} of {role.wanted} spare",
        f"{role.starting} starting",
        f"{role.in_use} in use",
        f"{role.kept} kept",
    ]
    lost = [f"{role.lost} lost"] if role.lost else []
    return (role.role, role.profile, ", ".join([*counts, *lost]), role.last.reason if role.last else "")
