"""Frames in files that wait for the event of their step."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._frame import Announced
from ._number_ranges import NumberRanges

__all__ = ["EventMatch"]

EVENT_WAIT_S = 0.2
"""How long a frame waits for an event that would only date it, s: in a step scan it follows at once."""

MAX_EVENTS = 10_000
"""Events without frames that are kept per descriptor: those of which a `stream_datum` comes late."""


@dataclass
class _Descriptor:
    """Frames and events of one descriptor that have not met."""

    frames: deque[Announced] = field(default_factory=deque)
    events: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    flown: bool = False
    """Whether a frame waited in vain."""
    deadline: float = 0.0
    required: tuple[str, ...] = ()
    given: NumberRanges = field(default_factory=NumberRanges)
    """Sequence numbers of frames that were released without their event, which may still come."""


class EventMatch:
    """Gives frames that a `stream_datum` announced the data and the time of their event.

    An event belongs to the oldest waiting frame of its descriptor with its sequence number, which repeats
    after a pause. Streams that are flown have no events: their frames wait for them only where a setting is
    read from events.
    """

    def __init__(self) -> None:
        self._descriptors: dict[str, _Descriptor] = {}
        self._stepped: set[str] = set()  # streams that have had an event

    @property
    def due(self) -> float | None:
        """When frames are to be released without an event, s on the monotonic clock."""
        waiting = [one.deadline for one in self._descriptors.values() if self._only_dated(one)]
        return min(waiting, default=None)

    @property
    def holding(self) -> bool:
        """Whether frames wait for their event."""
        return any(state.frames for state in self._descriptors.values())

    def frames(self, announced: list[Announced], required: list[str]) -> Iterator[Announced]:
        """Take frames.

        Parameters
        ----------
        announced
            Frames of one descriptor.
        required
            Settings that are read from their events.

        Returns
        -------
        Those that are ready.
        """
        for one in announced:
            state = self._state(one.descriptor["uid"])
            state.required = tuple(required)
            event = next((doc for doc in state.events if doc["seq_num"] == one.seq_num), None)
            if event is not None:
                state.events.remove(event)
                yield _with_event(one, event)
            elif state.flown and not required:
                state.given.add(one.seq_num)
                yield one
            else:
                if not state.frames:
                    state.deadline = time.monotonic() + EVENT_WAIT_S
                state.frames.append(one)

    def event(self, event: Mapping[str, Any], stream: str) -> Iterator[Announced]:
        """Take an event.

        Parameters
        ----------
        event
            The event; kept where its frame has not come.
        stream
            Its stream.

        Returns
        -------
        Its frames.
        """
        state = self._state(event["descriptor"])
        state.flown = False
        self._stepped.add(stream)  # with the next descriptor of the stream too
        found = next((one for one in state.frames if one.seq_num == event["seq_num"]), None)
        if found is None:
            if not state.given.remove(event["seq_num"]):
                state.events.append(event)
        else:
            state.frames.remove(found)
            yield _with_event(found, event)

    def release(self) -> Iterator[Announced]:
        """Release frames that waited long enough for an event that would only date them."""
        for state in self._descriptors.values():
            if self._only_dated(state) and time.monotonic() >= state.deadline:
                state.flown = True
                for one in _drained(state):
                    state.given.add(one.seq_num)
                    yield one

    def finish(self) -> Iterator[Announced]:
        """Release all frames at the end of the run; those that require an event cannot be sized."""
        for state in self._descriptors.values():
            for one in _drained(state):
                # An absorption peak is only compared with.
                names = [name for name in state.required if name != "optics.peak"]
                if names and not one.problem:
                    one.problem = (
                        f"no event came with this frame of stream {one.stream}, but "
                        f"{', '.join(names)} is read from events (data_key): in flown streams give "
                        "configuration_key, start_key or value instead"
                    )
                yield one

    def without_frames(self) -> Iterator[Mapping[str, Any]]:
        """Events whose frames were never announced, at the end of the run."""
        for state in self._descriptors.values():
            yield from state.events
            state.events.clear()

    def _state(self, descriptor: str) -> _Descriptor:
        return self._descriptors.setdefault(descriptor, _Descriptor())

    def _only_dated(self, state: _Descriptor) -> bool:
        """Whether frames wait for an event that would only date them, and may never come."""
        return bool(state.frames) and not state.required and state.frames[0].stream not in self._stepped


def _drained(state: _Descriptor) -> list[Announced]:
    frames = list(state.frames)
    state.frames.clear()
    return frames


def _with_event(one: Announced, event: Mapping[str, Any]) -> Announced:
    one.data, one.time = event["data"], event["time"]
    return one
