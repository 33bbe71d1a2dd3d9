"""`scripts/bench notify`: what the messages between nodes cost PostgreSQL, by the number of nodes that listen."""
import re
import shutil
import subprocess
import time

from .databases import Postgres, missing_for_postgres
from .machine import allow_many_files, has, say, temporary_folder
from .tables import show
from .wire import Connection, Listeners

LISTENERS = (1, 8, 64, 256, 1000)
# At most so many wake-ups a second while the processor time of one message is measured.
WAKES = 20_000
CLIENTS = 8
# What a beat sends; see src/base/db/postgres/beat.rs.
BEAT = r"""\set node random(0, :nodes - 1)
WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)), beaten AS (UPDATE nodes SET beaten_at =
statement_timestamp() WHERE id = :node::text AND doubt IS NULL RETURNING 1) SELECT statement_timestamp() AS at,
(SELECT count(*) FROM nodes WHERE id <> :node::text) AS others,
pg_notify('sessile_' || :node, 'beat 1')::text AS sent FROM beaten, quick;
"""
# Sent to the node that waits.
CONFIRMATION = r"""\set node random(0, :nodes - 1)
SELECT pg_notify('sessile_' || :node, 'confirm 1234 aaaaaaaaaaaa');
"""
# The last statements of a transaction that ends a session: a change that must reach the disk, and its announcement.
# The same without a notification.
ALONE = "SELECT concat('sessile_', 'confirm 1234 aaaaaaaaaaaa')"
CHANGE = r"""\set row random(1, 10000)
BEGIN;
UPDATE changes SET at = statement_timestamp() WHERE id = :row;
"""
TEXT = '{"what":"ended","reason":"logged-out","of":{"acc_%s":["aiq_1795460400123_%s"]}}' % ('a' * 22, 'a' * 22)
ANNOUNCED = CHANGE + f"SELECT pg_notify('sessile', '1795460400123456@aaaaaaaaaaaa.1234 {TEXT}');\nCOMMIT;\n"
SILENT = CHANGE + 'COMMIT;\n'


def run(options):
    for missing in [missing_for_postgres(), None if has('pgbench') else 'pgbench is not installed']:
        if missing:
            raise SystemExit(missing)
    allow_many_files()
    folder = temporary_folder()
    try:
        # With enough connections for all nodes.
        with Postgres(folder, connections=max(LISTENERS) + 50) as postgres:
            prepare(postgres)
            rows = [measure(options, postgres, count) for count in LISTENERS if count <= options.listeners]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(['listening nodes', 'µs of a beat, quiet', 'µs of a wake-up, quiet', 'beats/s', 'µs of each',
          'confirmations/s', 'µs of each', 'ends/s', 'µs of each'], [row for row, _ in rows])
    print(f'\nChanges that reach the disk and are not announced: {rows[0][1]:,.0f} a second.')


def prepare(postgres):
    """Tables as a node's beat and a change need them."""
    postgres.sql(f"""
        CREATE TABLE nodes (id TEXT PRIMARY KEY, beaten_at TIMESTAMPTZ NOT NULL, doubt TEXT);
        CREATE TABLE changes (id INT PRIMARY KEY, at TIMESTAMPTZ NOT NULL);
        INSERT INTO changes SELECT i, now() FROM generate_series(1, 10000) i; VACUUM ANALYZE changes;""")


def measure(options, postgres, count):
    say(f'measuring {count} listening nodes …')
    postgres.sql(f"TRUNCATE nodes; INSERT INTO nodes SELECT i, now() FROM generate_series(0, {count} - 1) i; "
                 'VACUUM ANALYZE nodes')
    rate = max(5, min(200, WAKES // count))
    with Listeners(postgres.url, count):
        load = Load(options, postgres, count)
        beat, confirmation, alone = (load.quiet(script, rate) for script in (BEAT, CONFIRMATION, ALONE))
        busy = [load.busy(script) for script in (BEAT, CONFIRMATION, ANNOUNCED)]
        silent, _ = load.busy(SILENT) if count == LISTENERS[0] else (0, 0)
    wake = (confirmation - alone) / count
    pairs = [f'{figure:,.0f}' for pair in busy for figure in pair]
    return [f'{count:,}', f'{beat:,.0f}', f'{wake:.1f}', *pairs], silent


class Load:
    """One statement again and again, and the server's processor time meanwhile."""

    def __init__(self, options, postgres, nodes):
        self.options, self.postgres, self.nodes = options, postgres, nodes

    def quiet(self, script, rate):
        """The server's processor time for each transaction, in microseconds, at a low rate."""
        connection, count = Connection(self.postgres.url), int(rate * self.options.seconds)
        for number in range(10):
            connection.run(filled_in(script, number % self.nodes))
        time.sleep(0.5)
        before, began = self.postgres.processor_seconds(), time.monotonic()
        for number in range(count):
            time.sleep(max(began + number / rate - time.monotonic(), 0))
            connection.run(filled_in(script, number % self.nodes))
        time.sleep(0.5)
        used = self.postgres.processor_seconds() - before
        connection.close()
        return used / count * 1e6

    def busy(self, script):
        """The highest rate of transactions a second, and the processor time for each then, in microseconds."""
        command = ['pgbench', '-n', '-Mprepared', f'-c{CLIENTS}', '-j1', f'-T{self.options.seconds + 1}', '-f-',
                   f'-Dnodes={self.nodes}', self.postgres.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            running.stdin.write(script)
            running.stdin.close()
            time.sleep(0.5)
            before, began = self.postgres.processor_seconds(), time.monotonic()
            time.sleep(self.options.seconds)
            used = (self.postgres.processor_seconds() - before) / (time.monotonic() - began)
            rate = float(re.search(r'tps = ([\d.]+)', running.stdout.read())[1])
        return rate, used / rate * 1e6


def filled_in(script, number):
    """A script of pgbench as statements."""
    lines = [line for line in script.split('\n') if not line.startswith('\\')]
    return '\n'.join(lines).replace(':node::', f"'{number}'::").replace(':node', str(number)).replace(':row', str(number + 1))
