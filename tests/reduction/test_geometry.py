import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qdsizer_stream.errors import CalibrationError
from qdsizer_stream.patterns import q_from_two_theta
from qdsizer_stream.reduction import (
    MODULE_STRIPS,
    ReductionConfig,
    StripDetector,
    StripModule,
    StripOrigin,
    nominal_detector,
    strip_module_from_ee,
    two_theta,
)

STRIPS = np.arange(MODULE_STRIPS, dtype=float)


@pytest.mark.parametrize(
    ("strip", "angle_deg"), [(0, 0.0014448511544850), (639, 2.4078292711996876), (1279, 4.8180326442143375)]
)
def test_golden_angles_of_the_x04sa_module(x04sa_module: StripModule, strip: int, angle_deg: float) -> None:
    assert two_theta(x04sa_module, np.array([float(strip)]), arm_deg=0.0)[0] == pytest.approx(
        angle_deg, abs=1e-12
    )


def test_golden_gap_between_two_modules(x04sa_pair: StripDetector) -> None:
    angles = x04sa_pair.two_theta(0.0)
    assert angles[1280] - angles[1279] == pytest.approx(0.18821366318963, abs=1e-12)


def test_golden_momentum_transfer_at_22_kev() -> None:
    assert q_from_two_theta(np.array([60.0]), 12.39842 / 22)[0] == pytest.approx(11.149007, abs=5e-7)


@pytest.mark.slow
@given(
    st.floats(300, 2000),
    st.floats(-20, 90),
    st.floats(-180, 180),
)
def test_ee_and_dg_conventions_give_the_same_angles(distance: float, normal: float, angle: float) -> None:
    pitch = 0.05
    expected = angle - np.degrees(np.arctan((normal - pitch * STRIPS) / distance))
    found = two_theta(strip_module_from_ee(distance, normal, angle), STRIPS, arm_deg=0.0)
    assert found == pytest.approx(expected, abs=1e-11)


def test_flipped_module_mirrors_its_strips(x04sa_module: StripModule) -> None:
    flipped = x04sa_module.model_copy(
        update={"conversion_rad_per_strip": -x04sa_module.conversion_rad_per_strip}
    )
    assert np.array_equal(two_theta(flipped, STRIPS, 0.0), two_theta(x04sa_module, STRIPS, 0.0)[::-1])


@pytest.mark.parametrize("sign", [-1, 1])
def test_edge_origin_moves_every_strip_half_a_strip_up(x04sa_module: StripModule, sign: int) -> None:
    module = x04sa_module.model_copy(
        update={"conversion_rad_per_strip": sign * x04sa_module.conversion_rad_per_strip}
    )
    centre = two_theta(module, STRIPS, 0.0)
    edge = two_theta(module, STRIPS, 0.0, strip_origin=StripOrigin.EDGE)
    assert edge - centre == pytest.approx(np.full(MODULE_STRIPS, 0.001884), abs=4e-6)


def test_falling_direction_runs_backwards_from_the_same_module_angle(x04sa_module: StripModule) -> None:
    up = two_theta(x04sa_module, STRIPS, 0.0)
    down = two_theta(x04sa_module, STRIPS, 0.0, direction=-1)
    normal = math.degrees(x04sa_module.centre_strip * x04sa_module.conversion_rad_per_strip)
    assert up + down == pytest.approx(np.full(MODULE_STRIPS, 2 * normal), abs=1e-12)


def test_arm_offsets_and_module_factors_add_up(x04sa_module: StripModule) -> None:
    still = x04sa_module.model_copy(update={"arm_factor": 0})
    against = x04sa_module.model_copy(update={"arm_factor": -1})
    detector = StripDetector(
        modules=(x04sa_module, still, against), global_offset_deg=2.0, fine_offset_deg=0.25
    )
    first = detector.two_theta(10.0).reshape(3, -1)[:, 0]
    assert first - 0.0014448511544850 == pytest.approx([12.25, 2.25, -7.75], abs=1e-12)


def test_arm_torsion_bends_the_arm_by_its_sine(x04sa_module: StripModule) -> None:
    # The amplitude and zero that X04SA used in 2023.
    detector = StripDetector(
        modules=(x04sa_module,), global_offset_deg=0.0, arm_torsion_deg=0.0045, arm_torsion_zero_deg=24.8
    )
    straight = StripDetector(modules=(x04sa_module,), global_offset_deg=0.0)
    difference = detector.two_theta(54.8) - straight.two_theta(54.8)
    assert difference == pytest.approx(np.full(MODULE_STRIPS, -0.00225), abs=1e-12)
    assert detector.two_theta(24.8) == pytest.approx(straight.two_theta(24.8), abs=1e-12)


@pytest.mark.slow
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(5, 110))
def test_displaced_sample_sees_the_strips_where_they_stand(along: float, across: float, angle: float) -> None:
    # Brute force: points of a flat detector in the plane, seen from the displaced sample.
    distance, pitch, centre = 760.0, 0.05, 600.0
    module = StripModule(
        centre_strip=centre,
        conversion_rad_per_strip=pitch / distance,
        offset_deg=angle - math.degrees(centre * pitch / distance),
    )
    detector = StripDetector(
        modules=(module,),
        global_offset_deg=0.0,
        sample_along_beam_mm=along,
        sample_across_beam_mm=across,
    )
    normal = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    tangent = np.array([-normal[1], normal[0]])
    points = distance * normal + ((STRIPS - centre) * pitch)[:, None] * tangent
    seen = points - np.array([along, across])
    assert detector.two_theta(0.0) == pytest.approx(np.degrees(np.arctan2(seen[:, 1], seen[:, 0])), abs=1e-9)


def test_strip_width_is_the_angle_between_strip_edges(x04sa_pair: StripDetector) -> None:
    width = x04sa_pair.strip_width_deg()
    numeric = np.concatenate(
        [np.gradient(two_theta(module, STRIPS, 0.0), edge_order=2) for module in x04sa_pair.modules]
    )
    assert width == pytest.approx(numeric, rel=1e-7)
    assert width[[0, 640, 1279]] == pytest.approx([0.003761, 0.003768, 0.003761], abs=1e-6)


def test_strip_off_the_module_is_refused(x04sa_module: StripModule) -> None:
    with pytest.raises(CalibrationError, match=r"strips 0 to 1280 are not all on the module: give 0 … 1279"):
        two_theta(x04sa_module, np.array([0.0, 1280.0]), 0.0)


@pytest.mark.parametrize("arm_deg", [math.nan, math.inf])
def test_arm_angle_that_is_no_number_is_refused(x04sa_pair: StripDetector, arm_deg: float) -> None:
    with pytest.raises(CalibrationError, match=f"arm angle {arm_deg} is not a finite number of degrees"):
        x04sa_pair.two_theta(arm_deg)


def test_conversion_of_zero_is_refused() -> None:
    with pytest.raises(ValidationError, match="puts the sample more than 50 m away"):
        StripModule(centre_strip=640, conversion_rad_per_strip=0.0, offset_deg=0.0)


def test_ee_distance_must_be_positive() -> None:
    with pytest.raises(
        CalibrationError, match="distance -1 mm must be positive: give R of the EE calibration"
    ):
        strip_module_from_ee(-1, 32.0, 0.0)


@pytest.mark.parametrize("n_modules", [0, 49])
def test_nominal_ring_has_one_to_48_modules(n_modules: int) -> None:
    with pytest.raises(CalibrationError, match=f"n_modules is {n_modules}: a MYTHEN ring has 1 to 48"):
        nominal_detector(n_modules, 0.0)


def test_a_ring_of_48_modules_is_the_largest() -> None:
    ring = nominal_detector(48, 0.0)
    assert ring.n_strips == 48 * 1280
    for modules in ((), (*ring.modules, ring.modules[0])):
        with pytest.raises(ValidationError, match=r"modules\n.*(at least 1|at most 48) item"):
            StripDetector(global_offset_deg=0.0, modules=modules)


@pytest.mark.parametrize(
    ("n_counters", "counter", "message"),
    [
        (0, 0, r"n_counters\n.*greater than or equal to 1"),
        (4, 0, r"n_counters\n.*less than or equal to 3"),
        (3, -1, r"counter\n.*greater than or equal to 0"),
        (3, 3, r"counter\n.*less than or equal to 2"),
        (1, 1, r"counter"),
    ],
)
def test_a_strip_has_one_to_three_counters(n_counters: int, counter: int, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ReductionConfig(detector=nominal_detector(1, 0.0), n_counters=n_counters, counter=counter)


def test_nominal_ring_spans_120_degrees() -> None:
    angles = nominal_detector(24, 2.0).two_theta(0.0)
    assert angles[-1] - angles[0] == pytest.approx(119.9, abs=0.1)
    assert np.all(np.diff(angles) > 0)


def test_a_nominal_detector_is_that_of_the_x04sa_ring() -> None:
    detector = nominal_detector(3, 2.0)
    assert [module.distance_mm for module in detector.modules] == pytest.approx([760.0] * 3)
    assert [module.offset_deg for module in detector.modules] == pytest.approx([0.0, 5.005, 10.01])
    assert {module.centre_strip for module in detector.modules} == {639.5}


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("centre_strip", [-1279.0, 0.0, 2559.0], [-1280.0, 2560.0]),
        ("conversion_rad_per_strip", [-9.99e-4, 9.99e-4], [-1e-3, 1e-3]),
    ],
)
def test_what_each_setting_of_a_module_allows(
    check_limits: Callable[..., None], field: str, allowed: list[float], refused: list[float]
) -> None:
    module = StripModule(centre_strip=640.0, conversion_rad_per_strip=6.6e-5, offset_deg=0.0)
    assert module.arm_factor == 1  # rotates with the arm where nothing else is given
    check_limits(module, field, allowed, refused)


@pytest.mark.parametrize(
    ("field", "limit"),
    [("arm_torsion_deg", 1.0), ("sample_along_beam_mm", 20.0), ("sample_across_beam_mm", 20.0)],
)
def test_what_each_setting_of_the_ring_allows(
    check_limits: Callable[..., None], field: str, limit: float
) -> None:
    detector = nominal_detector(2, 0.0)
    assert getattr(detector, field) == 0
    check_limits(detector, field, [-0.999 * limit, 0.0, 0.999 * limit], [-limit, limit])
