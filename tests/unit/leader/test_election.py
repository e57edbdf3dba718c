"""The decision of the elector, as a pure function of what it knows and the present instant."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leader.election import Create, HandOver, Lost, Renew, Take, Times, View, Wait, step
from leader.lease import Record

TIMES = Times(lease_duration=10, renew_deadline=6.0, retry_period=2.0, request_timeout=1.5)
ME, OTHER = "me", "other"


def record(holder: str, *, version: str = "1", transitions: int = 3, duration: int = 10) -> Record:
    """Return a lease as it might be read."""
    return Record(
        uid="u", holder=holder, duration_seconds=duration, renewed="r", transitions=transitions, version=version
    )


def standby(holder: str, since: float, **rest: int) -> View:
    """Return the view of one who saw the lease change at `since`."""
    return View(identity=ME).saw(record(holder, **rest), since)  # type: ignore[arg-type]


def leading(renewed_at: float) -> View:
    """Return the view of one who leads."""
    return View(identity=ME).wrote(record(ME), renewed_at)


def test_a_missing_lease_is_made() -> None:
    assert step(View(identity=ME), 0.0, TIMES) == Create()


def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    assert step(standby("", 0.0), 0.1, TIMES) == Take(record(""), 4)


def test_a_held_lease_is_waited_for_as_long_as_the_record_says() -> None:
    view = standby(OTHER, 100.0, duration=20)
    assert isinstance(step(view, 119.9, TIMES), Wait)
    assert isinstance(step(view, 120.0, TIMES), Take)


def test_a_renewal_that_was_seen_starts_the_wait_again() -> None:
    view = standby(OTHER, 100.0).saw(record(OTHER, version="2"), 109.0)
    assert isinstance(step(view, 118.9, TIMES), Wait)
    assert isinstance(step(view, 119.0, TIMES), Take)


def test_seeing_the_same_record_again_does_not_start_the_wait_again() -> None:
    view = standby(OTHER, 100.0).saw(record(OTHER), 109.0)
    assert isinstance(step(view, 110.0, TIMES), Take)


def test_work_that_fell_silent_is_not_renewed_for() -> None:
    view = replace(leading(100.0), heard_at=96.0)
    assert isinstance(step(view, 101.9, TIMES), Wait)
    assert isinstance(step(view, 102.0, TIMES), Lost)
    assert isinstance(step(replace(view, heard_at=101.0), 102.0, TIMES), Renew)


def test_the_lease_of_a_holder_that_is_proven_dead_is_taken_at_once() -> None:
    assert isinstance(step(standby(OTHER, 0.0), 0.1, TIMES, holder_is_dead=True), Take)


def test_taking_again_what_we_held_counts_as_a_new_win() -> None:
    view = leading(0.0).stepped_down()
    assert step(view, 1.0, TIMES) == Take(record(ME), 4)


def test_a_holder_renews_each_period() -> None:
    assert step(leading(0.0), 1.9, TIMES) == Wait(2.0)
    assert step(leading(0.0), 2.0, TIMES) == Renew(record(ME))


def test_a_holder_that_could_not_renew_stops_at_its_deadline() -> None:
    assert isinstance(step(leading(0.0), 5.9, TIMES), Renew)
    assert isinstance(step(leading(0.0), 6.0, TIMES), Lost)


def test_a_holder_that_sees_another_name_stops() -> None:
    assert isinstance(step(leading(0.0).saw(record(OTHER), 1.0), 1.0, TIMES), Lost)
    assert isinstance(step(leading(0.0).saw(record(""), 1.0), 1.0, TIMES), Lost)
    assert isinstance(step(leading(0.0).saw(None, 1.0), 1.0, TIMES), Lost)


@given(
    sent_at=st.floats(0, 100),
    arrives=st.floats(0, 1.5),
    seen_after=st.floats(0, 50),
    asked_after=st.floats(0, 100),
)
def test_a_standby_never_starts_before_the_holder_had_to_stop(
    sent_at: float, arrives: float, seen_after: float, asked_after: float
) -> None:
    """The holder writes at `sent_at`, it arrives a little later, and a standby sees it at some time after that."""
    holder = leading(sent_at)
    seen_at = sent_at + arrives + seen_after
    other = View(identity=OTHER).saw(record(ME), seen_at)
    now = seen_at + asked_after
    if isinstance(step(other, now, TIMES), Take):
        assert isinstance(step(holder, now, TIMES), Lost)


@given(st.lists(st.sampled_from(["mine", "other", "nobody", "gone"]), max_size=8), st.floats(0, 30))
def test_there_is_a_next_step_from_any_state_and_no_wait_lies_in_the_past(reads: list[str], now: float) -> None:
    view = View(identity=ME)
    holders = {"mine": ME, "other": OTHER, "nobody": ""}
    for n, read in enumerate(reads):
        at = n * now / 8
        view = view.saw(None if read == "gone" else record(holders[read], version=str(n)), at)
    found = step(view, now, TIMES)
    assert not isinstance(found, Lost)
    if isinstance(found, Wait):
        assert found.until > now


def test_a_lease_deleted_under_its_holder_is_made_again_when_the_holder_must_have_stopped() -> None:
    view = standby(OTHER, 100.0).saw(None, 103.0)
    assert isinstance(step(view, 103.0, TIMES), Wait)
    assert isinstance(step(view, 110.0, TIMES), Create)


def test_a_lease_that_was_free_or_ours_is_made_again_at_once() -> None:
    assert isinstance(step(standby("", 100.0).saw(None, 103.0), 103.0, TIMES), Create)
    assert isinstance(step(leading(100.0).stepped_down().saw(None, 103.0), 103.0, TIMES), Create)


def test_a_holder_hands_over_when_the_lease_names_another_pod_and_goes_on_when_it_names_its_own() -> None:
    def asked(to: str) -> View:
        return leading(0.0).saw(replace(record(ME), version="9", hand_over_to=to), 1.0)

    assert step(asked("any"), 1.0, TIMES) == HandOver("any")
    assert step(asked("other-pod"), 1.0, TIMES) == HandOver("other-pod")
    assert isinstance(step(asked(ME.partition("_")[0]), 2.0, TIMES), Renew)


def test_a_lease_given_back_for_one_pod_is_left_to_it_for_a_period() -> None:
    def freed(to: str) -> View:
        held = standby(OTHER, 0.0).saw(replace(record(OTHER), version="8", hand_over_to=to), 1.0)
        return held.saw(record("", version="9"), 2.0)

    assert step(freed("other-pod"), 2.0, TIMES) == Wait(4.0)
    assert isinstance(step(freed("other-pod"), 4.0, TIMES), Take)
    assert isinstance(step(freed("any"), 2.0, TIMES), Take)
    assert isinstance(step(freed(ME.partition("_")[0]), 2.0, TIMES), Take)


def test_one_who_has_led_leaves_a_free_lease_to_others_for_a_while() -> None:
    view = replace(standby("", 100.0), abstains_until=104.0)
    assert step(view, 103.9, TIMES) == Wait(104.0)
    assert step(view, 104.0, TIMES) == Take(record(""), 4)
    gone = replace(View(identity=ME), abstains_until=104.0)
    assert isinstance(step(gone, 103.9, TIMES), Wait)
    assert step(gone, 104.0, TIMES) == Create()


def test_one_who_has_led_counts_the_next_holders_time_from_its_first_renewal() -> None:
    view = replace(standby("", 100.0), abstains_until=104.0).saw(record(OTHER, version="2"), 100.2)
    assert isinstance(step(view, 110.1, TIMES), Wait)
    assert isinstance(step(view, 110.2, TIMES), Take)


def test_one_who_has_led_takes_the_lease_again_at_once_when_another_has_had_it() -> None:
    view = replace(standby("", 100.0), abstains_until=104.0)
    held = view.saw(record(OTHER, version="2", transitions=4), 100.2).saw(record("", version="3", transitions=4), 101.0)
    assert isinstance(step(held, 101.0, TIMES), Take)
    only_its_end_was_seen = view.saw(record("", version="3", transitions=4), 101.0)
    assert isinstance(step(only_its_end_was_seen, 101.0, TIMES), Take)
