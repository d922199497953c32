"""Processes that end with the process that started them, whatever ended that one.

A process that is killed cannot end its children. On Linux a child therefore asks the system to be
killed with its parent, and everywhere a thread of the child checks that the parent is still there.
The flow also starts programs that do neither; a process of its own watches over those.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil

POLL_S = 1.0
PR_SET_PDEATHSIG = 1  # of Linux, <linux/prctl.h>
GUARDED = "CONSILIENCE_GUARDED"  # names the process whose end a process must not outlive
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


def end_with_parent(parent: int, by_system: bool = True) -> None:
    """End this process within seconds of the end of its parent.

    Parameters
    ----------
    parent : int
        Process id of the parent, which may have ended already.
    by_system : bool
        Whether the system may be asked for it. Linux ends the child with the parent's *thread*
        that started it, so this must be False if that thread may end before the process.
    """
    if os.getpid() == parent:
        return
    if _is_left_over(parent):
        os._exit(1)
    if by_system:
        killed_with_parent()
    threading.Thread(target=_end_after, args=(parent,), name="parent", daemon=True).start()


def _is_left_over(parent: int) -> bool:
    """Return whether DVC had ended before its stage saw it, so that the first process took over."""
    return (
        parent == 1
        and "DVC_STAGE" in os.environ
        and not any("dvc" in word for word in psutil.Process(1).cmdline())
    )


def killed_with_parent() -> None:
    """Ask Linux to kill this process with its parent; elsewhere, do nothing."""
    if _PRCTL is not None:
        _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def from_main_thread() -> bool:
    """Return whether this is the main thread, which lives as long as the process."""
    return threading.current_thread() is threading.main_thread()


def guard_children() -> None:
    """Start a process that ends the children of this one, and theirs, when this one has ended.

    Those that start from now on have a variable in their environment by which they are recognised,
    also if they started in the last moment, or if their own parent has ended.
    """
    os.environ[GUARDED] = f"{os.getpid()}-{time.time_ns()}"
    subprocess.Popen(
        [sys.executable, "-m", __name__, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _guard(parent: int) -> None:
    """Follow the children of a process until it ends; kill those that remain."""
    children: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(parent)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            children.update(process.children(recursive=True))
            time.sleep(POLL_S)
    time.sleep(POLL_S)  # those that end by themselves are not disturbed
    for child in (children | _marked(os.environ.get(GUARDED, ""))) - {psutil.Process()}:
        with suppress(psutil.NoSuchProcess):
            child.kill()  # of a process id that is used again psutil raises


def _marked(mark: str) -> set[psutil.Process]:
    """Return the processes with a mark in their environment."""
    processes = set()
    for process in psutil.process_iter() if mark else ():
        with suppress(psutil.Error, OSError):  # ended, or of another user
            if process.environ().get(GUARDED) == mark:
                processes.add(process)
    return processes


if __name__ == "__main__":
    _guard(int(sys.argv[1]))
