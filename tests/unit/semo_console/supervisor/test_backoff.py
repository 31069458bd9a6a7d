from semo_console.supervisor.backoff import FIRST_S, LONGEST_S, PROVEN_S, Backoff


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(random=lambda: 1.0)
    assert [backoff.after(0.1) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_thousand_deaths_wait_no_longer() -> None:
    backoff = Backoff(random=lambda: 1.0)
    assert {backoff.after(0.1) for _ in range(1000)} <= {0.5, 1, 2, 4, 8, 16, LONGEST_S}


def test_jitter_takes_at_most_half() -> None:
    assert Backoff(random=lambda: 0.0).after(0.1) == FIRST_S / 2


def test_what_has_proven_itself_begins_anew() -> None:
    backoff = Backoff(random=lambda: 1.0)
    for _ in range(5):
        backoff.after(0.1)
    assert backoff.after(PROVEN_S) == FIRST_S
    assert backoff.after(0.1) == 2 * FIRST_S
