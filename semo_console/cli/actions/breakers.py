"""`semo breaker …`: CLIs that are paused on a host."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from semo_console.cli.actions.office import OperatorDesk, at_desk
from semo_console.cli.actions.wording import SHORT_ID, print_json, print_table, remark
from semo_console.errors import UnclearTarget
from semo_office.breaker import Breaker, BreakerStore, CircuitState
from semo_office.locations import StateFolder
from semo_office.models import AgentHost


@dataclass(frozen=True)
class HostBreaker:
    """A breaker, and the host that it is of."""

    host: AgentHost
    breaker: Breaker

    @property
    def paused(self) -> bool:
        return self.breaker.state is not CircuitState.CLOSED

    def to_json(self) -> dict[str, JsonValue]:
        return {**self.breaker.model_dump(mode="json"), "host": self.host.name}


@dataclass(frozen=True)
class Fleet:
    """The hosts of an office, with what has failed or is paused there."""

    office_id: UUID
    hosts: Sequence[AgentHost]
    breakers: Sequence[HostBreaker]


Change = Callable[[BreakerStore, Fleet], Awaitable[Breaker]]


def list_breakers(state_dir: Path | None, office: str | None, *, as_json: bool) -> None:
    """Print the breakers, host by host. Raises UnclearTarget, OfficeError."""
    fleet = at_desk(StateFolder.find(state_dir), lambda desk: _fleet(desk, office))
    if as_json:
        print_json([each.to_json() for each in fleet.breakers])
    elif not fleet.breakers:
        remark("Nothing has failed to start here, and nothing is paused.")
    else:
        print_table([_row(each) for each in fleet.breakers])


def open_breaker(
    state_dir: Path | None, office: str | None, host: str, profile: str, reason: str | None, *, as_json: bool
) -> None:
    """Pause a CLI on a host. Raises UnclearTarget, CommandError(FORBIDDEN, INVALID_PAYLOAD)."""

    async def pause(store: BreakerStore, fleet: Fleet) -> Breaker:
        return await store.open(fleet.office_id, choose_host(fleet.hosts, host).id, profile, reason)

    _change(state_dir, office, pause, as_json=as_json)


def reset_breaker(
    state_dir: Path | None, office: str | None, host: str | None, profile: str | None, *, as_json: bool
) -> None:
    """Lift the pause of a CLI on a host. Raises UnclearTarget, CommandError(FORBIDDEN)."""

    async def lift(store: BreakerStore, fleet: Fleet) -> Breaker:
        chosen = choose_breaker(fleet, host, profile)
        return await store.reset(fleet.office_id, chosen.host.id, chosen.breaker.profile)

    _change(state_dir, office, lift, as_json=as_json)


def choose_host(hosts: Sequence[AgentHost], chosen: str) -> AgentHost:
    """The host with this name or id, or beginning of one. Raises UnclearTarget."""
    exact = [host for host in hosts if chosen in (host.name, str(host.id))]
    found = exact or [host for host in hosts if _begins(host, chosen)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnclearTarget(
            f"Several hosts begin with {chosen!r}: {_hosts_listed(found)}. Give more of one, or its id."
        )
    raise UnclearTarget(f"No host {chosen!r} serves this office. There are: {_hosts_listed(hosts)}.")


def choose_breaker(fleet: Fleet, host: str | None, profile: str | None) -> HostBreaker:
    """The one of this host and CLI; what is not named is the only one, of those that are paused if any is.

    Raises UnclearTarget.
    """
    place = choose_host(fleet.hosts, host) if host is not None else None
    of_host = [each for each in fleet.breakers if place is None or each.host.id == place.id]
    found = of_host if profile is None else _of_profile(of_host, profile)
    candidates = [each for each in found if each.paused] or [each for each in found if place or each.breaker.failures]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise UnclearTarget(f"Several are there: {_listed(candidates)}. Name host and CLI.")
    named = " ".join(word for word in (host, profile) if word is not None)
    raise UnclearTarget(f"There is nothing of {named!r} here." if named else "Nothing is paused here.")


def in_words(breaker: Breaker) -> str:
    """What a person reads of it."""
    if breaker.manual:
        return "paused by hand"
    if breaker.state is CircuitState.OPEN:
        return f"paused, next try {_in_minutes(breaker.retry_in_ms or 0)}"
    if breaker.state is CircuitState.HALF_OPEN:
        return "trying again" if breaker.probes else "paused, next try now"
    if breaker.failures:
        return f"ok, {breaker.failures} of {breaker.failure_threshold} failures"
    return "ok"


def _in_minutes(milliseconds: int) -> str:
    seconds = -(-milliseconds // 1000)
    return f"{seconds // 60}:{seconds % 60:02d}" if seconds else "now"


def _change(state_dir: Path | None, office: str | None, change: Change, *, as_json: bool) -> None:
    changed = at_desk(StateFolder.find(state_dir), lambda desk: _changed(desk, office, change))
    if as_json:
        print_json(changed.to_json())
    else:
        remark(f"{changed.breaker.profile} on {changed.host.name}: {in_words(changed.breaker)}.")


async def _fleet(desk: OperatorDesk, named: str | None) -> Fleet:
    office = await desk.find_office(named)
    hosts = [placed.host for placed in await desk.offices.hosts(office.id)]
    by_id = {host.id: host for host in hosts}
    breakers = await BreakerStore(desk.link).breakers(office.id)
    known = [HostBreaker(by_id[each.host_id], each) for each in breakers if each.host_id in by_id]
    return Fleet(office.id, hosts, known)


async def _changed(desk: OperatorDesk, named: str | None, change: Change) -> HostBreaker:
    fleet = await _fleet(desk, named)
    breaker = await change(BreakerStore(desk.link), fleet)
    return HostBreaker(next(host for host in fleet.hosts if host.id == breaker.host_id), breaker)


def _of_profile(breakers: Iterable[HostBreaker], chosen: str) -> list[HostBreaker]:
    found = [each for each in breakers if chosen and each.breaker.profile.startswith(chosen)]
    return [each for each in found if each.breaker.profile == chosen] or found


def _begins(host: AgentHost, chosen: str) -> bool:
    wanted = chosen.strip().casefold()
    return bool(wanted) and (host.name.casefold().startswith(wanted) or str(host.id).startswith(wanted))


def _row(each: HostBreaker) -> tuple[str, ...]:
    return (each.host.name, each.breaker.profile, in_words(each.breaker), each.breaker.reason or "")


def _listed(breakers: Iterable[HostBreaker]) -> str:
    return ", ".join(f"{each.host.name} {each.breaker.profile} ({in_words(each.breaker)})" for each in breakers)


def _hosts_listed(hosts: Sequence[AgentHost]) -> str:
    """With what tells two of one name apart."""
    return ", ".join(f"{host.name} ({str(host.id)[:SHORT_ID]})" for host in hosts) or "none"
