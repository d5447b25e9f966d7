"""Where the tasks of a sweep run: processes of this machine, a Dask cluster, or Slurm jobs."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hcb_opt.errors import InvalidInput

P = ParamSpec("P")
T = TypeVar("T")

_SPAWN = multiprocessing.get_context("spawn")
_SLURM_JOBS = 256
_SLURM_MINUTES = 120
_SLURM_CPUS = 2
_CONNECT_SECONDS = 30
_GRACE_SECONDS = 2.0


@contextmanager
def open_executor(
    cluster: str | None = None, slurm: Path | None = None, processes: int | None = None
) -> Iterator[Executor]:
    """An executor for a sweep, closed at the end; running tasks are ended with it.

    Parameters
    ----------
    cluster : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``.
    slurm : Path, optional
        Folder for the files of Slurm jobs, on a file system that the machines
        share; submitit runs them as processes of this one where there is no
        Slurm.
    processes : int, optional
        Local processes, where neither is given; 1 if not given.

    Raises
    ------
    InvalidInput
        If more than one is asked for, there are no processes, or no scheduler
        answers.
    """
    if sum(each is not None for each in (cluster, slurm, processes)) > 1:
        raise InvalidInput("cluster, slurm, processes", "more than one is asked for", "give one of them")
    if processes is not None and processes < 1:
        raise InvalidInput(f"processes {processes}", "not above zero", "give at least 1")
    if cluster is not None:
        with _dask(cluster) as executor:
            yield executor
        return
    local = Slurm(slurm) if slurm is not None else LocalProcesses(processes or 1)
    try:
        yield local
    finally:
        local.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        why = f"no Dask scheduler answers ({type(error).__name__})"
        raise InvalidInput(f"cluster {address}", why, "start one, or correct the address") from None
    with client:
        # A task that failed is to run again, not to be answered from the failure of its like.
        executor: Executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


class LocalProcesses(Executor):
    """Processes of this machine, each on its own: one that is killed fails its own task only, and is replaced.

    `concurrent.futures.ProcessPoolExecutor` gives all its tasks up when one of
    its processes dies.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="local-process")
        self._own = threading.local()
        self._all: list[_Process] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a picklable call in one of the processes."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes, when their tasks have ended or, with ``cancel_futures``, at once."""
        if not cancel_futures:
            self._threads.shutdown(wait=wait)
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._all:
            process.interrupt()
        for process in self._all:
            process.end()

    def _call(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        process: _Process | None = getattr(self._own, "process", None)
        if process is None or not process.alive:
            process = self._own.process = _Process()
            self._all.append(process)
        answer: T = process.call(fn, args, kwargs)
        return answer


class _Process:
    """One process that answers calls, until it is interrupted."""

    def __init__(self) -> None:
        self._ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_answer_calls, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            self._ours.send((fn, args, kwargs))
            answer, error = self._ours.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise BrokenProcessPool(f"its process ended by itself, with exit code {self._process.exitcode}") from None
        if error is not None:
            raise error
        return answer

    def interrupt(self) -> None:
        """End the process as Ctrl-C does, so that it ends its solvers, too."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGINT)

    def end(self) -> None:
        """Wait for an interrupted process, but not for long."""
        self._process.join(_GRACE_SECONDS)
        self._process.kill()
        self._process.join()


def _answer_calls(calls: Connection) -> None:
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            fn, args, kwargs = calls.recv()
            answer: tuple[Any, Exception | None]
            try:
                answer = fn(*args, **kwargs), None
            except Exception as error:
                answer = None, _portable(error)
            calls.send(answer)
    # Once is enough: a second interrupt would disturb the end of the solvers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _portable(error: Exception) -> Exception:
    """The error itself if it can travel, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class Slurm(Executor):
    """Jobs of a Slurm cluster through submitit, one for each task.

    Parameters
    ----------
    folder : Path
        For calls, answers and logs; on a file system that all machines share.
    """

    def __init__(self, folder: Path) -> None:
        import submitit

        self._jobs = submitit.AutoExecutor(folder=folder)
        self._jobs.update_parameters(name="hcb-opt", timeout_min=_SLURM_MINUTES, cpus_per_task=_SLURM_CPUS)
        self._waiting = ThreadPoolExecutor(_SLURM_JOBS, thread_name_prefix="slurm-job")
        self._lock = threading.Lock()
        self._running: set[Any] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a picklable call as a job."""
        return self._waiting.submit(self._call, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for the jobs; with ``cancel_futures`` cancel them first."""
        if cancel_futures:
            self._waiting.shutdown(wait=False, cancel_futures=True)
            for job in list(self._running):
                job.cancel()
        self._waiting.shutdown(wait=wait)

    def _call(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with self._lock:
            job = self._jobs.submit(fn, *args, **kwargs)
        self._running.add(job)
        try:
            answer: T = job.result()
            return answer
        finally:
            self._running.discard(job)


@contextmanager
def given_or_local(executor: Executor | None, workers: int) -> Iterator[Executor]:
    """The executor that was given, which stays open, or local processes for as many tasks as the processors bear.

    Parameters
    ----------
    executor : Executor or None
    workers : int
        Threads that a task may use.
    """
    if executor is not None:
        yield executor
        return
    with open_executor(processes=max(1, (os.cpu_count() or 1) // max(1, workers))) as local:
        yield local
