"""Statements that run while a test does something else."""

import threading
import time

import psycopg


def wait_until(condition, seconds=20):
    """Wait for a condition to become true, and return its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Call:
    """A statement that runs in a thread, on a connection of its own."""

    def __init__(self, connection, sql):
        self.connection = connection
        self.pid = connection.info.backend_pid
        self.notices = []
        self.error = None
        connection.add_notice_handler(self._note)
        self._thread = threading.Thread(target=self._run, args=(sql,), daemon=True)
        self._thread.start()

    def _note(self, diagnostic):
        self.notices.append((diagnostic.severity, diagnostic.message_primary, diagnostic.message_detail,
                             diagnostic.message_hint))

    def _run(self, sql):
        try:
            self.connection.execute(sql)
        except psycopg.Error as error:
            self.error = error

    def wait(self, seconds=30):
        """The error it ended with, or None."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it does not end"
        return self.error

    def messages(self, severity="NOTICE"):
        return [message for found, message, _, _ in self.notices if found == severity]
