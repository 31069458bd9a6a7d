import pytest

from semo_console.cli.waiting import bind_wait

VALUED = {"--role", "--session", "--id"}


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        (["--wait", "echo 1"], ["--wait=inf", "echo 1"]),
        (["--wait", "30", "echo 1"], ["--wait=30", "echo 1"]),
        (["--wait=30", "echo 1"], ["--wait=30", "echo 1"]),
        (["--wait", "0.5", "echo 1"], ["--wait=0.5", "echo 1"]),
        (["echo 1", "--wait", "30"], ["echo 1", "--wait=30"]),
        (["echo 1", "--wait"], ["echo 1", "--wait=inf"]),
        (["--wait", "--json", "echo 1"], ["--wait=inf", "--json", "echo 1"]),
        (["--wait", "30", "-"], ["--wait=30", "-"]),
        (["--wait", "30", "--", "-x"], ["--wait=30", "--", "-x"]),
        (["--wait", "--", "30"], ["--wait=inf", "--", "30"]),
        (["--wait", "30", "--role", "BE", "echo 1"], ["--wait=30", "--role", "BE", "echo 1"]),
    ],
)
def test_a_number_is_the_wait_when_there_is_a_text_beside_it(arguments: list[str], bound: list[str]) -> None:
    assert bind_wait(arguments, VALUED) == bound


@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        (["--wait", "30"], ["--wait=inf", "30"]),
        (["--wait", "30", "--role", "BE"], ["--wait=inf", "30", "--role", "BE"]),
        (["--json", "--wait", "30"], ["--json", "--wait=inf", "30"]),
    ],
)
def test_a_lone_number_is_the_text(arguments: list[str], bound: list[str]) -> None:
    assert bind_wait(arguments, VALUED) == bound


@pytest.mark.parametrize(
    "arguments",
    [["--role", "--wait", "30"], ["--", "--wait", "30"], ["--session", "--wait", "text", "more"]],
)
def test_wait_as_a_value_or_as_text_is_left_alone(arguments: list[str]) -> None:
    assert bind_wait(arguments, VALUED) == arguments
