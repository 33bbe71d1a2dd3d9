"""`scripts/bench logins`: logins beside Argon2 alone, and signed-in reads during many logins at once."""
import asyncio
import collections
import json
import subprocess
import time

from .load import Load
from .machine import WORKERS, own_environment, say
from .sessile import EMAIL, PASSWORD
from .setup import Setup
from .tables import ratio, show


def run(options):
    with Setup(options) as setup:
        postgres = setup.postgres()
        setup.programs.build_rust(['argon2_alone'])
        if why := setup.programs.missing.get('argon2_alone'):
            setup.leave_out('Argon2 alone', why)
        results = [measure(setup, name, instance) for name, instance in setup.instances(postgres)]
        show_logins(results, options.connections)
        show_reads(results, options.at_once)
        setup.show_left_out()


def measure(setup, name, instance):
    """All figures of one instance."""
    say(f'measuring {name} …')
    options = setup.options
    cookies = instance.add_sessions(options.sessions)
    bodies = instance.folder / 'logins'
    bodies.write_text('\n'.join(login(email) for email in instance.emails(options.sessions)) + '\n')
    alone = argon2_alone(setup, instance)
    with instance.serve():
        logins = Load(instance.url('/api/establish-session'), options.connections, options.seconds, bodies=bodies)
        logins = logins.run(may_be_refused=True)
    # Another start, so that the first logins do not count against the limits on the others.
    with instance.serve():
        reads = Load(instance.url(), options.connections, options.seconds, cookies)
        quiet = reads.run()
        reads.seconds = 600
        emails = instance.emails(min(options.at_once, options.sessions))
        meanwhile, (answers, took) = reads.run_while(lambda: log_in_at_once(instance.port, emails, options.at_once))
    return {'name': name, 'alone': alone, 'logins': logins, 'quiet': quiet, 'meanwhile': meanwhile, 'answers': answers,
            'took': took}


def login(email):
    return json.dumps({'email': email, 'password': PASSWORD})


def argon2_alone(setup, instance):
    """Verifications per second on as many threads as Sessile has for passwords; 0 if that cannot be measured."""
    if 'argon2_alone' in setup.programs.missing:
        return 0
    stored = instance.rows.run(f"SELECT password_hash FROM accounts WHERE email = '{EMAIL}'")
    settings = {'PASSWORD': PASSWORD, 'HASH': stored, 'THREADS': WORKERS, 'SECONDS': setup.options.seconds}
    done = subprocess.run([setup.programs.rust('argon2_alone')], env=own_environment(settings), check=True,
                          capture_output=True, text=True)
    return float(done.stdout)


def log_in_at_once(port, emails, count):
    """Sends logins on a connection each, before the first answer is awaited. Returns the statuses and the seconds."""
    started = time.monotonic()
    answers = asyncio.run(gather(port, [emails[number % len(emails)] for number in range(count)]))
    return collections.Counter(answers), time.monotonic() - started


async def gather(port, emails):
    return await asyncio.gather(*(one_login(port, email) for email in emails))


async def one_login(port, email):
    """The status of one login."""
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    body = login(email)
    writer.write(f'POST /api/establish-session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n'
                 f'Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}'.encode())
    answer = await reader.read()
    writer.close()
    return answer.split(b' ')[1].decode() if answer else 'no answer'


def show_logins(results, connections):
    columns = [f'logins, {connections} at a time', 'logins/s', 'Argon2 alone/s', 'ratio', 'refused']
    rows = []
    for result in results:
        logins, alone = result['logins'], result['alone']
        done = logins.rate * (1 - logins.refused / max(logins.answers, 1))
        rows.append([result['name'], f'{done:.1f}', f'{alone:.1f}', ratio(done, alone), f'{logins.refused:,}'])
    show(columns, rows)


def show_reads(results, at_once):
    columns = [f'signed-in reads during {at_once:,} logins at once', 'req/s before', 'req/s during', 'ratio',
               'p99 ms before', 'p99 ms during', 'answers to the logins', 'seconds']
    rows = []
    for result in results:
        quiet, meanwhile = result['quiet'], result['meanwhile']
        answers = ', '.join(f'{count:,} × {status}' for status, count in sorted(result['answers'].items()))
        rows.append([result['name'], f'{quiet.rate:,.0f}', f'{meanwhile.rate:,.0f}', ratio(meanwhile.rate, quiet.rate),
                     f'{quiet.p99:.1f}', f'{meanwhile.p99:.1f}', answers, f'{result["took"]:.1f}'])
    show(columns, rows)
