"""Channel Access servers: simulated MYTHENs under the names of their drivers, sizes for the control room."""

from ._drivers import AdMythenIoc, SlsMythenIoc
from ._publish import SizePublisher
from ._serve import serve

__all__ = ["AdMythenIoc", "SizePublisher", "SlsMythenIoc", "serve"]
