"""Celery's clock inside a server sleeps until something is due."""

from celery import Celery

from gateway.jobs.clock import Clock


def test_it_sleeps_up_to_the_moment_and_not_in_circles() -> None:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"often": {"task": "nothing", "schedule": 3600.0}}
    clock = Clock(app=app, max_interval=10_000)
    seconds = clock.tick()
    assert 3599 < seconds <= 3600
    entry = clock.schedule["often"]
    assert clock._when(entry, 5.0) - clock._when(entry, 0) > 4.999
    assert (clock.adjust(0.005), clock.adjust(0), clock.adjust(None)) == (0.005, 0, None)
