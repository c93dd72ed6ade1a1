"""How old a replica's data are: from where the primary was when."""

from resolvers.replica import Lag


def test_a_replica_that_is_where_the_primary_is_has_no_lag_however_long_nothing_happens() -> None:
    lag = Lag()
    for second in range(3600):
        lag.primary_was(second, 100)
    assert lag.of(100) == 0
    assert lag.of(101) == 0


def test_the_lag_is_the_time_since_the_primary_was_where_the_replica_is() -> None:
    lag = Lag()
    for second, position in enumerate((100, 100, 200, 300)):
        lag.primary_was(second, position)
    assert [lag.of(position) for position in (300, 299, 200, 199, 100)] == [0, 1, 1, 2, 2]


def test_the_lag_is_not_known_of_what_was_before_the_first_look() -> None:
    lag = Lag()
    assert lag.of(100) is None
    lag.primary_was(0, 100)
    assert lag.of(99) is None


def test_another_primary_that_is_not_as_far_makes_the_former_one_count_no_more() -> None:
    lag = Lag()
    for second, position in enumerate((100, 200, 150)):
        lag.primary_was(second, position)
    assert [lag.of(position) for position in (200, 150, 149)] == [0, 0, 2]
