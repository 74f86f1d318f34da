"""Failures are bounded, keep nothing alive, and say what happened."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from fakes import host_of, messages, plugin_with

from poseig_mm.plugin.failure_log import KEPT, KEPT_OWN, FailureLog


def test_an_observer_that_always_raises_does_not_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    """10,000 samples: the first few failures in full, all of them counted, few lines logged; it is called each time."""
    calls: list[str] = []

    def observe(config: Any) -> None:
        calls.append(config)
        raise ValueError(f"no {len(calls)}")

    host = host_of(plugin_with("Bad", poseig_after_sample=observe))
    for i in range(10_000):
        host.notify(
            "poseig_after_sample",
            stage="after_sample",
            sample_id=str(i),
            **{"sample": 0, "attribution": 0, "indices": 0, "config": "c"},
        )
    assert len(calls) == 10_000
    assert [(f.message, f.sample_id) for f in host.failures] == [("no 1", "0"), ("no 2", "1"), ("no 3", "2")]
    assert host.failure_counts == {"Bad": {"after_sample": 10_000}}
    assert len(messages(caplog)) == KEPT
    assert "no 3 (further failures like this are counted only)" in messages(caplog)[-1]


def test_each_plugin_and_stage_has_its_own_count() -> None:
    """One noisy plugin does not hide another."""
    host = host_of()
    for _ in range(KEPT + 1):
        host.record(ValueError("x"), "index", plugin="noisy")
    host.record(ValueError("y"), "index", plugin="other")
    host.record(ValueError("z"), "study", plugin="noisy")
    assert host.failure_counts == {"noisy": {"index": KEPT + 1, "study": 1}, "other": {"index": 1}}
    assert [f.message for f in host.failures] == ["x"] * KEPT + ["y", "z"]


def test_samples_that_fail_are_kept_longer() -> None:
    """Each corrupt image has its own cause; but the list is bounded as well."""
    log = FailureLog()
    for i in range(KEPT_OWN + 5):
        log.add(ValueError("corrupt"), "sample", sample_id=str(i))
    assert len(log.kept) == KEPT_OWN
    assert log.counts["", "sample"] == KEPT_OWN + 5


def test_record_returns_the_failure_even_when_it_is_not_kept() -> None:
    """The session writes it to the store."""
    host = host_of()
    failures = [host.record(ValueError(str(i)), "index", plugin="p", sample_id=str(i)) for i in range(KEPT + 2)]
    assert [f.message for f in failures] == [str(i) for i in range(KEPT + 2)]
    assert failures[-1] not in host.failures


def test_a_failure_keeps_no_frame_alive() -> None:
    """An exception's traceback holds every local of the stack: here, tensors."""

    class Big:
        """Stands for a tensor."""

    def fail() -> weakref.ref[Big]:
        big = Big()
        reference = weakref.ref(big)
        try:
            raise ValueError("x")
        except ValueError as error:
            host.record(error, "sample")
        return reference

    host = host_of()
    reference = fail()
    gc.collect()
    assert reference() is None


def test_an_error_that_cannot_be_shown_is_recorded() -> None:
    """Its __str__ may raise in turn."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    failure = host_of().record(Unprintable(), "sample")
    assert (failure.error, failure.message) == ("Unprintable", "(its message cannot be shown: str() of it raises)")
    assert "Unprintable" in failure.traceback
