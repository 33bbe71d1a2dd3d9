"""`scripts/bench nodes`: what 1 to 8 nodes on one PostgreSQL cost, idle and while sessions are read and ended."""
import contextlib
import statistics
import time

from .ends import Node, another
from .machine import processor_seconds, say
from .setup import Setup
from .tables import show

NODES = (1, 2, 4, 8)
NAME = 'Sessile, PostgreSQL, cache on'
COUNTED = {'shared_preload_libraries': 'pg_stat_statements'}


def run(options):
    with Setup(options, needs_wrk=False) as setup:
        postgres = setup.postgres(COUNTED)
        instance = dict(setup.instances(postgres)).get(NAME)
        if not instance:
            raise SystemExit(f'only {NAME} can be measured')
        instance.rows.run('CREATE EXTENSION pg_stat_statements')
        counts = [count for count in NODES if count <= options.nodes]
        cookies = instance.add_sessions(options.sessions * len(counts)).read_text().splitlines()
        rows = []
        for at, count in enumerate(counts):
            rows.append(measure(options, postgres, instance, cookies[at::len(counts)], count))
        show(['nodes', 'beats/s', 'ms/s of PostgreSQL, idle', 'log bytes/s, idle', 'ms/s of each node, idle',
              'notifications an end', 'ms of PostgreSQL an end', 'end, median ms', 'end, 99 % ms',
              'read from memory, median ms'], rows)
        setup.show_left_out()


def measure(options, postgres, instance, cookies, count):
    say(f'measuring {count} nodes …')
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(instance.serve())]
        servers += [stack.enter_context(another(instance)) for _ in range(count - 1)]
        nodes = [Node(server.port) for server in servers]
        gauge = Gauge(postgres, instance, servers)
        reads = []
        for cookie in cookies:
            for node in nodes:
                # A session is cached when it is read for the second time.
                node.expect(200, 'GET', cookie)
                node.expect(200, 'GET', cookie)
                began = time.monotonic()
                node.expect(200, 'GET', cookie)
                reads.append(time.monotonic() - began)
        time.sleep(2)
        idle = gauge.measure(lambda: time.sleep(options.seconds))
        times = []
        ending = gauge.measure(lambda: times.extend(end(nodes, at, cookie) for at, cookie in enumerate(cookies)))
    times.sort()
    ends, idle_time = len(cookies), ending['seconds'] / idle['seconds']
    extra = {key: (ending[key] - idle[key] * idle_time) / ends for key in ('notifications', 'postgres')}
    return [f'{count}', f'{idle["beats"] / idle["seconds"]:.1f}', f'{idle["postgres"] / idle["seconds"] * 1e3:.1f}',
            f'{idle["log"] / idle["seconds"]:,.0f}', f'{idle["sessile"] / idle["seconds"] / count * 1e3:.1f}',
            f'{extra["notifications"]:.1f}', f'{extra["postgres"] * 1e3:.1f}',
            *(f'{figure * 1e3:.1f}' for figure in (statistics.median(times), times[int(ends * 0.99)],
                                                   statistics.median(reads)))]


def end(nodes, at, cookie):
    """Signs out on one node after the other. Returns the seconds that it took."""
    began = time.monotonic()
    nodes[at % len(nodes)].expect(204, 'DELETE', cookie)
    return time.monotonic() - began


class Gauge:
    def __init__(self, postgres, instance, servers):
        self.postgres, self.instance, self.servers = postgres, instance, servers

    def measure(self, work):
        before = self._state()
        work()
        after = self._state()
        return {key: after[key] - before[key] for key in before}

    def _state(self):
        found = self.instance.rows.run("""
            SELECT coalesce(sum(calls) FILTER (WHERE query LIKE '%beaten%'), 0),
                coalesce(sum(calls) FILTER (WHERE query LIKE '%pg_notify%' AND query NOT LIKE '%beaten%'), 0),
                pg_current_wal_insert_lsn() - '0/0'
            FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()""")
        beats, notifications, log = found.split('|')
        return {'beats': int(beats), 'notifications': int(notifications), 'log': int(log),
                'postgres': self.postgres.processor_seconds(), 'seconds': time.monotonic(),
                'sessile': sum(processor_seconds(server.child.pid) for server in self.servers)}
