"""Train the runs of a grid (see `kdlight ablate`), several at a time, and note how each of them ended."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import FrameType

from kdlight.cli.build import ParsedConfig
from kdlight.runs.folder import RunFolder
from kdlight.workbench.ablate.worker import PRELOADED, run_fit

POLL_SECONDS = 0.5
LAST_BYTES = 2_000  # how many bytes at the end of a log are searched for the reason of a failure
STOPPED = (130, 143, -signal.SIGINT, -signal.SIGTERM)  # exit codes of a run that a signal stopped


class State(StrEnum):
    """How far a job has come, or how it ended."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class Job:
    """A run that is to be trained.

    Attributes:
        name: The run's name in the table that shows the progress.
        arguments: The arguments of ``kdlight fit``.
        folder: The run's folder.
        log: The file into which the run's output is written.
        parsed: The run's configuration.
        epochs: How many epochs the run trains.
        needs: The jobs that train the run's teachers; they have to be finished first.
        state: How far the job has come, or how it ended.
        reason: Why the job failed or was stopped. If the run was already finished: the first of its settings that
            differs from the grid's. Otherwise empty.
    """

    name: str
    arguments: list[str]
    folder: RunFolder
    log: Path
    parsed: ParsedConfig
    epochs: int
    needs: list["Job"] = field(default_factory=list)
    state: State = State.WAITING
    reason: str = ""

    @property
    def trained(self) -> int:
        """The number of epochs that the run has logged."""
        if self.state is State.FINISHED:
            return self.epochs
        try:
            return min(self.epochs, len(self.folder.read_metrics()))
        except (OSError, ValueError, KeyError):  # the run has not logged an epoch yet
            return 0


def run_jobs(jobs: Sequence[Job], *, at_once: int, threads: int, show: Callable[[], None]) -> bool:
    """Train the jobs that are not finished, each in a process of its own.

    A job that fails does not stop the others. Ctrl-C and SIGTERM are passed on to the running processes. Each of them
    saves a checkpoint, if its training has begun, and ends. When all have ended, this function returns.

    Args:
        jobs: The jobs, whose states are updated.
        at_once: How many jobs run at the same time.
        threads: The number of CPU threads of each job.
        show: A function that is called a few times per second while the jobs run.

    Returns:
        False if Ctrl-C or SIGTERM stopped the jobs, otherwise True.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    running: dict[int, tuple[ForkServerProcess, Job]] = {}
    with _set_threads(threads), _hand_on(lambda: [process for process, _ in running.values()]) as received:
        while True:
            for job in _list_startable(jobs) if not received else ():
                if len(running) >= at_once:
                    break
                process = context.Process(target=run_fit, args=(job.arguments, threads, job.log), name=job.name)
                process.start()
                job.state = State.RUNNING
                running[process.sentinel] = process, job
            show()
            if not running:
                return not received
            for sentinel in wait(list(running), timeout=POLL_SECONDS):
                assert isinstance(sentinel, int)
                process, job = running.pop(sentinel)
                process.join()
                _note_end(job, process.exitcode)
                process.close()


def _list_startable(jobs: Sequence[Job]) -> Iterator[Job]:
    """Yield the waiting jobs whose teachers are trained.

    If a job's teacher failed or was stopped, mark the job as failed.
    """
    for job in jobs:
        if job.state is not State.WAITING:
            continue
        missing = [needed for needed in job.needs if needed.state in (State.FAILED, State.STOPPED)]
        if missing:
            job.state, job.reason = State.FAILED, f"its {missing[0].name} {missing[0].state}"
        elif all(needed.state is State.FINISHED for needed in job.needs):
            yield job


def _note_end(job: Job, code: int | None) -> None:
    if code == 0 and job.folder.result.is_file():
        job.state = State.FINISHED
    elif code in STOPPED:
        job.state, job.reason = State.STOPPED, "stopped by a signal; the same command continues it"
    elif code == -signal.SIGKILL:
        job.state, job.reason = State.FAILED, "killed by another process, or by the system when memory runs out"
    else:
        job.state, job.reason = State.FAILED, _find_reason(job.log) or f"ended with exit code {code}"


def _find_reason(log: Path) -> str:
    """Find the line of a log that says what went wrong: kdlight's message, or the last line of a traceback."""
    if not log.is_file():
        return ""
    text = log.read_bytes()[-LAST_BYTES:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("kdlight: ") for line in lines if line.startswith("kdlight: ")]
    return (said or lines or [""])[-1]


@contextmanager
def _set_threads(threads: int) -> Iterator[None]:
    """Set ``OMP_NUM_THREADS`` for the jobs' processes; some libraries read this variable when they are imported."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _hand_on(running: Callable[[], list[ForkServerProcess]]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the running processes, and yield a list to which received signals are added."""
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in running():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # Python allows signal handlers only there
        before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
