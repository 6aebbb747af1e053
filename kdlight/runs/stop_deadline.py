"""End a process that was told to stop by a signal, but waits for another process that does not answer."""

import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopDeadline:
    """Ends this process if it makes no progress for some time after SIGTERM or Ctrl-C.

    While a process waits in a collective operation, its main thread runs no Python code, and therefore no signal
    handler. If the process waits for a frozen one, gloo (torch's communication over the CPU) gives up only after half
    an hour. Therefore a second thread waits for signals: Python writes the number of each signal into one end of a pair
    of sockets as soon as the signal arrives, and the second thread reads the other end.

    Args:
        seconds: How long the process may go without progress.
        end_others: A function that ends the processes that this one started.
    """

    def __init__(self, seconds: float, end_others: Callable[[], None]) -> None:
        self.seconds = seconds
        self._end_others = end_others
        self._moved = time.monotonic()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()

    def note_progress(self) -> None:
        """Record that the processes have just communicated."""
        self._moved = time.monotonic()

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """Suspend the deadline inside a ``with`` block."""
        self._moved = math.inf
        try:
            yield
        finally:
            self.note_progress()

    def close(self) -> None:
        """Stop watching for signals."""
        signal.set_wakeup_fd(self._before)
        self._writer.close()

    def _watch(self) -> None:
        told = None
        with self._reader:
            while True:
                try:
                    numbers = self._reader.recv(64)
                except TimeoutError:
                    assert told is not None
                    if time.monotonic() - self._moved > self.seconds:
                        self._end(told)
                    continue
                if not numbers:
                    return
                if told is None and (known := [number for number in numbers if number in SIGNALS]):
                    told = known[0]
                    self._moved = max(self._moved, time.monotonic())
                    self._reader.settimeout(min(1.0, self.seconds))

    def _end(self, number: int) -> None:
        print(
            f"kdlight: told to stop, but another process of this run, perhaps a frozen one, has not answered for "
            f"{self.seconds:g} seconds; ended without saving the position in the epoch; go on with --ckpt_path auto",
            file=sys.stderr,
            flush=True,
        )
        self._end_others()
        os._exit(128 + number)
