import pytest

from qdsizer_stream.reduction import StripDetector, StripModule

# Two modules of the X04SA detector as their calibration file has them.
X04SA_MODULE = StripModule(
    centre_strip=643.320033188550, conversion_rad_per_strip=0.657661167459868e-4, offset_deg=0.0
)
X04SA_NEIGHBOUR = StripModule(
    centre_strip=633.044070300816, conversion_rad_per_strip=6.57618957538105e-5, offset_deg=5.00486981153634
)


@pytest.fixture
def x04sa_module() -> StripModule:
    return X04SA_MODULE


@pytest.fixture
def x04sa_pair() -> StripDetector:
    return StripDetector(modules=(X04SA_MODULE, X04SA_NEIGHBOUR), global_offset_deg=0.0)
