"""`scripts/bench costs`: what a sign-in, a read, a touch and an end cost: statements, bytes and processor time."""
import contextlib
import http.client
import json
import random
import time

from .counter import Counter
from .machine import processor_seconds, say
from .sessile import PASSWORD, Sessile
from .setup import Setup
from .tables import show

SETTINGS = {'shared_preload_libraries': 'pg_stat_statements',
            'checkpoint_timeout': '1h', 'max_wal_size': '8GB', 'autovacuum': 'off'}
IDLE_SECONDS = 120
SMALLEST = 1_000
COLUMNS = ['operation', 'statements', 'commits', 'notifications', 'database bytes', 'HTTP bytes', 'log bytes',
           'of these whole pages', 'disk bytes', 'ms of PostgreSQL', 'ms of Sessile']


def run(options):
    with Setup(options, needs_wrk=False) as setup:
        postgres = setup.postgres(SETTINGS)
        if not postgres:
            raise SystemExit('the statements are counted with pg_stat_statements, so this needs PostgreSQL')
        size = SMALLEST
        while size <= options.sessions:
            measure_size(setup, postgres, size)
            size *= 10
        setup.show_left_out()


def measure_size(setup, postgres, size):
    """All operations among so many sessions."""
    count = min(setup.options.operations, size // 10)
    say(f'{size:,} sessions: filling the database …')
    database = postgres.new_database(f'costs_{size}')
    counter = setup.enter_context(contextlib.closing(Counter(database)))
    trusting = {'SESSILE_TRUSTED_PROXIES': '127.0.0.0/8', 'SESSILE_LOG': 'warn'}
    # Without the cache a node sends no beats, so nothing but the operation costs anything.
    instance = Sessile(setup.binary, setup.folder / f'costs-{size}', database, cache=False, settings=trusting)
    instance.settings['DATABASE_URL'] = counter.url
    for extension in ('pg_stat_statements', 'pg_walinspect'):
        instance.rows.run(f'CREATE EXTENSION {extension}')
    cookies = instance.add_sessions(size, IDLE_SECONDS).read_text().splitlines()
    numbers = random.Random(1).sample(range(size), 4 * count)
    parts = [numbers[part * count:(part + 1) * count] for part in range(4)]
    emails = instance.emails(size)
    taken = [f'{table} {size_of(instance, table) / size:,.0f}' for table in ('sessions', 'devices', 'accounts')]
    instance.rows.run('CHECKPOINT')
    say(f'{size:,} sessions: measuring …')
    with instance.serve() as server:
        gauge = Gauge(postgres, instance, counter, server)
        browsers = []
        rows = [
            gauge.row('sign-in, new browser', count, lambda: browsers.extend(sign_in(gauge, emails[n]) for n in parts[0])),
            gauge.row('first read after a sign-in', count, lambda: gauge.read(map('; '.join, browsers))),
            gauge.row('sign-in, known browser', count, lambda: [sign_in(gauge, emails[n], device_of(browser))
                                                                 for n, browser in zip(parts[0], browsers)]),
            gauge.row('read that is a touch', count, lambda: gauge.read([cookies[n] for n in parts[1]], settle=True)),
            gauge.row('read from the database', count, lambda: gauge.read([cookies[n] for n in parts[1]])),
            gauge.row('end', count, lambda: [gauge.ask('DELETE', '/api/session', {'Cookie': cookies[n]})
                                             for n in parts[2]]),
        ]
    instance.settings['SESSILE_SESSION_CACHE'] = 'on'
    with instance.serve() as server:
        gauge = Gauge(postgres, instance, counter, server)
        read = [cookies[n] for n in parts[1]]
        gauge.read(read * 3, settle=True)
        rows.append(gauge.row('read from memory', count * 5, lambda: gauge.read(read * 5), beats=True))
    print(f'\n{size:,} sessions, {count} operations each:')
    show(COLUMNS, rows)
    print(f'\nBytes of a row with its indexes: {", ".join(taken)}.', flush=True)


def size_of(instance, table):
    return int(instance.rows.run(f"SELECT pg_total_relation_size('{table}')"))


def sign_in(gauge, email, cookies=None):
    """Signs in from an address of its own. Returns the cookies."""
    address = '.'.join(str(random.randrange(1, 255)) for _ in range(4))
    headers = {'Content-Type': 'application/json', 'Origin': gauge.origin, 'X-Forwarded-For': address}
    headers |= {'Cookie': cookies} if cookies else {}
    answer = gauge.ask('POST', '/api/establish-session', headers, json.dumps({'email': email, 'password': PASSWORD}))
    return [value.split(';')[0] for name, value in answer.getheaders() if name.lower() == 'set-cookie']


def device_of(cookies):
    return '; '.join(cookie for cookie in cookies if not cookie.startswith('aiq_session'))


class Gauge:
    """One connection to a server, and what its requests cost."""

    def __init__(self, postgres, instance, counter, server):
        self.postgres, self.instance, self.counter, self.server = postgres, instance, counter, server
        self.origin, self.http_bytes = f'http://127.0.0.1:{instance.port}', 0
        self.connection = http.client.HTTPConnection('127.0.0.1', instance.port, timeout=60)
        # Opens the connections of the pool and prepares statements.
        for _ in range(3):
            self.ask('GET', '/readyz', {})

    def ask(self, method, path, headers, body=None):
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 204):
            raise RuntimeError(f'{method} {path}: {answer.status} {text!r}')
        lines = [method, path, *(f'{name}: {value}' for name, value in headers.items())]
        lines += [f'{name}: {value}' for name, value in answer.getheaders()]
        self.http_bytes += sum(len(line) + 2 for line in lines) + len(body or '') + len(text)
        return answer

    def read(self, cookies, settle=False):
        for cookie in cookies:
            self.ask('GET', '/api/session', {'Cookie': cookie})
        if settle:
            # Touches are written soon after the answer.
            time.sleep(1.5)

    def row(self, name, count, work, beats=False):
        """A row of the table: what one of `count` operations cost."""
        self.instance.rows.run('SELECT pg_stat_statements_reset()')
        before = self._state()
        work()
        after = self._state()
        statements, commits, notifications = self._statements()
        log, pages = self._log(before['log'], after['log'])
        if beats:
            statements, commits, notifications, log, pages = 0, 0, 0, 0, 0
        used = {key: (after[key] - before[key]) / count for key in before if key != 'log'}
        whole = [used['http'], log / count, pages / count, used['disk']]
        return [name, *(f'{value / count:.1f}' for value in (statements, commits, notifications)),
                '–' if beats else f'{used["network"]:,.0f}', *(f'{value:,.0f}' for value in whole),
                '–' if beats else f'{used["postgres"] * 1e3:.2f}', f'{used["sessile"] * 1e3:.2f}']

    def _state(self):
        return {
            'log': self.instance.rows.run('SELECT pg_current_wal_insert_lsn()'),
            'disk': int(self.instance.rows.run(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")),
            'postgres': self.postgres.processor_seconds(),
            'sessile': processor_seconds(self.server.child.pid),
            'network': self.counter.bytes,
            'http': self.http_bytes,
        }

    def _statements(self):
        """Statements without those that begin and end transactions; commits; notifications."""
        found = self.instance.rows.run("""
            SELECT coalesce(sum(calls) FILTER (WHERE query !~* '^(begin|commit|rollback|set|start)'), 0),
                coalesce(sum(calls) FILTER (WHERE query ~* '^commit'), 0),
                coalesce(sum(calls) FILTER (WHERE query ~* 'pg_notify'), 0)
            FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
            WHERE d.datname = current_database() AND query !~* 'pg_stat_statements|pg_current_wal|pg_total_relation'""")
        return map(int, found.split('|'))

    def _log(self, start, end):
        """Bytes in the write-ahead log: all, and those of whole pages."""
        if start == end:
            return 0, 0
        found = self.instance.rows.run(f"SELECT sum(record_size), sum(fpi_size) FROM pg_get_wal_stats('{start}', '{end}', true)")
        records, pages = (float(number or 0) for number in found.split('|'))
        return records + pages, pages
