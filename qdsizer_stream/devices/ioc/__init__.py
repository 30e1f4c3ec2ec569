"""Channel Access servers: simulated MYTHENs with the records of their drivers, and sizes as records."""

from ._drivers import AdMythenIoc, SlsMythenIoc
from ._publish import SizePublisher
from ._serve import serve

__all__ = ["AdMythenIoc", "SizePublisher", "SlsMythenIoc", "serve"]
