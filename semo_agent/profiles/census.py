"""What this host tells its offices of its profiles, with the versions of their programs."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import structlog

from semo_agent.errors import ProfileError
from semo_agent.profiles.launch import program_environment
from semo_agent.profiles.profile import Profile, Profiles
from semo_office.models import HostProfile

VERSION_S: Final = 10.0
VERSION_LONGEST: Final = 200
DESCRIPTION_LONGEST: Final = 1000

_log = structlog.get_logger(__name__)


async def take_census(profiles: Profiles, host_id: UUID, environment: Mapping[str, str]) -> list[HostProfile]:
    """Every profile that can be read. environment: the user's."""
    names = await asyncio.to_thread(profiles.names)
    read = [profile for name in names if (profile := await asyncio.to_thread(_read, profiles, name)) is not None]
    return list(await asyncio.gather(*(_described(profile, host_id, environment) for profile in read)))


def _read(profiles: Profiles, name: str) -> Profile | None:
    try:
        return profiles.read(name)
    except ProfileError as err:
        # Whoever starts a session of it is told.
        _log.warning("profile_left_out", profile=name, error=str(err))
        return None


async def _described(profile: Profile, host_id: UUID, environment: Mapping[str, str]) -> HostProfile:
    return HostProfile(
        host_id=host_id,
        name=profile.name,
        description=profile.description[:DESCRIPTION_LONGEST],
        cli_version=await program_version(profile, environment),
        job_prompt=profile.job.prompt,
        done_by=profile.job.done_by,
    )


async def program_version(profile: Profile, environment: Mapping[str, str]) -> str | None:
    """The first line that the program prints when it is asked for its version; None: it says nothing in time."""
    argv = profile.launch.version_argv
    if not argv:
        return None
    env = program_environment(environment, "") | profile.launch.env
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        asked = await asyncio.create_subprocess_exec(*argv, stdin=nothing, stdout=pipe, stderr=nothing, env=env)
    except OSError as err:
        _log.warning("version_unknown", profile=profile.name, error=err.strerror)
        return None
    return await _first_line(asked, profile.name)


async def _first_line(asked: asyncio.subprocess.Process, name: str) -> str | None:
    try:
        async with asyncio.timeout(VERSION_S):
            said, _ = await asked.communicate()
    except TimeoutError:
        _log.warning("version_unknown", profile=name, error="no answer in time")
        return None
    finally:
        # Whatever it still does: nobody listens any more.
        with contextlib.suppress(ProcessLookupError):
            asked.kill()
        await asked.wait()
    lines = (line.strip() for line in said.decode("utf-8", "replace").splitlines())
    line = next((line for line in lines if line.isprintable() and line), "")
    return line[:VERSION_LONGEST] if asked.returncode == 0 and line else None
