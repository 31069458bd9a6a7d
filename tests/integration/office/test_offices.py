"""Offices and hosts, on the real hub."""

from uuid import uuid4

import pytest

from semo_office.errors import CommandError, ErrorCode
from semo_office.models import HostProfile
from tests.integration.hub_fixture import RunningHub
from tests.integration.office.conftest import Identity, Party, signed_in


async def test_one_folder_of_one_person_is_one_office(office_hub: RunningHub) -> None:
    async with signed_in(Identity(office_hub)) as side:
        folder = f"/repo/{uuid4()}"
        first = await side.offices.create_office("mine", folder)
        assert (await side.offices.create_office("other name", folder)).id == first.id
        assert [office.id for office in await side.offices.find_by_repo_path(folder)] == [first.id]
        assert [office.id for office in await side.offices.find_by_name("mine")] == [first.id]
        assert [office.id for office in await side.offices.get_offices()] == [first.id]


async def test_an_office_lists_its_hosts_with_the_lease_of_each(party: Party) -> None:
    (placed,) = await party.operator.offices.hosts(party.office_id)
    assert (placed.host.id, placed.place.repo_path) == (party.host_id, "/repo")
    assert placed.lease is not None
    assert placed.lease.instance_id == party.instance
    assert placed.host.last_seen_at is not None


async def test_a_host_finds_the_offices_that_it_serves(party: Party) -> None:
    (place,) = await party.host.offices.offices_of_host(party.host_id)
    assert place.office_id == party.office_id
    office = await party.host.offices.get_office(party.office_id)
    assert office is not None


async def test_registering_again_is_no_error_and_as_another_host_a_conflict(party: Party) -> None:
    owner = party.operator.identity.user_id
    again = await party.host.offices.register_host(party.host_id, "new name", owner)
    assert (again.id, again.name) == (party.host_id, "new name")
    with pytest.raises(CommandError) as caught:
        await party.host.offices.register_host(uuid4(), "other", owner)
    assert caught.value.code is ErrorCode.CONFLICT


async def test_the_profiles_of_a_host_are_read_by_its_office_and_replaced_as_a_whole(party: Party) -> None:
    shell = HostProfile(host_id=party.host_id, name="shell", job_prompt="verbatim", done_by="exit_status")
    agent = HostProfile(
        host_id=party.host_id, name="agent", description="한글", cli_version="1", job_prompt="briefing", done_by="nonce"
    )
    await party.host.offices.report_profiles(party.instance, [shell, agent])
    assert await party.operator.offices.profiles(party.office_id) == [agent, shell]
    await party.host.offices.report_profiles(party.instance, [shell])
    assert await party.operator.offices.profiles(party.office_id) == [shell]


async def test_profiles_of_a_host_are_reported_by_its_living_agent_only(party: Party) -> None:
    for side, code in ((party.host, ErrorCode.SUPERSEDED), (party.operator, ErrorCode.FORBIDDEN)):
        with pytest.raises(CommandError) as caught:
            await side.offices.report_profiles(uuid4(), [])
        assert caught.value.code is code


async def test_attaching_again_changes_the_placement(party: Party) -> None:
    await party.operator.offices.attach_host(
        party.office_id, party.host_id, "/elsewhere", terminal="pty", max_sessions=3
    )
    (placed,) = await party.operator.offices.hosts(party.office_id)
    assert (placed.place.repo_path, placed.place.terminal, placed.place.max_sessions) == ("/elsewhere", "pty", 3)


async def test_a_person_is_no_host_and_a_host_makes_no_office(party: Party) -> None:
    with pytest.raises(CommandError) as caught:
        await party.operator.offices.register_host(uuid4(), "me", uuid4())
    assert caught.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(CommandError) as caught:
        await party.host.offices.create_office("mine", "/x")
    assert caught.value.code is ErrorCode.FORBIDDEN


async def test_nobody_attaches_a_host_that_is_another_ones(office_hub: RunningHub, party: Party) -> None:
    async with signed_in(Identity(office_hub)) as other:
        office = await other.offices.create_office("theirs", f"/repo/{uuid4()}")
        with pytest.raises(CommandError) as caught:
            await other.offices.attach_host(office.id, party.host_id, "/repo")
        assert caught.value.code is ErrorCode.FORBIDDEN
        assert await other.offices.get_host(party.host_id) is None
