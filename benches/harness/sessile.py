"""Sessile as a target: its databases, settings and many sessions."""
import base64
import hashlib
import hmac
import http.client
import json
import subprocess
import urllib.parse

from .databases import PostgresRows, SqliteRows
from .machine import ROOT, WORKERS, Process, free_port, own_environment, say

EMAIL = 'owner@example.com'
PASSWORD = 'correct horse battery staple 9'


def build():
    """Builds the release and returns the program."""
    say('building Sessile …')
    subprocess.run(['cargo', 'build', '--release', '--locked', '--quiet'], cwd=ROOT, check=True)
    found = subprocess.run(['cargo', 'metadata', '--no-deps', '--format-version=1'], cwd=ROOT, check=True,
                           capture_output=True, text=True)
    return f'{json.loads(found.stdout)["target_directory"]}/release/sessile'


def random_part(number):
    """A number in the form of an id's random part: 128 bits in base64url. In most other forms ids are not cached."""
    return f'{number:021}A'


class Sessile:
    """One instance with its own database, which can be started several times on the same port."""

    def __init__(self, binary, folder, postgres=None, cache=True, settings=()):
        self.binary, self.folder, self.port = binary, folder, free_port()
        folder.mkdir()
        file = folder / 'sessile.sqlite3'
        url = postgres or f'sqlite://{file}'
        self.rows = PostgresRows(url) if postgres else SqliteRows(file)
        self.settings = {
            'DATABASE_URL': url,
            'SESSILE_KEY_FILE': folder / 'session.key',
            'SESSILE_LISTEN': f'127.0.0.1:{self.port}',
            'SESSILE_PUBLIC_URL': f'http://127.0.0.1:{self.port}',
            'SESSILE_WORKERS': WORKERS,
            'SESSILE_SESSIONS_PER_ACCOUNT': 0,
            'SESSILE_SESSION_CACHE': 'on' if cache else 'off',
            **dict(settings),
        }
        self.command('migrate')
        self.command('user', 'add', '--email', EMAIL, '--role', 'owner', '--password-stdin')

    def command(self, *words, stdin=PASSWORD):
        """Runs a command of Sessile and returns what it printed."""
        done = subprocess.run([self.binary, *words], input=stdin, text=True, capture_output=True,
                              env=own_environment(self.settings), cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f'sessile {" ".join(words)}: {done.stderr}')
        return done.stdout

    def url(self, path='/api/session'):
        return f'http://127.0.0.1:{self.port}{path}'

    def serve(self):
        return Process([self.binary, 'serve'], self.settings, self.folder, self.port)

    def add_sessions(self, count, idle_seconds=0):
        """Adds accounts with a session each, copied from one real login. Returns a file with their cookies."""
        with self.serve():
            session, others = self.log_in()
        key = self.copy_rows(session, count, idle_seconds)
        self.rows.finish()
        jar = self.folder / 'cookies'
        cookies = ('; '.join([self.session_cookie(key, number), *others]) for number in range(1, count + 1))
        jar.write_text('\n'.join(cookies) + '\n')
        return jar

    def emails(self, count):
        """The addresses of accounts that add_sessions made."""
        return self.emails_of(range(1, count + 1))

    def emails_of(self, numbers):
        return [f'{random_part(number).lower()}@example.com' for number in numbers]

    def log_in(self):
        """Logs in and uses the session once. Returns the session's key, and the other cookies as they are sent."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        headers = {'Content-Type': 'application/json', 'Origin': f'http://127.0.0.1:{self.port}'}
        body = json.dumps({'email': EMAIL, 'password': PASSWORD})
        connection.request('POST', '/api/establish-session', body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f'the login failed: {answer.status} {text!r}')
        sent = [value.split(';')[0] for name, value in answer.getheaders() if name.lower() == 'set-cookie']
        connection.request('GET', '/api/session', headers={'Cookie': '; '.join(sent)})
        connection.getresponse().read()
        name = f'aiq_session_{self.port}='
        signed = next(cookie for cookie in sent if cookie.startswith(name))
        # The signature is 44 characters of base64.
        return urllib.parse.unquote(signed[len(name):])[44:], [cookie for cookie in sent if cookie != signed]

    def copy_rows(self, key, count, idle_seconds):
        """Copies the account, the device and the session of a key. Returns the parts that the new keys share."""
        session_id, _, secret = key.split('.')
        prefix = session_id[:-22]
        number = self.rows.number('n.i')
        account, email = f"'acc_' || {number}", f"lower({number}) || '@example.com'"
        self._copy('accounts', count, {'id': account, 'email': email, 'email_key': email, 'role': "'member'"})
        self._copy('devices', count, {'account_id': account})
        self._copy('sessions', count, {
            'id': f"'{prefix}' || {number}", 'account_id': account,
            'last_activity': self.rows.earlier('last_activity', idle_seconds),
        })
        self.rows.run('INSERT INTO account_of_email (email_key, account_id) SELECT email_key, id FROM accounts '
                      f"WHERE email_key <> '{EMAIL}'")
        return prefix, secret

    def _copy(self, table, count, replaced):
        """Copies the only row of a table, with other values in some columns."""
        columns = self.rows.columns(table)
        values = [replaced.get(column, f'{table}.{column}') for column in columns]
        self.rows.run(f'INSERT INTO {table} ({", ".join(columns)}) '
                      f'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) '
                      f'SELECT {", ".join(values)} FROM {table}, n')

    def session_cookie(self, shared, number):
        """The cookie of one copied session, signed as the program signs it."""
        prefix, secret = shared
        key = f'{prefix}{random_part(number)}.{random_part(number)}.{secret}'
        signature = base64.b64encode(hmac.digest(self._signing_key(), key.encode(), hashlib.sha256)).decode()
        return f'aiq_session_{self.port}={urllib.parse.quote(signature + key, safe="-_.~")}'

    def _signing_key(self):
        """The part of the key file that signs cookies: the first 32 of its 64 bytes."""
        line = (self.folder / 'session.key').read_text().split()[0]
        return base64.b64decode(line + '=' * (-len(line) % 4))[:32]
