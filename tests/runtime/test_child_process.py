import os
import signal
import sys
import threading

import pytest

from spigot.runtime.child_process import describe_end, fork_child, start_child
from tests.support.processes import is_alive, run_script, wait_for

PARENT = """
import signal, sys
from spigot.runtime.child_process import describe_end, fork_child, start_child
child = start_child(["sleep", "600"], death_signal=int(sys.argv[1]))
print(child.pid, flush=True)
child.wait()
"""

PARENT_OF_A_DEAF_CHILD = """
import subprocess, sys
from spigot.runtime.child_process import describe_end, fork_child, start_child
DEAF = '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
'''
child = start_child([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""

FORKING_PARENT = """
import time
from spigot.runtime.child_process import fork_child
print(fork_child(lambda: None, lambda: time.sleep(600)), flush=True)
time.sleep(600)
"""

ORPHAN = """
import os, signal
from spigot.runtime.child_process import die_with_parent
die_with_parent(signal.SIGKILL, parent_pid=os.getppid() + 1)
print("still alive")
"""


def test_the_process_is_the_command_itself():
    with start_child(["sh", "-c", "echo $$"], stdout=-1) as child:
        assert int(child.stdout.read()) == child.pid


def test_the_exit_status_is_that_of_the_command():
    assert start_child(["sh", "-c", "exit 7"]).wait(20) == 7


def test_a_missing_program_is_one_line():
    with start_child(["/no/such/program"], stderr=-1) as child:
        assert child.stderr.read() == b"/no/such/program cannot be run: No such file or directory\n"
        assert child.wait(20) == 1


def test_a_terminals_signals_do_not_reach_the_child():
    with start_child(["sleep", "600"]) as child:
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
        child.kill()


@pytest.mark.parametrize("death_signal", [signal.SIGTERM, signal.SIGKILL])
def test_the_child_dies_with_its_killed_parent(death_signal):
    with run_script(PARENT, int(death_signal)) as parent:
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()

    wait_for(lambda: not is_alive(child), seconds=2)


def test_a_child_that_ignores_sigterm_dies_too():
    with run_script(PARENT_OF_A_DEAF_CHILD) as parent:
        child = int(parent.stdout.readline())
        parent.kill()

    wait_for(lambda: not is_alive(child), seconds=2)


def test_a_child_whose_parent_died_before_it_could_ask_dies_at_once():
    with run_script(ORPHAN) as child:
        assert child.stdout.read() == ""
        assert child.wait(20) == -signal.SIGKILL


def test_a_thread_may_not_start_children():
    refused = []

    def start():
        with pytest.raises(RuntimeError, match="use the main thread"):
            start_child(["true"])
        refused.append(True)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert refused


def no_signals():
    """Set no handlers."""


def end_of(live, take_signals=no_signals) -> int:
    pid = fork_child(take_signals, live)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_ends_with_the_status_it_returns():
    assert end_of(lambda: 7) == 7


def test_what_a_forked_child_raises_is_printed(capfd):
    def fail() -> int:
        raise SystemExit("enough")

    assert end_of(fail) == 1
    assert "SystemExit: enough" in capfd.readouterr().err


def test_a_forked_child_that_closed_its_output_leaves_its_parents_code_alone(capfd):
    def close_output() -> int:
        sys.stdout.close()
        sys.stderr.close()
        return 5

    assert end_of(close_output) == 5


def test_a_forked_child_dies_with_its_killed_parent():
    with run_script(FORKING_PARENT) as parent:
        child = int(parent.stdout.readline())
        parent.kill()

    wait_for(lambda: not is_alive(child), seconds=2)


def test_no_signal_is_lost_between_a_fork_and_the_childs_handlers():
    def take_signals():
        os.kill(os.getpid(), signal.SIGTERM)  # it is held back until there is a handler
        signal.signal(signal.SIGTERM, lambda *_: os._exit(9))

    assert end_of(lambda: 0, take_signals) == 9
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-9, "was killed by SIGKILL"),
        (-40, "was killed by signal 40"),
    ],
)
def test_an_end_is_told_in_words(returncode, words):
    assert describe_end(returncode) == words
