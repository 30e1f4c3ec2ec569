"""The sizer in its own process: the same numbers, and a fault of the process costs one frame."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_equal

from qdsizer_stream.errors import CalibrationError, ModelError
from qdsizer_stream.sizing import RawFrame, Sizer, SizingConfig, Status
from qdsizer_stream.sizing.process import (
    SLOTS,
    SizingProcess,
    SizingProcessError,
    SynchronousExecutor,
)

pytestmark = pytest.mark.integration

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture(scope="module")
def process(sizer: Sizer) -> Iterator[SizingProcess]:
    one = SizingProcess(sizer)
    yield one
    one.close()


@pytest.fixture(scope="module")
def frames(raw: list[tuple[str, Any]]) -> list[RawFrame]:
    counts = [doc["data"]["mythen_image"] for name, doc in raw if name == "event"]
    return [RawFrame(counts=one, wavelength_angstrom=0.5637) for one in counts]


def test_numbers_are_those_of_this_process(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    for one in frames:
        there, here = (
            executor.submit(Sizer.examine_frame, sizer, one).result()
            for executor in (process, SynchronousExecutor())
        )
        assert there.estimate.status is Status.SIZED
        assert_equal(vars(there.estimate), vars(here.estimate))
        assert_equal(there.binned.intensity, here.binned.intensity)
        assert_equal(there.fit.total, here.fit.total)


def test_estimates_for_archives_are_the_same_without_what_displays_show(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    for one in frames:
        brief = process.submit(Sizer.estimate_frame, sizer, one).result()
        whole = sizer.examine_frame(one)
        assert_equal(vars(brief.estimate), vars(whole.estimate))
        assert_equal(vars(brief.evidence), vars(whole.evidence))
        assert (brief.warnings, brief.n_frames) == (whole.warnings, whole.n_frames)
        assert (brief.binned, brief.fit, brief.checks, brief.answer) == (None, None, (), None)


def test_sums_of_frames_too(process: SizingProcess, sizer: Sizer, frames: list[RawFrame]) -> None:
    there, here = (
        executor.submit(Sizer.pool, sizer, frames[0]).result()
        for executor in (process, SynchronousExecutor())
    )
    assert_equal(there.counts, here.counts)
    assert_equal(
        vars(process.submit(Sizer.examine_pooled, sizer, there).result().estimate),
        vars(sizer.examine_pooled(here).estimate),
    )


def test_errors_come_back(process: SizingProcess, sizer: Sizer) -> None:
    with pytest.raises(CalibrationError, match="the frame has 3 values"):
        process.submit(Sizer.pool, sizer, RawFrame(counts=[1, 2, 3], wavelength_angstrom=0.5637)).result()
    with pytest.raises(AttributeError, match="no attribute 'counts'"):
        process.submit(Sizer.pool, sizer, None).result()  # type: ignore[arg-type]
    restarts = process.restarts
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        process.submit(
            Sizer.pool,
            sizer,
            RawFrame(counts=lambda: None, wavelength_angstrom=0.5637),  # type: ignore[arg-type]
        ).result()
    assert process.restarts == restarts  # an argument that cannot be sent does no harm


def test_a_process_that_is_killed_over_a_frame(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    pid, restarts = process.pid, process.restarts
    os.kill(pid, signal.SIGSTOP)  # so that it dies during this frame
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(SizingProcessError, match="ended with status -9 while this frame was sized"):
        process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    assert process.restarts == restarts + 1
    assert process.submit(Sizer.examine_frame, sizer, frames[0]).result().estimate.status is Status.SIZED


def test_results_outlast_the_memory_they_came_through(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    """More tasks than there are slots, submitted together, results read from the last to the first."""
    many = [frames[number % len(frames)] for number in range(3 * SLOTS)]
    futures = [process.submit(Sizer.examine_frame, sizer, one) for one in many]
    for one, future in reversed(list(zip(many, futures, strict=True))):
        there, here = future.result(), sizer.examine_frame(one)
        assert_equal(vars(there.estimate), vars(here.estimate))
        assert_equal(there.binned.intensity, here.binned.intensity)
        assert future.result() is there


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (lambda counts: counts.astype(">f8"), Status.SIZED),
        (lambda counts: np.repeat(counts, 2)[::2], Status.SIZED),  # not in one piece
        (lambda counts: np.frombuffer(counts.tobytes(), counts.dtype), Status.SIZED),  # not to be written to
        (lambda counts: counts.tolist(), Status.SIZED),
        (lambda counts: counts.astype(object), Status.BAD_FRAME),
        (lambda counts: np.stack([counts] * 5, axis=1).astype(float), Status.BAD_FRAME),  # larger than a slot
        (lambda counts: counts[:0], Status.BAD_FRAME),
    ],
)
def test_frames_of_every_kind(
    frame: Callable[[Any], Any], status: Status, process: SizingProcess, sizer: Sizer,
    frames: list[RawFrame],
) -> None:  # fmt: skip
    one = replace(frames[0], counts=frame(frames[0].counts))
    there, here = (
        executor.submit(Sizer.examine_frame, sizer, one).result()
        for executor in (process, SynchronousExecutor())
    )
    assert there.estimate.status is status
    assert_equal(vars(there.estimate), vars(here.estimate))


def test_of_several_tasks_only_the_running_one_is_lost(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    """The second of five ends the process; the answer to the first may still be on its way."""
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    pid, restarts = process.pid, process.restarts
    futures = [process.submit(Sizer.examine_frame, sizer, one) for one in frames[:1]]
    futures.append(process.submit(end_process, sizer, None))
    futures.extend(process.submit(Sizer.examine_frame, sizer, one) for one in frames[1:4])
    outcomes = []
    for future in futures:
        try:
            outcomes.append(vars(future.result().estimate))
        except SizingProcessError as error:
            outcomes.append(str(error))
    assert "ended with status 9 while this frame was sized" in outcomes.pop(1)
    assert_equal(outcomes, [vars(sizer.examine_frame(one).estimate) for one in frames[:4]])
    assert process.restarts == restarts + 1
    assert process.pid != pid


class Fatal:
    """Counts over which the process ends."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        os._exit(9)


def test_of_frames_that_are_sized_together_only_the_one_at_fault_is_lost(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    for one in [frames[0]] * (SLOTS + 2):  # a new process runs its first tasks one by one
        process.submit(Sizer.examine_frame, sizer, one).result()
    restarts = process.restarts
    os.kill(process.pid, signal.SIGSTOP)  # so that all are waiting when it goes on
    many = [*frames[:2], replace(frames[0], counts=Fatal()), *frames[2:5]]  # type: ignore[arg-type]
    futures = [process.submit(Sizer.examine_frame, sizer, one) for one in many]
    os.kill(process.pid, signal.SIGCONT)
    with pytest.raises(SizingProcessError, match="ended with status 9 while this frame was sized"):
        futures[2].result()
    assert process.restarts == restarts + 2  # all of the block, then each alone
    del futures[2], many[2]
    for one, future in zip(many, futures, strict=True):
        assert_equal(vars(future.result().estimate), vars(sizer.examine_frame(one).estimate))


def end_process(sizer: Sizer, _: object) -> None:
    """A task during which the process ends, as one that runs out of memory does."""
    os._exit(9)


def test_the_plan_comes_first(process: SizingProcess, sizer: Sizer, frames: list[RawFrame]) -> None:
    """Linear algebra has one thread, since more would spin on the plan's cores, and gives way to the plan."""
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(own + 10, 19)
    said = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert {b"OPENBLAS_NUM_THREADS=1", b"OMP_NUM_THREADS=1"} <= set(said)


def test_a_process_that_is_killed_meanwhile_costs_no_frame(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process.submit(Sizer.examine_frame, sizer, frames[0]).result().estimate.status is Status.SIZED


def test_a_process_that_hangs_is_replaced(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    os.kill(process.pid, signal.SIGSTOP)
    with monkeypatch.context() as patient:
        patient.setattr("qdsizer_stream.sizing.process._process.RESULT_TIMEOUT_S", 0.2)
        with pytest.raises(SizingProcessError, match=r"gave no result within 0.2 s"):
            process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    assert process.submit(Sizer.examine_frame, sizer, frames[0]).result().estimate.status is Status.SIZED


def test_the_next_process_starts_in_the_same_folder_and_reads_no_terminal(
    process: SizingProcess,
    sizer: Sizer,
    frames: list[RawFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Relative paths of the settings are those of the session's first folder, wherever it has gone."""
    began = Path.cwd()
    monkeypatch.chdir(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    terminal, typed = os.pipe()
    kept = os.dup(0)
    os.dup2(terminal, 0)
    try:
        process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    finally:
        os.dup2(kept, 0)
        for one in (terminal, typed, kept):
            os.close(one)
    assert Path(f"/proc/{process.pid}/cwd").readlink() == began
    assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path(os.devnull)


def test_ctrl_c_does_not_reach_it(process: SizingProcess, sizer: Sizer) -> None:
    assert os.getpgid(process.pid) != os.getpgid(0)


@pytest.mark.parametrize("fault", ["gone", "changed"])
def test_a_model_file_that_is_not_what_it_was(
    fault: str, tmp_path: Path, sizer: Sizer, process: SizingProcess, frames: list[RawFrame]
) -> None:
    """A process that starts later must not size with another model than the descriptor names."""
    path = tmp_path / "model.onnx"
    path.write_bytes((SHIPPED / "pbs.onnx").read_bytes())
    other = Sizer(SizingConfig(model=str(path), reduction=sizer.config.reduction))
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes((SHIPPED / "pbs-paper.onnx").read_bytes())
    message = "model.onnx" if fault == "gone" else "has changed on disk since the session began"
    with pytest.raises(ModelError, match=message):
        process.submit(Sizer.examine_frame, other, frames[0]).result()


def test_a_width_that_is_not_what_it_was(
    tmp_path: Path, sizer: Sizer, process: SizingProcess, frames: list[RawFrame]
) -> None:
    path = tmp_path / "width.toml"
    path.write_text("[instrument]\nfwhm_deg = 0.03\n")
    other = Sizer(reduction=sizer.config.reduction, instrument={"file": path})
    path.write_text("[instrument]\nfwhm_deg = 0.04\n")
    with pytest.raises(ModelError, match="or the instrument has changed on disk since the session began"):
        process.submit(Sizer.examine_frame, other, frames[0]).result()


def test_it_ends_with_its_parent() -> None:
    code = (
        "import os, sys, time\n"
        "from qdsizer_stream.sizing import Sizer, SizingConfig\n"
        "from qdsizer_stream.sizing.process import SizingProcess\n"
        "process = SizingProcess(Sizer(SizingConfig()))\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(said.stdout)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and Path(f"/proc/{pid}/cmdline").exists():
        if b"sizing.process" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            break  # a zombie that nobody has waited for, or another process
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{pid}").exists(), f"process {pid} lives on"


def test_it_runs_no_script_of_the_session(tmp_path: Path) -> None:
    """A script without a guard around its plan must not be run again by the process."""
    script = tmp_path / "plan.py"
    script.write_text(
        "import numpy as np\n"
        "from qdsizer_stream.sizing import Sizer, SizingConfig\n"
        "from qdsizer_stream.sizing.process import SizingProcess\n"
        "print('the plan runs')\n"
        "sizer = Sizer(SizingConfig())\n"
        "process = SizingProcess(sizer)\n"
        "try:\n"
        "    process.submit(Sizer.pool, sizer, None).result()\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "process.close()\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.splitlines() == [
        "the plan runs",
        "no detector is configured: give [sizing.reduction] with its calibration",
    ]


def test_a_module_in_the_working_folder_stands_in_for_none_of_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizer: Sizer
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    one = SizingProcess(sizer)
    frame = RawFrame(counts=np.zeros(30720), wavelength_angstrom=0.5637)
    assert one.submit(Sizer.examine_frame, sizer, frame).result().estimate.reason
    one.close()


def test_a_result_that_is_not_there_in_time(
    process: SizingProcess, sizer: Sizer, frames: list[RawFrame]
) -> None:
    process.submit(Sizer.examine_frame, sizer, frames[0]).result()
    os.kill(process.pid, signal.SIGSTOP)
    restarts = process.restarts
    future = process.submit(Sizer.examine_frame, sizer, frames[0])
    with pytest.raises(TimeoutError):
        future.result(0.1)
    assert not future.done()
    os.kill(process.pid, signal.SIGCONT)
    assert future.exception() is None
    assert future.result().estimate.status is Status.SIZED
    assert process.restarts == restarts  # the caller was impatient, the process did not hang
