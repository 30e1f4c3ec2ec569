"""The sizer in a process of its own: the same numbers, and what becomes of the process costs one frame."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_equal

from qdsizer_stream.errors import CalibrationError, ModelError
from qdsizer_stream.sizing import Sizer, SizingConfig, Status
from qdsizer_stream.sizing.process import (
    SLOTS,
    SizingProcess,
    SizingProcessError,
    begin_here,
    examine_frame,
    examine_pooled,
    pool_frame,
)

SHIPPED = Path(str(files("qdsizer_stream.models") / "shipped"))


@pytest.fixture(scope="module")
def process(sizer: Sizer) -> Iterator[SizingProcess]:
    one = SizingProcess(sizer)
    yield one
    one.close()


@pytest.fixture(scope="module")
def readings(raw: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    frames = [doc["data"]["mythen_image"] for name, doc in raw if name == "event"]
    return [{"counts": frame, "wavelength_angstrom": 0.5637} for frame in frames]


def test_numbers_are_those_of_this_process(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]
) -> None:
    for one in readings:
        there, here = (begin(examine_frame, sizer, one)() for begin in (process, begin_here))
        assert there.estimate.status is Status.SIZED
        assert_equal(vars(there.estimate), vars(here.estimate))
        assert_equal(there.binned.intensity, here.binned.intensity)
        assert_equal(there.fit.total, here.fit.total)


def test_sums_of_frames_too(process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]) -> None:
    there, here = (begin(pool_frame, sizer, readings[0])() for begin in (process, begin_here))
    assert_equal(there.counts, here.counts)
    assert_equal(
        vars(process(examine_pooled, sizer, there)().estimate), vars(sizer.examine_pooled(here).estimate)
    )


def test_errors_come_back(process: SizingProcess, sizer: Sizer) -> None:
    with pytest.raises(CalibrationError, match="the frame has 3 values"):
        process(pool_frame, sizer, {"counts": [1, 2, 3], "wavelength_angstrom": 0.5637})()
    with pytest.raises(TypeError, match="unexpected keyword"):
        process(pool_frame, sizer, {"count": 1})()
    restarts = process.restarts
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        process(pool_frame, sizer, {"counts": lambda: None, "wavelength_angstrom": 0.5637})()
    assert process.restarts == restarts  # an argument that cannot be sent harms nobody


def test_a_process_that_is_killed_over_a_frame(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]
) -> None:
    process(examine_frame, sizer, readings[0])()
    pid, restarts = process.pid, process.restarts
    os.kill(pid, signal.SIGSTOP)  # so that it dies with the frame in hand
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(SizingProcessError, match="ended with status -9 while this frame was sized"):
        process(examine_frame, sizer, readings[0])()
    assert process.restarts == restarts + 1
    assert process(examine_frame, sizer, readings[0])().estimate.status is Status.SIZED


def test_answers_outlast_the_memory_they_came_through(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]
) -> None:
    """More steps than there are slots, begun together and asked for from the last to the first."""
    many = [readings[number % len(readings)] for number in range(3 * SLOTS)]
    begun = [process(examine_frame, sizer, one) for one in many]
    for one, waiting in reversed(list(zip(many, begun, strict=True))):
        there, here = waiting(), sizer.examine_frame(**one)
        assert_equal(vars(there.estimate), vars(here.estimate))
        assert_equal(there.binned.intensity, here.binned.intensity)
        assert waiting() is there


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
    readings: list[dict[str, Any]],
) -> None:  # fmt: skip
    one = {**readings[0], "counts": frame(readings[0]["counts"])}
    there, here = (begin(examine_frame, sizer, one)() for begin in (process, begin_here))
    assert there.estimate.status is status
    assert_equal(vars(there.estimate), vars(here.estimate))


def test_of_several_steps_only_the_one_in_hand_is_lost(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]
) -> None:
    """The second of five ends the process; the answer to the first may still be on its way."""
    process(examine_frame, sizer, readings[0])()
    pid, restarts = process.pid, process.restarts
    begun = [process(examine_frame, sizer, one) for one in readings[:1]]
    begun.append(process(end_process, sizer, None))
    begun.extend(process(examine_frame, sizer, one) for one in readings[1:4])
    outcomes = []
    for waiting in begun:
        try:
            outcomes.append(vars(waiting().estimate))
        except SizingProcessError as error:
            outcomes.append(str(error))
    assert "ended with status 9 while this frame was sized" in outcomes.pop(1)
    assert_equal(outcomes, [vars(sizer.examine_frame(**one).estimate) for one in readings[:4]])
    assert process.restarts == restarts + 1
    assert process.pid != pid


def end_process(sizer: Sizer, _: object) -> None:
    """A step over which the process ends, as one that runs out of memory does."""
    os._exit(9)


def test_the_plan_comes_first(process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]) -> None:
    """Linear algebra has one thread, since more would spin on the plan's cores, and gives way to the plan."""
    process(examine_frame, sizer, readings[0])()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(own + 10, 19)
    said = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert {b"OPENBLAS_NUM_THREADS=1", b"OMP_NUM_THREADS=1"} <= set(said)


def test_a_process_that_is_killed_meanwhile_costs_no_frame(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]]
) -> None:
    process(examine_frame, sizer, readings[0])()
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process(examine_frame, sizer, readings[0])().estimate.status is Status.SIZED


def test_a_process_that_hangs_is_replaced(
    process: SizingProcess, sizer: Sizer, readings: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    process(examine_frame, sizer, readings[0])()
    os.kill(process.pid, signal.SIGSTOP)
    with monkeypatch.context() as patient:
        patient.setattr("qdsizer_stream.sizing.process._process.ANSWER_TIMEOUT_S", 0.2)
        with pytest.raises(SizingProcessError, match=r"gave no answer within 0.2 s"):
            process(examine_frame, sizer, readings[0])()
    assert process(examine_frame, sizer, readings[0])().estimate.status is Status.SIZED


def test_ctrl_c_does_not_reach_it(process: SizingProcess, sizer: Sizer) -> None:
    assert os.getpgid(process.pid) != os.getpgid(0)


@pytest.mark.parametrize("fault", ["gone", "changed"])
def test_a_model_file_that_is_not_what_it_was(
    fault: str, tmp_path: Path, sizer: Sizer, process: SizingProcess, readings: list[dict[str, Any]]
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
        process(examine_frame, other, readings[0])()


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
        if b"sizing_process" not in Path(f"/proc/{pid}/cmdline").read_bytes():
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
        "from qdsizer_stream.sizing.process import SizingProcess, pool_frame\n"
        "print('the plan runs')\n"
        "sizer = Sizer(SizingConfig())\n"
        "process = SizingProcess(sizer)\n"
        "try:\n"
        "    process(pool_frame, sizer, {})()\n"
        "except AssertionError:\n"
        "    print('answered')\n"
        "process.close()\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout.splitlines() == ["the plan runs", "answered"]


def test_a_module_in_the_working_folder_stands_in_for_none_of_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizer: Sizer
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    one = SizingProcess(sizer)
    counts = np.zeros(30720)
    assert one(examine_frame, sizer, {"counts": counts, "wavelength_angstrom": 0.5637})().estimate.reason
    one.close()
