"""What has ended is refused by both workers of a real service, under load and whatever Valkey does.

`loadtests.trials` does more of it, and waits where these tests move the clock.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.revocation.trials import Tally, Trials
from tests.revocation.workers import TwoWorkers

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def workers() -> Iterator[TwoWorkers]:
    """Started once for all tests of this file."""
    with TwoWorkers.running() as running:
        yield running


@pytest.fixture(scope="module")
def trials(workers: TwoWorkers) -> Trials:
    return Trials(workers)


def assert_all_refused(tally: Tally) -> None:
    assert tally.requests
    assert tally.accepted == []
    assert tally.unclear == []


def test_a_thousand_trials_under_load(trials: Trials) -> None:
    victims = trials.victims(250)
    with trials.crowd():
        found = trials.run(victims)
    assert found.trials == 1000
    assert_all_refused(found)
    assert_all_refused(trials.repeat(victims[:100]))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_while_valkey_is_restarted_and_afterwards(trials: Trials, workers: TwoWorkers, how: signal.Signals) -> None:
    before, meanwhile, afterwards = trials.victims(1), trials.victims(1), trials.victims(2)
    assert_all_refused(trials.run(before))
    trials.warm([*meanwhile, *afterwards])
    with trials.crowd():
        with workers.valkey_away(how):
            assert_all_refused(trials.run(meanwhile))
        assert_all_refused(trials.run(afterwards))
    assert_all_refused(trials.repeat([*before, *meanwhile]))


def test_while_valkey_is_frozen_and_afterwards(trials: Trials, workers: TwoWorkers) -> None:
    before, meanwhile, afterwards = trials.victims(1), trials.victims(1), trials.victims(2)
    assert_all_refused(trials.run(before))
    trials.warm([*meanwhile, *afterwards])
    with trials.crowd():
        with workers.valkey_frozen():
            assert_all_refused(trials.run(meanwhile, runners=len(meanwhile)))
            assert_all_refused(trials.repeat(before))
        assert_all_refused(trials.run(afterwards))
    assert_all_refused(trials.repeat([*before, *meanwhile]))


def test_a_refresh_token_used_on_both_workers_at_the_same_instant_and_once_more_later(trials: Trials) -> None:
    with trials.crowd():
        races = trials.races(20)
    trials.move_back(races)
    assert_all_refused(trials.use_again(races))
    assert_all_refused(trials.use_dead(races))
