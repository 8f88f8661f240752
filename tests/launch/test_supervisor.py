import logging
import os
import signal
import subprocess
import sys

import pytest

from spigot.launch.child import Child, ChildEndedError
from spigot.launch.supervisor import NotReadyError, Supervisor
from spigot.runtime.backoff import Backoff
from spigot.runtime.stop_signals import StopRequested
from tests.support.processes import descendants, is_alive, run_script, wait_for

FAMILY = r"""
import os, sys
from contextlib import suppress
from spigot.launch.child import Child
from spigot.launch.supervisor import Supervisor
from spigot.runtime.stop_signals import StopRequested

NOTE_THE_STOP = r'''
import os, signal, sys, time
name, path = sys.argv[1:]
def stop(*_):
    time.sleep(0.1)
    with open(path, "a") as file:
        print(name, file=file)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
os.write(1, f"{name} {os.getpid()}\n".encode())  # at once: the three share a pipe
time.sleep(600)
'''

with suppress(StopRequested), Supervisor() as supervisor:
    for name in "server", "workers", "web":
        command = [sys.executable, "-c", NOTE_THE_STOP, name, sys.argv[1]]
        supervisor.start(Child(name, command, stop_seconds=20))
    supervisor.run()
"""

SLEEP = ["sleep", "600"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time, pathlib, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "pathlib.Path(sys.argv[1]).touch()\n"
    "time.sleep(600)",
]


@pytest.fixture
def stops(tmp_path):
    return tmp_path / "stops"


@pytest.fixture
def on_hangup():
    """Return a function that says what a hangup does to processes which are started later."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_all_in_the_reverse_order(stops, stop_signal, on_hangup):
    on_hangup(signal.SIG_DFL)
    with run_script(FAMILY, stops) as supervisor:
        children = started(supervisor)
        supervisor.send_signal(stop_signal)

        assert supervisor.wait(20) == 0
        assert stops.read_text().split() == ["web", "workers", "server"]
        assert not any(map(is_alive, children.values()))


def test_a_hangup_is_ignored_under_nohup(stops, on_hangup):
    on_hangup(signal.SIG_IGN)
    with run_script(FAMILY, stops) as supervisor:
        started(supervisor)
        supervisor.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.wait(0.5)

        supervisor.send_signal(signal.SIGTERM)

        assert supervisor.wait(20) == 0


def test_a_child_that_all_need_ends_all_in_order(stops):
    with run_script(FAMILY, stops) as supervisor:
        os.kill(started(supervisor)["web"], signal.SIGKILL)

        assert supervisor.wait(20) == 1
        assert (
            "ChildEndedError: web was killed by SIGKILL; everything was" in supervisor.stderr.read()
        )
        assert stops.read_text().split() == ["workers", "server"]


def test_nothing_is_left_two_seconds_after_the_supervisor_was_killed(stops):
    with run_script(FAMILY, stops) as supervisor:
        children = started(supervisor)
        supervisor.kill()

    wait_for(lambda: not any(map(is_alive, children.values())), seconds=2)
    assert not stops.exists()


def test_a_child_to_be_restarted_is_started_again_after_a_wait(tmp_path, caplog):
    stop_us_at_the_fourth_start = f"""
        echo >> {tmp_path}/starts
        [ $(wc -l < {tmp_path}/starts) -lt 4 ] || kill -TERM $PPID
        exit 3
    """
    workers = Child("workers", ["sh", "-c", stop_us_at_the_fourth_start], 1, restart=True)
    caplog.set_level(logging.WARNING)

    with Supervisor() as supervisor:
        supervisor.start(workers, Backoff(first=0.01, longest=0.02))
        with pytest.raises(StopRequested):
            supervisor.run()

    assert caplog.messages[:3] == [
        "workers ended with status 3; next start in 0.01 s",
        "workers ended with status 3; next start in 0.02 s",
        "workers ended with status 3; next start in 0.02 s",
    ]


def test_a_child_deaf_to_sigterm_is_killed(tmp_path, caplog):
    ready = tmp_path / "ready"

    with Supervisor() as supervisor:
        supervisor.start(Child("workers", [*DEAF, str(ready)], stop_seconds=0.1))
        supervisor.wait_until(ready.exists, 20)

    assert "workers did not stop in time and was killed" in caplog.text


@pytest.mark.slow
def test_a_second_signal_hurries_the_stop(tmp_path):
    script = """
import sys
from contextlib import suppress
from spigot.launch import child
from spigot.launch.child import Child
from spigot.launch.supervisor import Supervisor
from spigot.runtime.stop_signals import StopRequested
child.HURRY_SECONDS = 0.3
with suppress(StopRequested), Supervisor() as supervisor:
    for name in "server", "web":
        supervisor.start(Child(name, [*sys.argv[1:-1], f"{sys.argv[-1]}-{name}"], 600))
    supervisor.run()
"""
    ready = tmp_path / "ready"
    with run_script(script, *DEAF, ready) as supervisor:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        children = descendants(supervisor.pid)
        supervisor.terminate()
        supervisor.terminate()  # that of the same stop
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.wait(1.2)
        supervisor.terminate()

        assert supervisor.wait(5) == 0
        assert not any(map(is_alive, children))
        killed = [line for line in supervisor.stderr if "was killed" in line]
        assert [line.split()[0] for line in killed] == ["web", "server"]


def test_the_group_of_a_deaf_child_is_killed_with_it(tmp_path):
    ready, pid = tmp_path / "ready", tmp_path / "pid"
    command = ["sh", "-c", f'sleep 600 & echo $! > {pid}; exec "$@"', "sh", *DEAF, str(ready)]

    with Supervisor() as supervisor:
        supervisor.start(Child("web", command, stop_seconds=0.1))
        supervisor.wait_until(ready.exists, 20)

    wait_for(lambda: not is_alive(int(pid.read_text())))


def test_while_starting_the_end_of_any_child_is_an_error():
    with Supervisor() as supervisor:
        supervisor.start(Child("web", SLEEP, 1))
        supervisor.start(Child("workers", ["sh", "-c", "exit 3"], 1, restart=True))

        with pytest.raises(ChildEndedError, match="workers ended with status 3; everything was"):
            supervisor.wait_until(lambda: False, 20)


def test_waits_no_longer_than_it_was_told():
    with Supervisor() as supervisor:
        supervisor.start(Child("web", SLEEP, 1))

        with pytest.raises(NotReadyError, match=r"not ready after 0\.01 s"):
            supervisor.wait_until(lambda: False, 0.01)


def test_a_signal_leads_out_of_the_start():
    with Supervisor() as supervisor:
        supervisor.start(Child("web", SLEEP, 1))
        os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(StopRequested):
            supervisor.wait_until(lambda: False, 20)


def test_a_child_reads_what_it_is_given(tmp_path):
    copy = tmp_path / "copy"
    command = ["sh", "-c", f"cat > {copy}.part; mv {copy}.part {copy}; exec sleep 600"]

    with Supervisor() as supervisor:
        supervisor.start(Child("server", command, 1, stdin=b"secret"))
        supervisor.wait_until(copy.exists, 20)

    assert copy.read_bytes() == b"secret"


def test_the_signals_mean_what_they_meant_before():
    before = [signal.getsignal(number) for number in signal.valid_signals()]

    with Supervisor():
        pass

    assert [signal.getsignal(number) for number in signal.valid_signals()] == before


def started(supervisor):
    """Wait for the three children of ``FAMILY``; return their process ids by name."""
    lines = [supervisor.stdout.readline().split() for _ in range(3)]
    return {name: int(pid) for name, pid in lines}
