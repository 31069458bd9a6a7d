"""What agent and gateway take of memory after many commands, beside what they took after a tenth of them."""

from pathlib import Path
from typing import Final

from tests.soak.soak import Size, Soak, running_world
from tests.soak.world import World

AIM_MB: Final = 10.0
SIZE: Final = Size(agents=1, sessions_each=8, commands=0, clients=2, work_s=0.0)


def measure_memory(folder: Path, commands: int) -> tuple[list[str], list[str]]:
    """Lines to print, and what was above the aim."""
    with running_world(folder, SIZE) as world:
        soak = Soak(world, SIZE, seed=1)
        _send(soak, commands // 10)
        early = _private_mb(world)
        _send(soak, commands - commands // 10)
        late = _private_mb(world)
        faults = [f"{name}: {what}" for name, what in soak.judge().faults.items()]
    lines = [
        f"{name}: {early[name]:.1f} MB private after {commands // 10} commands, {late[name]:.1f} MB after {commands}"
        for name in early
    ]
    faults += [
        f"{name} grew by {late[name] - early[name]:.1f} MB" for name in early if late[name] - early[name] > AIM_MB
    ]
    return lines, faults


def _send(soak: Soak, commands: int) -> None:
    clients = soak.start_clients(commands)
    soak.world.await_(lambda: all(client.has_ended() for client in clients), "all is settled", within=3600.0)


def _private_mb(world: World) -> dict[str, float]:
    pids = {"agent": world.hosts[0].process.pid, "gateway": world.hub.process.pid}
    return {name: _private_kb(pid) / 1024 for name, pid in pids.items()}


def _private_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
