"""PostgreSQL's protocol, as far as a connection needs it that runs plain statements and listens. Trusts the server."""
import selectors
import socket
import struct
import threading
import urllib.parse


class Connection:
    """One connection. `run` returns the rows of a statement as lists of text."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self.buffer = b''
        start = b''.join(f'{word}\0'.encode() for word in ('user', parts.username, 'database', parts.path[1:])) + b'\0'
        self.socket.sendall(struct.pack('!ii', len(start) + 8, 196608) + start)
        self._read_until_ready()

    def run(self, statement):
        body = statement.encode() + b'\0'
        self.socket.sendall(b'Q' + struct.pack('!i', len(body) + 4) + body)
        return self._read_until_ready()

    def close(self):
        self.socket.close()

    def _read_until_ready(self):
        rows = []
        while True:
            kind, body = self._message()
            if kind == b'E':
                raise RuntimeError(body.decode(errors='replace'))
            if kind == b'D':
                rows.append(columns(body))
            if kind == b'Z':
                return rows

    def _message(self):
        head = self._take(5)
        return head[:1], self._take(struct.unpack('!i', head[1:])[0] - 4)

    def _take(self, length):
        while len(self.buffer) < length:
            more = self.socket.recv(65536)
            if not more:
                raise RuntimeError('PostgreSQL closed the connection')
            self.buffer += more
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken


def columns(body):
    found, at = [], 2
    for _ in range(struct.unpack('!h', body[:2])[0]):
        length = struct.unpack('!i', body[at:at + 4])[0]
        at += 4
        found.append(None if length < 0 else body[at:at + length].decode())
        at += max(length, 0)
    return found


class Listeners:
    """Connections that listen as nodes do: each on the shared channel and on one of its own. What arrives is thrown away."""

    def __init__(self, url, count):
        self.connections = []
        self.selector = selectors.DefaultSelector()
        for number in range(count):
            connection = Connection(url)
            connection.run(f'LISTEN sessile; LISTEN sessile_{number}')
            connection.socket.setblocking(False)
            self.selector.register(connection.socket, selectors.EVENT_READ)
            self.connections.append(connection)
        self.ended = False
        self.thread = threading.Thread(target=self._drain)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        for connection in self.connections:
            connection.close()

    def _drain(self):
        while not self.ended:
            for key, _ in self.selector.select(timeout=0.2):
                key.fileobj.recv(65536)
