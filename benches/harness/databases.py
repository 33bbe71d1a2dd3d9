"""Private database servers, which end with the `with` block."""
import contextlib
import os
import sqlite3
import subprocess

from .machine import ROOT, Process, children, free_port, has, processor_seconds


class Postgres:
    """A new PostgreSQL cluster with the default durability, through scripts/postgres."""

    def __init__(self, folder, settings=(), connections=300):
        self.folder, self.connections = folder / 'postgres', connections
        self.settings = {'shared_buffers': '512MB', **dict(settings)}

    def __enter__(self):
        self.url = self._do('start')
        try:
            for name, value in self.settings.items():
                self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        finally:
            self._do('stop')
        self.url = self._do('start')
        return self

    def __exit__(self, *_):
        self._do('stop', '-m', 'immediate')

    def _do(self, verb, *more):
        environment = {**os.environ, 'MAX_CONNECTIONS': str(self.connections)}
        done = subprocess.run([ROOT / 'scripts/postgres', verb, self.folder, *more], capture_output=True, text=True,
                              env=environment)
        if done.returncode != 0:
            raise RuntimeError(f'scripts/postgres {verb}: {done.stdout}{done.stderr}')
        return done.stdout.strip().split('\n')[-1]

    def sql(self, statement):
        return psql(self.url, statement)

    def processor_seconds(self):
        """Processor time so far of the server's processes that are running now."""
        first = (self.folder / 'data/postmaster.pid').read_text().split()[0]
        return sum(map(processor_seconds, [first, *children(first)]))

    def new_database(self, name):
        self.sql(f'CREATE DATABASE {name}')
        return f'{self.url.rsplit("/", 1)[0]}/{name}'


def psql(url, statement):
    done = subprocess.run(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', '-', url], input=statement,
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f'psql: {done.stderr}')
    return done.stdout.strip()


class Redis(Process):
    """A new Redis server that keeps everything in memory."""

    def __init__(self, folder):
        port = free_port()
        options = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
        super().__init__(['redis-server', *options], {}, folder, port)
        self.url = f'redis://127.0.0.1:{port}'


def missing_for_postgres():
    """Why no PostgreSQL can be started here; None if it can."""
    if not has('psql'):
        return 'psql is not installed'
    found = subprocess.run("command -v pg_ctl || ls -d /usr/lib/postgresql/*/bin/pg_ctl", shell=True,
                           capture_output=True, text=True)
    return None if found.stdout.strip() else 'the server programs of PostgreSQL are not installed'


class PostgresRows:
    """Reads and writes rows of one PostgreSQL database."""

    def __init__(self, url):
        self.url = url

    def run(self, statement):
        return psql(self.url, statement)

    def columns(self, table):
        return self.run("SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND "
                        f"table_name = '{table}' ORDER BY ordinal_position").split()

    def number(self, expression):
        """SQL: what `random_part` makes of a number."""
        return f"lpad(({expression})::text, 21, '0') || 'A'"

    def earlier(self, column, seconds):
        """SQL: the time in a column, moved back."""
        return f"{column} - interval '{seconds} seconds'"

    now = 'now()'

    def run_without_checks(self, statement):
        """Like `run`, without checks of foreign keys, which take most of the time of many rows."""
        return self.run(f'SET session_replication_role = replica; {statement}')

    @contextlib.contextmanager
    def without_indexes(self):
        """Drops all indexes and keys, and makes them again afterwards: that takes a fraction of the time of updating them
        with millions of rows."""
        keys = self._pairs(
            "SELECT conrelid::regclass || ' ' || quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint WHERE "
            "connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f') ORDER BY contype <> 'f'")
        for key, _ in keys:
            table, name = key.split(' ')
            self.run(f'ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE')
        indexes = self._pairs("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        for name, _ in indexes:
            self.run(f'DROP INDEX {name}')
        yield
        quickly = "SET maintenance_work_mem = '1GB'; "
        for _, definition in indexes:
            self.run(quickly + definition)
        for key, definition in reversed(keys):
            table, name = key.split(' ')
            # The rows are not checked.
            unchecked = ' NOT VALID' if definition.startswith('FOREIGN KEY') else ''
            self.run(f'{quickly}ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{unchecked}')

    def _pairs(self, query):
        return [line.split('|', 1) for line in self.run(query).split('\n') if line]

    def finish(self):
        self.run('VACUUM ANALYZE')


class SqliteRows:
    """Reads and writes rows of one SQLite file."""

    def __init__(self, file):
        self.file = file

    def run(self, statement):
        connection = sqlite3.connect(self.file, timeout=30)
        try:
            with connection:
                rows = connection.execute(statement).fetchall()
        finally:
            connection.close()
        return '\n'.join('|'.join(map(str, row)) for row in rows)

    def columns(self, table):
        return [row.split('|')[1] for row in self.run(f'PRAGMA table_info({table})').split('\n')]

    def number(self, expression):
        """SQL: what `random_part` makes of a number."""
        return f"printf('%021dA', {expression})"

    def earlier(self, column, seconds):
        """SQL: the time in a column, moved back."""
        return f'{column} - {seconds} * 1000000'

    now = '(unixepoch() * 1000000)'

    def run_without_checks(self, statement):
        """SQLite does not check foreign keys unless it is asked to."""
        return self.run(statement)

    @contextlib.contextmanager
    def without_indexes(self):
        """Drops the indexes, and makes them again afterwards. Primary keys stay."""
        indexes = self.run("SELECT name || '|' || replace(sql, char(10), ' ') FROM sqlite_master WHERE type = 'index' AND sql "
                           "IS NOT NULL").split('\n')
        for line in indexes:
            self.run(f"DROP INDEX {line.split('|', 1)[0]}")
        yield
        for line in indexes:
            self.run(line.split('|', 1)[1])

    def finish(self):
        self.run('PRAGMA wal_checkpoint(TRUNCATE)')
