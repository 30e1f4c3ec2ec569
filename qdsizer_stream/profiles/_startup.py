"""Start-up files of IPython profiles and queue servers."""

import os
from pathlib import Path

from ..errors import ConfigurationError

__all__ = ["FILE_NAME", "installed_in", "profile_folders", "startup_text", "write_startup"]

FILE_NAME = "95-qdsizer.py"
"""Start-up files run in the order of their names: after those that make RE and its writers."""

MARK = "# Made by `qdsizer-stream profile install`"

TEXT = """\
{mark}; run it again to renew this file, delete the file to uninstall.
# Sizes every frame that RE measures; safe to run again. Writers of Tiled and databroker that are
# subscribed to RE receive their documents from the sizer from now on, with the sizes added.
from qdsizer_stream.profiles import install

sizer = install(RE, {arguments})
"""


def startup_text(
    config: str | os.PathLike[str],
    archive: str | os.PathLike[str] | None = None,
    spool: str | os.PathLike[str] | None = None,
) -> str:
    """Format the start-up file that installs the sizer.

    Parameters
    ----------
    config
        TOML file of the beamline.
    archive, spool
        As of `install`.

    Returns
    -------
    Python source that expects a RunEngine `RE`.
    """
    arguments = [f"config={str(Path(config).resolve())!r}"]
    if archive is not None:
        archive = os.fspath(archive)
        folder = not archive.startswith(("http://", "https://")) and (
            "/" in archive or Path(archive).is_dir()
        )
        arguments.append(f"archive={str(Path(archive).resolve()) if folder else archive!r}")
    if spool is not None:
        arguments.append(f"spool={str(Path(spool).resolve())!r}")
    return TEXT.format(mark=MARK, arguments=", ".join(arguments))


def profile_folders() -> dict[str, Path]:
    """List the IPython profiles of this user.

    Returns
    -------
    Folder of each by name.
    """
    root = Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")
    return {
        folder.name.removeprefix("profile_"): folder
        for folder in sorted(root.glob("profile_*"))
        if folder.is_dir()
    }


def installed_in() -> dict[str, Path]:
    """List the profiles that have a start-up file of this package.

    Returns
    -------
    The file of each by name of the profile.
    """
    files = {name: folder / "startup" / FILE_NAME for name, folder in profile_folders().items()}
    return {name: file for name, file in files.items() if file.exists()}


def write_startup(folder: str | os.PathLike[str], text: str) -> Path:
    """Write a start-up file, replacing an earlier one of this package.

    Parameters
    ----------
    folder
        Start-up folder.
    text
        As returned by `startup_text`.

    Returns
    -------
    The file.

    Raises
    ------
    ConfigurationError
        The folder does not exist, or the file there was not written by this package.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigurationError(
            f"no start-up folder {folder}: give one that exists, or a profile with --profile; existing "
            f"profiles are {', '.join(profile_folders()) or 'none'}"
        )
    file = folder / FILE_NAME
    if file.exists() and not file.read_text(encoding="utf-8").startswith(MARK):
        raise ConfigurationError(
            f"{file} was not written by this command: rename it, or add the lines to it by hand"
        )
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
    return file
