"""The servers that Sessile is measured beside. Their sources are in benches/peers."""
import http.client
import json
import os
import shutil
import subprocess

from .machine import PEERS, Process, free_port, has, say
from .sessile import PASSWORD

USER = '{"userId":"user-{i}"}'
PERSON = json.dumps({'email': 'user-{i}@example.com', 'name': 'user-{i}', 'password': PASSWORD})


class Programs:
    """The peers' programs, built in a folder outside the repository. `missing` says why some could not be built."""

    def __init__(self, folder, install):
        self.folder, self.install, self.missing = folder, install, {}
        folder.mkdir(parents=True, exist_ok=True)

    def rust(self, name):
        return self.folder / 'target/release' / name

    def node(self, name):
        return ['node', self.folder / name / 'server.js']

    def build_rust(self, packages):
        """Builds packages of benches/peers/rust. Downloads crates only if that was asked for."""
        say('building the Rust peers …')
        # Together they share their dependencies. If one of them cannot be built, the others still can.
        if self._cargo(packages):
            return
        reason = 'cargo cannot build it' if self.install else 'cargo cannot build it without --install'
        self.missing |= {name: reason for name in packages if len(packages) == 1 or not self._cargo([name])}

    def _cargo(self, packages):
        command = ['cargo', 'build', '--release', '--locked', '--quiet', '--manifest-path', PEERS / 'rust/Cargo.toml']
        command += [part for name in packages for part in ('--package', name)] + ([] if self.install else ['--offline'])
        done = subprocess.run(command, env={**os.environ, 'CARGO_TARGET_DIR': str(self.folder / 'target')})
        return done.returncode == 0

    def build_node(self, name):
        folder = self.folder / name
        if not (has('node') and has('npm')):
            self.missing[name] = 'node or npm is not installed'
            return
        if not self.install and not (folder / 'node_modules').exists():
            self.missing[name] = 'its packages are not installed: run with --install'
            return
        shutil.copytree(PEERS / name, folder, dirs_exist_ok=True)
        if self.install:
            say(f'installing the packages of {name} …')
            subprocess.run(['npm', 'install', '--silent', '--no-package-lock', '--no-audit'], cwd=folder, check=True)


class Peer:
    """A server that keeps sessions of its own. It can be started several times on the same port."""

    def __init__(self, name, command, settings, folder, body=USER):
        self.name, self.command, self.folder, self.body, self.port = name, command, folder, body, free_port()
        self.settings = {'PORT': self.port, **settings}

    def url(self, path='/api/session'):
        return f'http://127.0.0.1:{self.port}{path}'

    def serve(self):
        return Process(self.command, self.settings, self.folder, self.port)

    def add_sessions(self, count):
        """Logs in. Returns a file with the cookies."""
        with self.serve():
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
            cookies = [self._log_in(connection, number) for number in range(count)]
        jar = self.folder / f'{self.port}.cookies'
        jar.write_text('\n'.join(cookies) + '\n')
        return jar

    def _log_in(self, connection, number):
        headers = {'Content-Type': 'application/json', 'Origin': f'http://127.0.0.1:{self.port}'}
        connection.request('POST', '/api/establish-session', self.body.replace('{i}', str(number)), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f'{self.name}: the login failed: {answer.status} {text!r}')
        return '; '.join(value.split(';')[0] for name, value in answer.getheaders() if name.lower() == 'set-cookie')


def bare(programs, folder):
    return Peer('bare', [programs.rust('bare')], {}, folder)


def same_bytes(programs, folder, answer):
    """Repeats an answer of Sessile, from a file of `record`."""
    return Peer('bare, the same bytes', [programs.rust('same_bytes')], {'ANSWER': answer}, folder)


def record(url, path, headers, file):
    """Writes an answer of Sessile to a file, for `same_bytes`. Returns the length of its body."""
    host = url.split('/')[2]
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request('GET', path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f'GET {path}: {answer.status} {body[:300]!r}')
    # Actix adds these itself.
    own = ('content-length', 'date', 'connection', 'transfer-encoding')
    lines = [f'{name}: {value}' for name, value in answer.getheaders() if name.lower() not in own]
    file.write_bytes('\n'.join([path, *lines, '', '']).encode() + body)
    return len(body)


def stacks(programs, folder, redis, postgres):
    """All session stacks for which there is a database, each with the program that it needs."""
    return [*redis_stacks(programs, folder, redis), *postgres_stacks(programs, folder, postgres)]


def redis_stacks(programs, folder, redis):
    command = [programs.rust('actix_redis')]
    for name, policy in (('rolling', 'every'), ('not rolling', 'state')) if redis else ():
        settings = {'REDIS_URL': redis.url, 'POLICY': policy}
        yield 'actix_redis', Peer(f'actix-session + Redis, {name}', command, settings, folder)


def postgres_stacks(programs, folder, postgres):
    if not postgres:
        return
    url = postgres.new_database('peers')
    command = [programs.rust('tower_postgres')]
    for name, more in (('rolling', {'ROLLING': '1'}), ('not rolling', {})):
        settings = {'DATABASE_URL': url, **more}
        yield 'tower_postgres', Peer(f'tower-sessions + PostgreSQL, {name}', command, settings, folder)
    command = programs.node('express')
    for name, mode in (('touch', 'lean'), ('lastActivity', 'seed')):
        settings = {'DATABASE_URL': url, 'MODE': mode}
        yield 'express', Peer(f'express + connect-pg-simple, {name}', command, settings, folder)
    command = programs.node('better-auth')
    for name, more in (('better-auth + PostgreSQL', {}), ('better-auth, cookie cache 5 min', {'CACHE': '1'})):
        settings = {'DATABASE_URL': postgres.new_database(f'better_auth_{len(more)}'), **more}
        yield 'better-auth', Peer(name, command, settings, folder, PERSON)
