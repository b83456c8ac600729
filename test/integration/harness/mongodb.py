"""The MongoDB-compatible server of the tests: SecantusDB, or whatever MONGOFERRY_TEST_URI names."""

import os
import re
import shutil
import signal
import sys
from pathlib import Path
from urllib.parse import quote_plus

from .processes import Process


def secantus_program():
    """The path of secantusd-py: beside this Python, else in PATH; None where SecantusDB is not installed."""
    beside = Path(sys.executable).with_name("secantusd-py")
    return str(beside) if beside.exists() else shutil.which("secantusd-py")


class NotInstalled(RuntimeError):
    """There is no SecantusDB here."""


class ExternalServer:
    """A MongoDB that somebody else runs. `host` and `port` only where a proxy may stand before it: its URI names one
    host, and neither a user nor TLS."""

    def __init__(self, uri):
        self.uri = uri
        plain = re.fullmatch(r"mongodb://([^@/?,:\[\]]+)(?::(\d+))?/?(?:\?.*)?", uri)
        if plain and not re.search(r"[?&](tls|ssl)=true", uri, re.IGNORECASE):
            self.host, self.port = plain.group(1), int(plain.group(2) or 27017)

    def stop(self):
        pass


class Secantus:
    """A SecantusDB on a free port of the loopback address, with its files in `folder`.

    uri         the connection string, without user names
    host, port
    """

    host = "127.0.0.1"

    def __init__(self, folder, *, arguments=("--enable-test-commands",), uri_options="", persistent=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / "secantus.log"
        self.port = None
        self._arguments = list(arguments)
        self._uri_options = uri_options
        self._storage = str(self.folder / "storage") if persistent else ":memory:"
        self._process = None

    @property
    def uri(self):
        return f"mongodb://{self.host}:{self.port}/" + (f"?{self._uri_options}" if self._uri_options else "")

    def uri_for(self, user, password, auth_source="admin"):
        options = f"authSource={auth_source}" + (f"&{self._uri_options}" if self._uri_options else "")
        return f"mongodb://{quote_plus(user)}:{quote_plus(password)}@{self.host}:{self.port}/?{options}"

    def start(self, extra_arguments=(), port=0):
        program = secantus_program()
        if program is None:
            raise NotInstalled("SecantusDB is not installed: pip install -r test/integration/requirements.txt")
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        command = [program, "--host", self.host, "--port", str(port), "--storage-path", self._storage, "--cache-size", "256M",
                   "--log-level", "INFO", *self._arguments, *extra_arguments]
        self._process = Process(command, self.log_path, env={**os.environ, "TMPDIR": str(temporary), "HOME": str(self.folder)},
                                cwd=self.folder)
        seen = self._process.log_size()
        listening = self._process.wait_for(
            lambda: re.search(r"listening on \S+:(\d+)", self._process.log(seen)), 60, "SecantusDB")
        self.port = int(listening.group(1))
        return self

    def stop(self):
        """End the server, as `kill -9` would: it keeps nothing that matters unless it is persistent."""
        if self._process:
            patience = [(signal.SIGTERM, 10)] if self._storage != ":memory:" else []
            self._process.stop(*patience)
            self._process = None

    def kill(self):
        """End the server as `kill -9` does, persistent or not."""
        self._process.stop()
        self._process = None

    def restart(self):
        """End the server and start it again on the same port (an in-memory one is empty then)."""
        port = self.port
        self.stop()
        self.start(port=port)

    def pause(self):
        """Freeze the process: connections stay open and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def log(self):
        return self._process.log()


def start_server(folder):
    """The server that the tests share: the one MONGOFERRY_TEST_URI names, else a SecantusDB of their own."""
    uri = os.environ.get("MONGOFERRY_TEST_URI")
    return ExternalServer(uri) if uri else Secantus(folder).start()
