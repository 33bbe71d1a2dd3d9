"""`scripts/bench memory`: memory with many sessions in use, and time and memory at the start."""
import http.client
import statistics
import time

from .load import Load
from .machine import say
from .setup import Setup
from .tables import show

STARTS = 5


def run(options):
    with Setup(options) as setup:
        postgres = setup.postgres()
        results = [measure(options, name, instance) for name, instance in setup.instances(postgres, (True, False))]
        columns = [f'{options.sessions:,} sessions', 'first answer ms', 'MiB at the start', 'MiB after use']
        show(columns, [[name, f'{first:.0f}', f'{start:.1f}', f'{used:.1f}'] for name, first, start, used in results])
        setup.show_left_out()


def measure(options, name, instance):
    say(f'measuring {name} …')
    cookies = instance.add_sessions(options.sessions)
    starts = [start(instance) for _ in range(STARTS)]
    load = Load(instance.url(), options.connections, 600, cookies, limit=options.sessions)
    with instance.serve() as server:
        load.run()
        used = server.resident_mib()
    return name, statistics.median(first for first, _ in starts), statistics.median(mib for _, mib in starts), used


def start(instance):
    """The milliseconds from the start of the program to its first answer, and its memory then."""
    started = time.monotonic()
    with instance.serve() as server:
        connection = http.client.HTTPConnection('127.0.0.1', instance.port, timeout=30)
        connection.request('GET', '/healthz')
        status = connection.getresponse().status
        took = time.monotonic() - started
        if status != 200:
            raise RuntimeError(f'GET /healthz: {status}')
        return took * 1000, server.resident_mib()
