"""The token bucket of each source."""

from hypothesis import given
from hypothesis import strategies as st

from service.rates import RateLimit


def limit(per_second: int = 10, burst: int = 5, sources: int = 100) -> RateLimit:
    return RateLimit(per_second=per_second, burst=burst, sources=sources)


def test_a_source_may_send_its_burst_at_once_and_no_more() -> None:
    rates = limit()
    assert [rates.take("a", 0.0) for _ in range(6)] == [True] * 5 + [False]


def test_tokens_come_back_at_the_rate() -> None:
    rates = limit()
    assert all(rates.take("a", 0.0) for _ in range(5))
    assert not rates.take("a", 0.05)
    assert rates.take("a", 0.11)
    assert not rates.take("a", 0.12)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    rates = limit()
    assert rates.take("a", 0.0)
    assert [rates.take("a", 1000.0) for _ in range(6)] == [True] * 5 + [False]


def test_sources_do_not_share_a_bucket() -> None:
    rates = limit(burst=1)
    assert rates.take("a", 0.0)
    assert not rates.take("a", 0.0)
    assert rates.take("b", 0.0)


def test_zero_switches_the_limit_off_and_remembers_nobody() -> None:
    rates = limit(per_second=0)
    assert all(rates.take("a", 0.0) for _ in range(1000))
    assert len(rates) == 0


def test_the_longest_unseen_source_is_forgotten_first() -> None:
    rates = limit(per_second=1, burst=1, sources=2)
    assert rates.take("a", 0.0)
    assert rates.take("b", 0.1)
    assert rates.take("c", 0.2)
    assert len(rates) == 2
    assert not rates.take("b", 0.3)
    assert rates.take("a", 0.3)


@given(
    st.lists(st.floats(min_value=0, max_value=0.5), max_size=200),
    st.integers(min_value=1, max_value=50),
    st.integers(min_value=1, max_value=50),
)
def test_no_time_span_lets_more_through_than_burst_and_rate(pauses: list[float], per_second: int, burst: int) -> None:
    rates = RateLimit(per_second=per_second, burst=burst, sources=10)
    now = 0.0
    passed = 0
    for pause in pauses:
        now += pause
        passed += rates.take("a", now)
    assert passed <= burst + now * per_second + 1e-3
