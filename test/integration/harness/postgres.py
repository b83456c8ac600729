"""A throw-away PostgreSQL: a private installation that extensions can be installed into, and a server on a Unix socket."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .processes import Process, as_server_user, give_to_server_user

REPOSITORY = Path(__file__).resolve().parents[3]

_SETTINGS = """
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 60
max_worker_processes = 24
autovacuum = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
"""


def make_private_installation(folder, pg_config=None):
    """Copy the installed PostgreSQL of `pg_config` (default: $PG_CONFIG, else the newest) to `folder`; its pg_config's path."""
    env = dict(os.environ)
    if pg_config:
        env["PG_CONFIG"] = str(pg_config)
    done = subprocess.run([REPOSITORY / "test/tools/private-postgres", folder], env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError("there is no PostgreSQL to test with")
    return Path(done.stdout.strip())


def build_and_install(pg_config, log_path, make_arguments=()):
    """Build the extension in the source tree and install it into the installation of `pg_config`."""
    with open(log_path, "ab") as log:
        command = ["make", "-C", REPOSITORY, f"-j{os.cpu_count()}", "install", f"PG_CONFIG={pg_config}", *make_arguments]
        env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=env)
    if done.returncode != 0:
        raise RuntimeError(f"the extension does not build:\n{Path(log_path).read_text(errors='replace')[-4000:]}")


class Postgres:
    """A server in `folder`. Reached over a Unix socket only; everybody on this machine's socket is trusted.

    superuser   the name of its superuser
    socket_dir  what to give as host
    port        part of the socket's name
    """

    superuser = "postgres"
    port = 5432

    def __init__(self, pg_config, folder, settings=""):
        self.folder = Path(folder)
        self.pg_config = Path(pg_config)
        self.bin = self.pg_config.parent
        self.data = self.folder / "data"
        self.socket_dir = self.folder
        self.log_path = self.folder / "postgres.log"
        self._settings = settings
        self._process = None

    def start(self):
        if not self.data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            give_to_server_user(self.folder)
            self._run("initdb", "--pgdata", self.data, "--username", self.superuser, "--auth", "trust", "--no-sync",
                      "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions")
            with open(self.data / "postgresql.conf", "a") as conf:
                conf.write(_SETTINGS + f"unix_socket_directories = '{self.socket_dir}'\n" + self._settings)
        # SIGQUIT: should the test run be killed, the server goes at once.
        self._process = Process([self.bin / "postgres", "-D", self.data], self.log_path, env=self._environment(),
                                unprivileged=True, death_signal=signal.SIGQUIT)
        seen = self._process.log_size()
        self._process.wait_for(lambda: "database system is ready to accept connections" in self._process.log(seen),
                               60, "PostgreSQL")
        return self

    def stop(self):
        if self._process:
            self._process.stop((signal.SIGINT, 15), (signal.SIGQUIT, 10))
            self._process = None

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        return self._process.pid

    def log(self, offset=0):
        """The server's log, from a byte offset."""
        with open(self.log_path, "rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")

    def log_size(self):
        return self.log_path.stat().st_size

    def conninfo(self, database="postgres", user=None):
        return {"host": str(self.socket_dir), "port": self.port, "dbname": database, "user": user or self.superuser}

    def connect(self, database="postgres", user=None, **options):
        """A psycopg connection, autocommitting."""
        import psycopg  # here: test/tools/with-servers does without it

        return psycopg.connect(**{"autocommit": True, **self.conninfo(database, user), **options})

    def connect_when_ready(self, seconds=60):
        """The same as soon as the server takes connections: after a crash it recovers first."""
        import psycopg

        end = time.monotonic() + seconds
        while True:
            try:
                return self.connect()
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def environment(self, database="postgres", user=None):
        """The variables that make psql, pg_regress and any libpq program reach this server."""
        return {"PGHOST": str(self.socket_dir), "PGPORT": str(self.port), "PGUSER": user or self.superuser,
                "PGDATABASE": database}

    def psql(self, sql, database="postgres", user=None, check=True, timeout=60, variables=(), options=("-At", "-q")):
        """Run SQL through psql; a CompletedProcess. With check, a failing statement is an AssertionError."""
        command = [self.bin / "psql", "-X", "-v", "ON_ERROR_STOP=1", *options]
        for name, value in dict(variables).items():
            command += ["-v", f"{name}={value}"]
        env = {**os.environ, **self.environment(database, user), "PGCLIENTENCODING": "UTF8"}
        done = subprocess.run(command, input=sql, env=env, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"psql failed:\n{done.stderr}")
        return done

    def _environment(self):
        # no settings of the user's own PostgreSQL or MongoDB, and messages in English
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        return {**env, "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}

    def _run(self, program, *arguments):
        done = subprocess.run([str(self.bin / program), *(str(argument) for argument in arguments)], cwd="/",
                              env=self._environment(), capture_output=True, text=True, **as_server_user())
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")
