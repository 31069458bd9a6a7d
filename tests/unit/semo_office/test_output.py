from semo_office.output import Follower, News, Reading


def reading(first: int, *lines: str, settled: int, epoch: int = 1) -> Reading:
    return Reading(epoch, first, lines, settled)


def test_settled_rows_are_told_once() -> None:
    follower = Follower()
    assert follower.take(reading(5, "a", "b", "$", settled=7)) == News(1, 5, ("a", "b"))
    assert follower.take(reading(7, "$ c", "d", "$", settled=9)) == News(1, 7, ("$ c", "d"))
    assert follower.take(reading(9, "$", settled=9)) == News(1, 9)


def test_rows_that_are_read_again_are_not_told_again() -> None:
    follower = Follower()
    follower.take(reading(0, "a", "b", settled=2))
    assert follower.take(reading(0, "a", "b", "c", settled=3)) == News(1, 2, ("c",))


def test_the_last_reading_tells_the_unsettled_rows_too() -> None:
    follower = Follower()
    follower.take(reading(0, "a", "half", settled=1))
    assert follower.take(reading(1, "half of it", settled=1), last=True) == News(1, 1, ("half of it",))


def test_rows_that_are_no_longer_kept_are_counted() -> None:
    follower = Follower()
    follower.take(reading(0, "a", settled=1))
    assert follower.take(reading(4, "e", settled=5)) == News(1, 4, ("e",), missed=3)


def test_a_new_epoch_begins_where_it_begins() -> None:
    follower = Follower()
    follower.take(reading(0, "a", "b", settled=2))
    assert follower.take(reading(0, "x", settled=1, epoch=2)) == News(2, 0, ("x",))


def test_a_cursor_that_goes_back_up_takes_nothing_back() -> None:
    follower = Follower()
    follower.take(reading(0, "a", "b", "c", settled=3))
    assert follower.take(reading(3, settled=1)) == News(1, 3)
    assert follower.next_line == 3
