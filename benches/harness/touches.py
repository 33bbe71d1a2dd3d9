"""`scripts/bench touches`: the statements that write the activity of many sessions, and what a stop or a kill loses."""
import signal

from .load import Load
from .machine import say
from .setup import Setup
from .tables import show

NAME = 'Sessile, PostgreSQL, cache on'
COUNTED = {'shared_preload_libraries': 'pg_stat_statements'}
# Each session's last activity is older than the touch interval, so the first request of each is due to be written.
IDLE_SECONDS = 120


def run(options):
    with Setup(options) as setup:
        postgres = setup.postgres(COUNTED)
        if not postgres:
            raise SystemExit('the statements are counted with pg_stat_statements, so this needs PostgreSQL')
        postgres.sql('CREATE EXTENSION pg_stat_statements')
        instance = dict(setup.instances(postgres)).get(NAME)
        if not instance:
            raise SystemExit(f'only {NAME} can be measured')
        instance.rows.run('CREATE EXTENSION pg_stat_statements')
        cookies = instance.add_sessions(options.sessions, IDLE_SECONDS)
        results = [measure(options, instance, cookies, how) for how in (signal.SIGTERM, signal.SIGKILL)]
        show_results(options.sessions, results)
        show_statements(results[0])


def measure(options, instance, cookies, how):
    """Each session sends one request, evenly within the time. Then the server is stopped at once."""
    say(f'{options.sessions:,} sessions within {options.seconds} s, then {how.name} …')
    age(instance)
    pause = int(options.connections * options.seconds * 1000 / options.sessions) - 1
    load = Load(instance.url(), options.connections, options.seconds * 10, cookies, limit=options.sessions,
                delay=max(pause, 0))
    with instance.serve() as server:
        instance.rows.run('SELECT pg_stat_statements_reset()')
        figures = load.run()
        server.stop(how)
    written = instance.rows.run('SELECT count(*) FROM sessions WHERE last_activity > created_at')
    # The session that add_sessions copied is not among them.
    return {'name': how.name, 'seconds': figures.answers / figures.rate, 'statements': statements(instance),
            'lost': options.sessions - int(written)}


def age(instance):
    """Makes every session idle again."""
    earlier = instance.rows.earlier('created_at', IDLE_SECONDS)
    instance.rows.run(f'UPDATE sessions SET last_activity = {earlier}; VACUUM ANALYZE sessions')


def statements(instance):
    """The statements that wrote, by how they begin, with the number of calls and rows."""
    found = instance.rows.run(r"""
        SELECT sum(s.calls) || '|' || sum(s.rows) || '|' || regexp_replace(left(s.query, 60), '\s+', ' ', 'g') AS line
        FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND s.query ~* '^\s*(insert|update|delete|with|merge)'
        GROUP BY left(s.query, 60) ORDER BY sum(s.calls) DESC""")
    return [line.split('|', 2) for line in found.split('\n') if line]


def show_results(sessions, results):
    columns = [f'activity of {sessions:,} sessions', 'seconds', 'write statements', 'a minute', 'sessions lost']
    rows = []
    for result in results:
        calls = sum(int(calls) for calls, _, _ in result['statements'])
        rows.append([f'then {result["name"]}', f'{result["seconds"]:.0f}', f'{calls:,}',
                     f'{calls * 60 / result["seconds"]:,.0f}', f'{result["lost"]:,}'])
    show(columns, rows)


def show_statements(result):
    show(['statement', 'calls', 'rows'], [[f'`{query}`', calls, rows] for calls, rows, query in result['statements']])
