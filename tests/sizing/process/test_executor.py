"""Tasks of sizers in this process, one at a time and in blocks."""

from typing import Any

import pytest
from numpy.testing import assert_equal

from qdsizer_stream.sizing import RawFrame, Sizer
from qdsizer_stream.sizing.process import BlockExecutor, SynchronousExecutor, run_tasks


@pytest.fixture(scope="module")
def frames(raw: list[tuple[str, Any]]) -> list[RawFrame]:
    counts = [doc["data"]["mythen_image"] for name, doc in raw if name == "event"]
    return [RawFrame(counts=one, wavelength_angstrom=0.5637) for one in counts]


def test_tasks_run_at_once_have_the_outcomes_of_single_ones(sizer: Sizer, frames: list[RawFrame]) -> None:
    broken = RawFrame(counts=None, wavelength_angstrom=0.5637)  # type: ignore[arg-type]
    tasks = [
        (Sizer.estimate_frame, frames[0]),
        (Sizer.estimate_frame, frames[1]),
        (Sizer.pool, frames[2]),
        (Sizer.pool, RawFrame(counts=[1, 2, 3], wavelength_angstrom=0.5637)),
        (Sizer.examine_frame, frames[3]),
        (Sizer.examine_frame, broken),
    ]
    together, alone = BlockExecutor(), SynchronousExecutor()
    futures = [together.submit(task, sizer, argument) for task, argument in tasks]
    expected = [alone.submit(task, sizer, argument) for task, argument in tasks]
    assert not any(future.done() for future in futures)
    assert_equal(vars(futures[1].result().estimate), vars(expected[1].result().estimate))
    assert all(future.done() for future in futures)
    assert_equal(futures[2].result().counts, expected[2].result().counts)
    for there, here in zip(futures[3:], expected[3:], strict=True):
        assert repr(there.exception()) == repr(here.exception())
        if here.exception() is None:
            assert_equal(vars(there.result().estimate), vars(here.result().estimate))
    assert "the frame has 3 values" in str(futures[3].exception())


def test_frames_of_one_sizer_are_run_at_once(sizer: Sizer, frames: list[RawFrame]) -> None:
    begun: list[tuple[int, int]] = []
    kinds = [Sizer.pool, Sizer.estimate_frame, Sizer.estimate_frame, Sizer.examine_frame]
    outcomes = run_tasks(
        [(kind, sizer, frames[0]) for kind in kinds], lambda first, n: begun.append((first, n))
    )
    assert begun == [(0, 1), (1, 2), (3, 1)]
    assert [error for _, error in outcomes] == [None] * 4


def test_a_task_of_this_thread_runs_once_and_when_its_result_is_asked_for(sizer: Sizer) -> None:
    calls: list[int] = []

    def task(_: Sizer, number: int) -> int:
        calls.append(number)
        if number < 0:
            raise ValueError(f"{number} is negative")
        return 2 * number

    future = SynchronousExecutor().submit(task, sizer, 3)
    assert calls == []
    assert (future.result(), future.result(), calls) == (6, 6, [3])
    failing = SynchronousExecutor().submit(task, sizer, -1)
    assert "-1 is negative" in str(failing.exception())
    with pytest.raises(ValueError, match="-1 is negative"):
        failing.result()
    assert calls == [3, -1]


def test_a_task_that_ends_the_thread(sizer: Sizer) -> None:
    """`SystemExit` passes through, and who asks again is not left waiting."""

    def task(_: Sizer, __: None) -> None:
        raise SystemExit(3)

    future = SynchronousExecutor().submit(task, sizer, None)
    for _ in range(2):
        with pytest.raises(SystemExit):
            future.result()
    asked_for_its_error = SynchronousExecutor().submit(task, sizer, None)
    with pytest.raises(SystemExit):
        asked_for_its_error.exception()
    assert isinstance(asked_for_its_error.exception(), SystemExit)
