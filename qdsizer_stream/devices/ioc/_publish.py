"""Sizes as EPICS records."""

import asyncio
import logging
import math
import threading
from typing import Any

from caproto import AlarmSeverity, AlarmStatus, ChannelType  # type: ignore[import-untyped]
from caproto.server import PVGroup  # type: ignore[import-untyped]

from ...sizing import Status
from ._records import PATH_LENGTH, read_only
from ._serve import DEFAULT_PORT, serve_records

__all__ = ["SizePublisher"]

logger = logging.getLogger(__name__)

STREAM_NAME = "qd_size"
"""Stream of the estimates."""

START_TIMEOUT_S = 30.0
"""Time allowed until clients can connect, s; an idle computer needs less than one."""

SIZES = ("size_low", "size_high", "mass_mean", "dispersion", "lattice_parameter", "size")
"""Records without a value for a frame that was not sized."""

ALARM = "sizes"
"""Alarm group of these records."""

ALWAYS_VALID = ("residual", "counts", "latency", "status", "frame_seq_num")
"""Records with a value for every frame."""


class SizeRecords(PVGroup):  # type: ignore[misc]  # caproto states no types
    """The newest estimate; records of sizes are NaN and in alarm if there is none."""

    size = read_only("Size_RBV", math.nan, alarm_group=ALARM, units="nm", precision=2)
    size_low = read_only("SizeLow_RBV", math.nan, alarm_group=ALARM, units="nm", precision=2)
    size_high = read_only("SizeHigh_RBV", math.nan, alarm_group=ALARM, units="nm", precision=2)
    mass_mean = read_only("MassMean_RBV", math.nan, alarm_group=ALARM, units="nm", precision=2)
    dispersion = read_only("Dispersion_RBV", math.nan, alarm_group=ALARM, precision=3)
    lattice_parameter = read_only(
        "LatticeParameter_RBV", math.nan, alarm_group=ALARM, units="angstrom", precision=4
    )
    residual = read_only("Residual_RBV", math.nan, precision=4)
    counts = read_only("Counts_RBV", math.nan, units="counts", precision=0)
    latency = read_only("Latency_RBV", math.nan, units="s", precision=4)
    status = read_only(
        "Status_RBV",
        Status.NO_CRYSTAL.value,
        dtype=ChannelType.ENUM,
        enum_strings=[status.value for status in Status],
    )
    reason = read_only(
        "Reason_RBV",
        "no frame has arrived yet",
        dtype=ChannelType.CHAR,
        string_encoding="utf-8",
        max_length=PATH_LENGTH,
    )
    frame_seq_num = read_only("FrameSeqNum_RBV", 0)
    run = read_only("RunUid_RBV", "")

    async def show(self, run: str, data: dict[str, Any]) -> None:
        """Show an estimate.

        Parameters
        ----------
        run
            Identifier of its run.
        data
            Data of its event, by data key.
        """
        sized = data["qdsizer_status"] == Status.SIZED
        await self.run.write(run)
        await self.reason.write(_at_most(PATH_LENGTH - 1, data["qdsizer_reason"]))
        for name in ALWAYS_VALID:
            await getattr(self, name).write(data[f"qdsizer_{name}"])
        # The sizes come last: a client notified by one of them then reads other records of the same frame.
        await self._show_sizes({name: data[f"qdsizer_{name}"] for name in SIZES}, sized)

    async def show_nothing(self) -> None:
        """Publish that there is no estimate yet."""
        await self._show_sizes(dict.fromkeys(SIZES, math.nan), sized=False)

    async def _show_sizes(self, sizes: dict[str, float], sized: bool) -> None:
        # The alarm is shared and published with the values; verifying those would set it from their limits.
        await self.size.alarm.write(
            status=AlarmStatus.NO_ALARM if sized else AlarmStatus.UDF,
            severity=AlarmSeverity.NO_ALARM if sized else AlarmSeverity.INVALID_ALARM,
            publish=False,
        )
        for name, value in sizes.items():
            await getattr(self, name).write(value, verify_value=False)


def _at_most(n_bytes: int, text: str) -> str:
    """Cut a text to a number of bytes: an Å is two of them."""
    return text.encode()[:n_bytes].decode(errors="ignore")


class SizePublisher:
    """Publishes the newest estimate of a live sizer as records: `live.subscribe(SizePublisher("QD:"))`.

    The server runs in its own thread and never delays the sizer: if estimates arrive faster than they can be
    published, only the newest is.

    Parameters
    ----------
    prefix
        Prefix of the records.
    interface
        Address to listen on; the default is reachable from this computer only.
    port
        Port that clients use.

    Raises
    ------
    OSError
        The address or the port cannot be listened on.
    """

    def __init__(self, prefix: str, interface: str = "127.0.0.1", port: int = DEFAULT_PORT) -> None:
        self._records = SizeRecords(prefix=prefix)
        self._run = ""
        self._descriptors: set[str] = set()
        self._waiting: tuple[str, dict[str, Any]] | None = None
        self._address = (interface, port)
        self._failure: Exception | None = None
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"records {prefix}", daemon=True)
        self._thread.start()
        if not self._settled.wait(START_TIMEOUT_S):
            raise OSError(f"no server at {interface}:{port} within {START_TIMEOUT_S:g} s")
        if self._failure is not None:
            raise self._failure

    def __call__(self, name: str, doc: Any) -> None:
        """Handle a document.

        Parameters
        ----------
        name
            Kind of the document.
        doc
            The document; it is never changed.
        """
        if name == "start":
            self._run = doc["uid"]
        elif name == "descriptor" and doc["name"] == STREAM_NAME:
            self._descriptors = {doc["uid"]}
        elif name == "event" and doc["descriptor"] in self._descriptors:
            self._waiting = (self._run, doc["data"])
            self._loop.call_soon_threadsafe(self._new.set)

    def close(self) -> None:
        """Stop the server; clients are disconnected from the records."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # raised by the constructor, or logged if it comes later
            self._failure = error
            logger.exception("the server of the sizes has ended")
        finally:
            self._settled.set()

    async def _serve(self) -> None:
        interface, port = self._address
        self._loop, self._new, self._ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        async def started(_: Any) -> None:
            await self._records.show_nothing()
            self._settled.set()

        serving = asyncio.create_task(serve_records(self._records.pvdb, [interface], port, started))
        showing = asyncio.create_task(self._show())
        ended = asyncio.create_task(self._ended.wait())
        await asyncio.wait([serving, showing, ended], return_when=asyncio.FIRST_COMPLETED)
        showing.cancel()
        ended.cancel()
        serving.cancel()
        await serving

    async def _show(self) -> None:
        while True:
            await self._new.wait()
            self._new.clear()
            if self._waiting is not None:
                await self._records.show(*self._waiting)
