"""One call for IPython profiles and queue-server start-up files."""

from ._install import install, installed, uninstall

__all__ = ["install", "installed", "uninstall"]
