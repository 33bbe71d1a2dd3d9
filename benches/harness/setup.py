"""What the benchmarks share: the programs, the databases, and what had to be left out."""
import contextlib
import os
import shutil
import subprocess

from . import databases, sessile
from .databases import Postgres, Redis
from .machine import allow_many_files, has, say, temporary_folder
from .peers import Programs
from .sessile import Sessile

PACKAGES = {'wrk': 'wrk', 'redis-server': 'redis-server'}


class Setup(contextlib.ExitStack):
    """A folder, databases and programs. Everything that it starts ends with the `with` block."""

    def __init__(self, options, needs_wrk=True):
        super().__init__()
        self.options, self.needs_wrk, self.left_out = options, needs_wrk, []

    def __enter__(self):
        super().__enter__()
        if self.options.install:
            install_packages()
        if self.needs_wrk and not has('wrk'):
            raise SystemExit('wrk is not installed, so nothing can be measured. Install it, or run with --install.')
        allow_many_files()
        self.binary = self.options.sessile or sessile.build()
        self.programs = Programs(self.options.peers_dir, self.options.install)
        self.folder = temporary_folder()
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        return self

    def leave_out(self, what, why):
        self.left_out.append(f'{what}: {why}')
        say(f'leaving out {what}: {why}')

    def postgres(self, settings=()):
        """Starts PostgreSQL; None if there is none."""
        if why := databases.missing_for_postgres():
            self.leave_out('everything on PostgreSQL', why)
            return None
        return self.enter_context(Postgres(self.folder, settings))

    def redis(self):
        """Starts Redis; None if there is none."""
        if not has('redis-server'):
            self.leave_out('everything on Redis', 'redis-server is not installed')
            return None
        return self.enter_context(Redis(self.folder))

    def instances(self, postgres, caches=(True,)):
        """Instances of Sessile by name: on both databases, with and without the cache."""
        engines = [('PostgreSQL', postgres)] if postgres else []
        for engine, server in [*engines, ('SQLite', None)]:
            for cache in caches:
                name = f'Sessile, {engine}, cache {"on" if cache else "off"}'
                if self.wants(name):
                    database = server.new_database(f'sessile_{int(cache)}') if server else None
                    folder = self.folder / name.replace(', ', '-').replace(' ', '-')
                    yield name, Sessile(self.binary, folder, database, cache)

    def wants(self, name):
        """Whether --only names this target."""
        only = self.options.only
        return not only or any(part.lower() in name.lower() for part in only)

    def show_left_out(self):
        if self.left_out:
            print('\nLeft out: ' + '; '.join(self.left_out) + '.')


def install_packages():
    missing = [package for program, package in PACKAGES.items() if not has(program)]
    if not missing:
        return
    if not has('apt-get') or os.getuid() != 0:
        say(f'cannot install {", ".join(missing)}: that needs apt-get and root')
        return
    subprocess.run(['apt-get', 'install', '--yes', '--quiet', *missing], check=True, stdout=subprocess.DEVNULL)
