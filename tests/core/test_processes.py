"""No process outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from consilience.core import processes

# A process that starts a child by the rule under test, prints its id and waits.
BY_ITSELF = """
import os, subprocess, sys, time
child = "import time; from consilience.core.processes import end_with_parent as e; "
child += f"e({os.getpid()}, {by_system}); print(1, flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(60)
"""
GUARDED = """
import subprocess, time
from consilience.core.processes import guard_children
guard_children()
process = subprocess.Popen(["sleep", "60"])
time.sleep(2.5)
print(process.pid, flush=True)
time.sleep(60)
"""
# Started in the last moment, by a program that has ended.
GUARDED_LATE = """
import subprocess, time
from consilience.core.processes import guard_children
guard_children()
time.sleep(2.5)
subprocess.run(["sh", "-c", "sleep 60 > /dev/null & echo $!"])
time.sleep(60)
"""
WORKERS = """
import os, time, functools
from consilience.core.isolation import isolated_map
from consilience.core.workers import parallel_map
run = functools.partial(isolated_map, limit_s=60, on_loss=print) if isolated else parallel_map
# In one write: the lines of two processes would mix.
line = "print(str(__import__('os').getpid()) + chr(10), end='', flush=True)"
run(eval, [f"{line} or __import__('time').sleep(60)"] * 2, "t")
"""


@pytest.mark.parametrize(
    "program",
    [
        BY_ITSELF.replace("{by_system}", "True"),
        BY_ITSELF.replace("{by_system}", "False"),
        GUARDED,
        GUARDED_LATE,
        pytest.param(WORKERS.replace("isolated else", "1 else"), id="isolated_map"),
        pytest.param(WORKERS.replace("isolated else", "0 else"), id="parallel_map"),
    ],
)
def test_a_child_ends_with_a_parent_that_is_killed(program, is_running):
    environment = {**os.environ, "CONSILIENCE_WORKERS": "2"}
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until_s = time.monotonic() + 5
    while is_running(child) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not is_running(child)


@pytest.mark.parametrize(
    ("parent", "stage", "first", "left_over"),
    [
        (1, True, ["/sbin/init"], True),
        (1, True, ["python", "/bin/dvc", "repro"], False),
        (1, False, ["/sbin/init"], False),
        (7, True, ["/sbin/init"], False),
    ],
)
def test_a_stage_that_dvc_left_is_recognised(monkeypatch, parent, stage, first, left_over):
    monkeypatch.setattr(
        processes.psutil, "Process", lambda pid: SimpleNamespace(cmdline=lambda: first)
    )
    monkeypatch.setenv("DVC_STAGE", "label") if stage else monkeypatch.delenv("DVC_STAGE", False)
    assert processes._is_left_over(parent) is left_over
