"""A TCP proxy whose connections can be stalled, cut and refused: for tests of cancellation and of lost connections."""

import select
import socket
import threading
import time


class Proxy:
    """Listens on a free loopback port and forwards every connection to host:port.

        with Proxy(server.host, server.port) as proxy:
            … connect to proxy.uri …
            proxy.silence()

    silence()            no byte goes in either direction any more; connections stay open and new ones are accepted
    speak()              bytes flow again, those held back first
    silence_after(n)     as silence(), once n more bytes have come from the server
    cut()                reset all connections; new ones work
    cut_after(n)         as cut(), once n more bytes have come from the server (in the middle of a reply, if so)
    close_after(n)       the same with an orderly end of the stream instead of a reset
    refuse() / accept()  close the listening port / open it again
    connections          how many are open now
    accepted             how many there have been
    """

    def __init__(self, host, port, *, uri_options="directConnection=true"):
        self._target = (host, port)
        self._uri_options = uri_options
        self._lock = threading.Lock()
        self._pairs = []
        self._silent = False
        self._limit = None
        self._at_limit = None
        self._ended = False
        self._wake_read, self._wake_write = socket.socketpair()
        self.host = "127.0.0.1"
        self.port = 0
        self.accepted = 0
        self.bytes_from_server = 0
        self._listener = None
        self.accept()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        return f"mongodb://{self.host}:{self.port}/" + (f"?{self._uri_options}" if self._uri_options else "")

    @property
    def connections(self):
        with self._lock:
            return len(self._pairs)

    def silence(self):
        self._change(silent=True)

    def speak(self):
        self._change(silent=False)

    def silence_after(self, count):
        self._set_limit(count, "silence")

    def cut_after(self, count):
        self._set_limit(count, "cut")

    def close_after(self, count):
        self._set_limit(count, "close")

    def cut(self):
        with self._lock:
            self._drop_all(reset=True)
        self._wake()

    def refuse(self):
        with self._lock:
            if self._listener:
                # close() alone would leave it listening for as long as the other thread's select() holds it
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
        self._wake()

    def accept(self):
        with self._lock:
            if not self._listener:
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self.host, self.port))
                listener.listen(50)
                self.port = listener.getsockname()[1]
                self._listener = listener
        self._wake()

    def wait_until(self, condition, timeout=10):
        """Wait until condition() is true, e.g. lambda: proxy.connections == 0."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"the proxy waited {timeout} s in vain")
            time.sleep(0.01)

    def close(self):
        self._ended = True
        self._wake()
        self._thread.join(10)
        with self._lock:
            self._drop_all(reset=True)
            if self._listener:
                self._listener.close()
        self._wake_read.close()
        self._wake_write.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _change(self, silent):
        with self._lock:
            self._silent = silent
        self._wake()

    def _set_limit(self, count, action):
        with self._lock:
            self._limit, self._at_limit = count, action
        self._wake()

    def _wake(self):
        try:
            self._wake_write.send(b"x")
        except OSError:
            pass

    def _drop(self, pair, reset):
        for end in pair:
            if reset:
                # linger of zero seconds: close() sends a reset
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            end.close()
        self._pairs.remove(pair)

    def _drop_all(self, reset):
        for pair in list(self._pairs):
            self._drop(pair, reset)

    def _run(self):
        while not self._ended:
            with self._lock:
                listener = self._listener
                watched = [self._wake_read] + ([listener] if listener else [])
                if not self._silent:
                    watched += [end for pair in self._pairs for end in pair]
            try:
                ready = select.select(watched, [], [], 1)[0]
            except (OSError, ValueError):  # closed by another thread since
                continue
            if self._wake_read in ready:
                self._wake_read.recv(1000)
            with self._lock:
                if listener and listener in ready and listener is self._listener:
                    self._connect(listener)
                if not self._silent:
                    for pair in list(self._pairs):
                        for source in pair:
                            if source in ready and pair in self._pairs and not self._silent:
                                self._forward(pair, source)

    def _connect(self, listener):
        try:
            client, _ = listener.accept()
        except OSError:
            return
        self.accepted += 1
        try:
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append((client, server))

    def _forward(self, pair, source):
        client, server = pair
        from_server = source is server
        size = 65536
        if from_server and self._limit is not None:
            size = max(1, min(size, self._limit))
        try:
            data = source.recv(size)
            if data:
                (client if from_server else server).sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(pair, reset=False)
            return
        if from_server:
            self.bytes_from_server += len(data)
            if self._limit is not None:
                self._limit -= len(data)
                if self._limit <= 0:
                    action, self._limit = self._at_limit, None
                    if action == "silence":
                        self._silent = True
                    else:
                        self._drop_all(reset=action == "cut")
