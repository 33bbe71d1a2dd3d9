"""Counts the bytes between Sessile and PostgreSQL, and what the database wrote."""
import socket
import threading
import urllib.parse


class Counter:
    """A relay before the database that counts the bytes in both directions."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.target = (parts.hostname, parts.port)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = parts._replace(netloc=f'{parts.username}@127.0.0.1:{self.listener.getsockname()[1]}').geturl()
        self.lock, self.bytes = threading.Lock(), 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(self.target)
            for ends in [(here, there), (there, here)]:
                for end in ends:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _relay(self, source, target):
        try:
            while data := source.recv(65536):
                with self.lock:
                    self.bytes += len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
