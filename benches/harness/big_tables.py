"""`scripts/bench tables`: what requests take with many rows, beside the same with few rows in the same run."""
import http.client
import json
import random
import time

from .load import Latencies
from .machine import say
from .sessile import PASSWORD, Sessile
from .setup import Setup
from .tables import ratio, show

# The requests go to both instances in turns of so many, so that a busy machine slows down both alike.
TURN = 10
# Rows that are written in one statement.
PORTION = 1_000_000
SETTINGS = {'SESSILE_TRUSTED_PROXIES': '127.0.0.1/32', 'SESSILE_PRUNE_INTERVAL': '0s'}


def run(options):
    with Setup(options, needs_wrk=False) as setup:
        postgres = setup.postgres()
        engines = [('PostgreSQL', postgres)] if postgres else []
        for engine, server in [*engines, ('SQLite', None)]:
            if setup.wants(engine):
                measure(setup, engine, server)
        setup.show_left_out()


def filled(setup, engine, server, sessions):
    say(f'{engine}: writing {sessions:,} sessions and {sessions * setup.options.events:,} audit events …')
    database = server.new_database(f'tables_{sessions}') if server else None
    folder = setup.folder / f'{engine}-{sessions}'
    return Filled(Sessile(setup.binary, folder, database, settings=SETTINGS), sessions, setup.options.events)


def measure(setup, engine, server):
    options = setup.options
    both = [filled(setup, engine, server, sessions) for sessions in (options.few, options.sessions)]
    few, many = both
    latencies = {}
    for one in both:
        one.instance.settings['SESSILE_SESSION_CACHE'] = 'off'
    with few.instance.serve(), many.instance.serve():
        for name, work in OPERATIONS.items():
            say(f'{engine}: {name} …')
            latencies[name] = in_turns(both, work, options.requests)
    show_operations(options, engine, latencies)
    many.instance.settings['SESSILE_SESSION_CACHE'] = 'on'
    show_sweep(options, engine, sweep(many, options))
    show_revocation(options, engine, revoke_all(many, options))


class Filled:
    """An instance with accounts that have a device, a session and events each."""

    def __init__(self, instance, sessions, events):
        self.instance, self.count = instance, sessions
        self.random = random.Random(1)
        with instance.serve():
            key, _ = instance.log_in()
        with instance.rows.without_indexes():
            self.shared = instance.copy_rows(key, sessions, 0)
            self._add_events(events)
        say(f'{sessions:,} sessions are written')
        instance.rows.finish()
        self.unused = iter(self.random.sample(range(1, sessions + 1), min(sessions, 50_000)))

    def _add_events(self, events):
        """Events as if each account had been used in turn, so that the rows of an account are far from each other."""
        rows = self.instance.rows
        account = f"'acc_' || {rows.number('n.i')}"
        device = rows.run(f"SELECT id FROM devices WHERE account_id <> ({account.replace('n.i', '1')}) LIMIT 1")
        for event in range(1, events + 1):
            kind = ('login.succeeded', 'session.created', 'session.expired', 'app.opened')[event % 4]
            at = rows.earlier(rows.now, (events - event) * 86_400)
            for first in range(1, self.count + 1, PORTION):
                last = min(first + PORTION - 1, self.count)
                rows.run_without_checks(
                    'INSERT INTO audit (id, at, kind, account_id, actor, session_id, device_id, device_name, ip) '
                    f'WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) '
                    f"SELECT {event}, {at}, '{kind}', {account}, {account}, 'aiq_1795460400123_' || {rows.number('n.i')}, "
                    f"'{device}', 'Firefox on Linux', '192.0.2.1' FROM n")
        # The events are older than the chains of their accounts.
        rows.run_without_checks(
            'INSERT INTO trails (account_id, links, unchained) '
            f'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {self.count}) '
            f'SELECT {account}, 0, {events} FROM n')

    def connect(self):
        return Browser(self)

    def next(self):
        """The number of an account that no request has named yet."""
        return next(self.unused)


class Browser:
    """A connection whose requests come from changing addresses, because sign-ins from one address are limited."""

    def __init__(self, filled):
        self.filled, self.port = filled, filled.instance.port
        self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)

    def send(self, method, path, number=None, body=None, expected=(200, 204)):
        """Sends a request with the session of this number. Returns how long the answer took, in milliseconds."""
        address = '.'.join(str(self.filled.random.randrange(1, 255)) for _ in range(4))
        headers = {'Origin': f'http://127.0.0.1:{self.port}', 'X-Forwarded-For': address,
                   'X-Forwarded-Proto': 'http', 'Content-Type': 'application/json'}
        if number is not None:
            headers['Cookie'] = self.filled.instance.session_cookie(self.filled.shared, number)
        began = time.monotonic()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        took = (time.monotonic() - began) * 1000
        if answer.status not in expected:
            raise RuntimeError(f'{method} {path}: {answer.status} {text[:300]!r}')
        return took

    def sign_in(self, number=None):
        email = self.filled.instance.emails_of([number or self.filled.next()])[0]
        return self.send('POST', '/api/establish-session', body=json.dumps({'email': email, 'password': PASSWORD}))


def sign_in(filled, browser, number):
    return browser.sign_in(number)


def get(path):
    return lambda filled, browser, number: browser.send('GET', path, number)


def touch(filled, browser, number):
    """A request of a session near its end, so that its activity is written before the answer."""
    rows = filled.instance.rows
    rows.run(f"UPDATE sessions SET last_activity = {rows.earlier(rows.now, 120)}, expires_at = "
             f"{rows.earlier(rows.now, -90)} WHERE account_id = 'acc_' || {rows.number(number)}")
    return browser.send('GET', '/api/session', number)


def end(filled, browser, number):
    return browser.send('DELETE', '/api/session', number)


OPERATIONS = {
    'sign-in': sign_in,
    'read without cache': get('/api/session'),
    'read and touch': touch,
    'end': end,
    'list of devices': get('/api/devices'),
    'activity': get('/api/activity'),
    'activity page': get('/activity'),
}


def in_turns(both, work, requests):
    """The latencies of both instances: of accounts that nothing has read yet, and of the same accounts again."""
    browsers, latencies = [one.connect() for one in both], [[[], []], [[], []]]
    for turn in range(requests // TURN + 1):
        numbers = [[one.next() for _ in range(TURN)] for one in both]
        # A session ends once.
        for again in range(1 if work is end else 2):
            for one, browser, some, found in zip(both, browsers, numbers, latencies):
                took = [work(one, browser, number) for number in some]
                # The first requests fill caches of both.
                found[again].extend(took if turn > 0 else [])
    return [[Latencies(found) for found in one if found] for one in latencies]


def sweep(many, options):
    """Sign-ins while a sweep ends and then deletes many rows, and without it."""
    rows, expired = many.instance.rows, min(options.expired, many.count // 2)
    first = f"(SELECT account_id FROM sessions WHERE ended_at IS NULL ORDER BY account_id LIMIT {expired})"
    rows.run(f'UPDATE sessions SET last_activity = {rows.earlier(rows.now, 90_000)}, '
             f'expires_at = {rows.earlier(rows.now, 10)} WHERE account_id IN {first}')
    rows.finish()
    with many.instance.serve():
        browser = many.connect()
        idle = Latencies([browser.sign_in() for _ in range(options.requests)])
    many.instance.settings['SESSILE_PRUNE_INTERVAL'] = '1h'
    with many.instance.serve():
        busy, seconds, swept = beside_work(many, options, 'expired')
    many.instance.settings['SESSILE_PRUNE_INTERVAL'] = '0s'
    return idle, busy, seconds, swept


def beside_work(many, options, reason):
    """Sign-ins while the server ends rows. Returns their latencies, the seconds, and the rows that were ended."""
    count = f"SELECT count(*) FROM sessions WHERE ended_reason = '{reason}'"
    browser, began = many.connect(), time.monotonic()
    before = int(many.instance.rows.run(count))
    busy = Latencies([browser.sign_in() for _ in range(options.requests)])
    return busy, time.monotonic() - began, int(many.instance.rows.run(count)) - before


def revoke_all(many, options):
    """How long `session revoke --all` takes beside a server, and sign-ins while the rows are ended."""
    instance = many.instance
    with instance.serve():
        # The sweep has ended the first ones.
        browser = many.connect()
        number = next(number for number in many.unused if number > options.expired or number > many.count // 2)
        for _ in range(3):
            browser.send('GET', '/api/session', number)
        began = time.monotonic()
        said = instance.command('session', 'revoke', '--all', stdin='')
        took = time.monotonic() - began
        browser.send('GET', '/api/session', number, expected=(401,))
        busy, seconds, ended = beside_work(many, options, 'revoked')
    return took, said.strip(), busy, seconds, ended


def show_operations(options, engine, latencies):
    columns = [f'{engine}, ms', f'p50, {options.few:,} sessions', 'p99', f'p50, {options.sessions:,} sessions', 'p99',
               'ratio of p50', 'ratio of p99']
    rows = []
    for name, measured in latencies.items():
        for few, many, when in zip(*measured, ('', ', again')):
            rows.append([name + when, f'{few.p50:.1f}', f'{few.p99:.1f}', f'{many.p50:.1f}', f'{many.p99:.1f}',
                         ratio(many.p50, few.p50), ratio(many.p99, few.p99)])
    show(columns, rows)


def show_sweep(options, engine, found):
    idle, busy, seconds, swept = found
    columns = [f'{engine}, sign-ins beside a sweep', 'p50 ms', 'p99 ms', 'rows ended meanwhile', 'a second']
    show(columns, [['without a sweep', f'{idle.p50:.1f}', f'{idle.p99:.1f}', '–', '–'],
                   ['beside a sweep', f'{busy.p50:.1f}', f'{busy.p99:.1f}', f'{swept:,}', f'{swept / seconds:,.0f}']])


def show_revocation(options, engine, found):
    took, said, busy, seconds, ended = found
    columns = [f'{engine}, `session revoke --all`', 'seconds', 'said', 'sign-in p99 ms afterwards', 'rows ended a second']
    show(columns, [['beside a server that caches', f'{took:.2f}', said, f'{busy.p99:.1f}', f'{ended / seconds:,.0f}']])
