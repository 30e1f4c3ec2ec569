"""Installation of the live sizer in IPython profiles and queue-server start-up files."""

from ._check import Finding, check
from ._check_run import check_run
from ._discover import Discovery, discover
from ._install import default_spool, install, installed, uninstall
from ._settings_file import SCHEMA_FILE, settings_schema, settings_text
from ._startup import profile_folders, startup_text, write_startup

__all__ = [
    "SCHEMA_FILE",
    "Discovery",
    "Finding",
    "check",
    "check_run",
    "default_spool",
    "discover",
    "install",
    "installed",
    "profile_folders",
    "settings_schema",
    "settings_text",
    "startup_text",
    "uninstall",
    "write_startup",
]
