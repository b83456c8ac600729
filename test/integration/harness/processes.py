"""Child processes that cannot outlive the test run, and the user that servers run as.

PostgreSQL refuses to run as root: started by root, servers run as the user `postgres` if there is one, else `nobody`.
Started by anybody else they run as that user.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def server_user():
    """The name of the user that servers run as, or None for the user who runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            pass
    raise RuntimeError("started as root, and there is neither a user postgres nor nobody to run PostgreSQL as")


def as_server_user():
    """Arguments for subprocess.run and Popen that make the child run as the server user."""
    name = server_user()
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give_to_server_user(path):
    name = server_user()
    if name is not None:
        entry = pwd.getpwnam(name)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def make_run_folder():
    """A new folder that the server user can enter, under $TMPDIR if he can enter that, else under /tmp.

    Its path is short, because the path of a Unix socket in it must stay below 108 bytes.
    """
    for parent in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp"):
        if not parent or not os.path.isdir(parent) or len(parent) > 60:
            continue
        probe = subprocess.run(["test", "-x", parent], cwd="/", **as_server_user())
        if probe.returncode == 0:
            folder = Path(tempfile.mkdtemp(prefix="mongoferry.", dir=parent))
            folder.chmod(0o755)
            return folder
    raise RuntimeError("no folder for temporary files that the server user can enter")


class Process:
    """A child in a session of its own (Ctrl-C in the terminal does not reach it), with its output in a file.

    When the process that started it dies, however it dies, the kernel sends `death_signal` to the child.
    """

    def __init__(self, command, log_path, *, env=None, unprivileged=False, death_signal=signal.SIGKILL, cwd="/"):
        self.log_path = Path(log_path)

        def before_exec():
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)

        with open(self.log_path, "ab") as log:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=env,
                start_new_session=True,
                preexec_fn=before_exec,
                **(as_server_user() if unprivileged else {}),
            )
        self.pid = self._child.pid

    def running(self):
        return self._child.poll() is None

    def log(self, offset=0):
        with open(self.log_path, "rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")

    def log_size(self):
        return self.log_path.stat().st_size

    def send_signal(self, number):
        if self.running():
            self._child.send_signal(number)

    def wait_for(self, condition, timeout, what):
        """Wait until condition() gives a true value and return it; an error if the process ends or time runs out."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if not self.running():
                raise RuntimeError(f"{what} ended with status {self._child.returncode}:\n{self.log()[-3000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} was not ready after {timeout} s:\n{self.log()[-3000:]}")
            time.sleep(0.02)

    def stop(self, *signals_and_patience):
        """Send each (signal, seconds) in turn until the process has ended; SIGKILL is the last word."""
        for number, patience in (*signals_and_patience, (signal.SIGKILL, 10)):
            if not self.running():
                return
            self._child.send_signal(number)
            try:
                self._child.wait(patience)
            except subprocess.TimeoutExpired:
                pass
