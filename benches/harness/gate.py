"""`scripts/bench gate`: what the gate costs, asked directly and through nginx with the printed configuration."""
import contextlib
import dataclasses
import html
import http.client
import re
import shutil
import subprocess
import urllib.parse

from . import peers
from .load import Load
from .machine import Process, free_port, say
from .reads import Case, limit, measure
from .setup import Setup
from .tables import ratio, show

FETCH = {'Sec-Fetch-Mode': 'cors', 'Sec-Fetch-Dest': 'empty', 'Sec-Fetch-Site': 'same-origin'}


def run(options):
    with Setup(options) as setup:
        nginx = shutil.which('nginx', path='/usr/sbin:/usr/bin')
        setup.programs.build_rust(('bare',))
        postgres = setup.postgres()
        instances = dict(setup.instances(postgres))
        if not nginx or 'bare' in setup.programs.missing:
            setup.leave_out('everything', 'nginx and the bare server are needed')
        else:
            Bench(setup, nginx, instances).run()
        setup.show_left_out()


@dataclasses.dataclass
class Proxied:
    """nginx before the app, with the servers that it needs."""
    nginx: str
    folder: object
    site: str
    port: int
    servers: list
    stack: contextlib.ExitStack = None

    def url(self, path='/api/session'):
        return f'http://127.0.0.1:{self.port}{path}'

    @contextlib.contextmanager
    def serve(self):
        with contextlib.ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server.serve())
            yield stack.enter_context(self.proxy())

    def proxy(self):
        folder = self.folder / f'nginx-{self.port}'
        folder.mkdir(exist_ok=True)
        paths = ''.join(f'{kind}_temp_path {folder}/{kind}; ' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        (folder / 'nginx.conf').write_text(
            f'daemon off; user root; worker_processes 2; pid {folder}/pid; error_log stderr;\n'
            f'events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 1000000; {paths}\n{self.site}\n}}\n')
        return Process([self.nginx, '-c', folder / 'nginx.conf', '-e', 'stderr'], {}, folder, self.port)


class Bench:
    """Makes the cases of one run, and prints them."""

    def __init__(self, setup, nginx, instances):
        self.setup, self.nginx, self.instances = setup, nginx, instances
        self.options, self.folder = setup.options, setup.folder

    def run(self):
        bare = peers.bare(self.setup.programs, self.folder)
        direct = [Case('bare', bare, self.load(bare.url()))]
        plain = Proxied(self.nginx, self.folder, '', free_port(), [bare])
        plain.site = (f'upstream app {{ server 127.0.0.1:{bare.port}; keepalive 16; }}\n'
                      f'server {{ listen {plain.port}; location / {{ proxy_pass http://app; proxy_http_version 1.1; '
                      'proxy_set_header Connection ""; } }')
        proxied = [Case('no gate', plain, self.load(plain.url()))]
        for name, instance in self.instances.items():
            app = App(self, instance, bare)
            if len(direct) == 1:
                same = app.same_bytes()
                direct.append(Case(same.name, same, self.load(same.url(app.gate_path))))
                proxied.append(Case('a gate that repeats the same bytes', app.behind(same), self.load(app.url(), app.jar)))
            direct.append(Case(f'{name.removesuffix(", cache on")}', instance, app.direct_load()))
            proxied.append(Case(f'{name.removesuffix(", cache on")}', app.behind(instance), self.load(app.url(), app.jar)))
        measure(direct + proxied, self.options.rounds)
        quiet = [dataclasses.replace(case, load=dataclasses.replace(case.load, connections=1), figures=[]) for case in proxied]
        measure(quiet, self.options.rounds)
        show_direct(direct)
        show_proxied(proxied, quiet)

    def load(self, url, cookies='', headers=''):
        return Load(url, self.options.connections, self.options.seconds, cookies, headers=headers)


class App:
    """An app behind nginx and the gate of one instance of Sessile, which its people have opened."""

    def __init__(self, bench, instance, upstream):
        self.bench, self.instance, self.port = bench, instance, free_port()
        self.origin = f'http://127.0.0.1:{self.port}'
        # Requests come from nginx on this machine.
        instance.settings['SESSILE_TRUSTED_PROXIES'] = '127.0.0.1/32'
        printed = instance.command('app', 'add', '--name', 'Shop', '--url', self.origin)
        self.id, self.token = (re.search(rf'^{name}: (\S+)$', printed, re.M)[1] for name in ('id', 'gateToken'))
        self.gate_path = f'/.sessile/gate/{self.token}'
        self.upstream = upstream
        signed_in = instance.add_sessions(bench.options.sessions)
        say('opening the app …')
        with instance.serve():
            cookies = [self._open(line) for line in signed_in.read_text().splitlines()]
        self.jar = bench.folder / f'{self.port}.cookies'
        self.jar.write_text('\n'.join(cookies) + '\n')

    def url(self, path='/api/session'):
        return f'{self.origin}{path}'

    def forwarded(self):
        host = self.origin.split('//')[1]
        return {'X-Forwarded-Host': host, 'X-Forwarded-Proto': 'http'}

    def asked(self):
        """The headers of nginx's question to the gate."""
        return {**self.forwarded(), **FETCH, 'X-Forwarded-Method': 'GET', 'X-Forwarded-Uri': '/api/session'}

    def direct_load(self):
        file = self.bench.folder / f'{self.port}.headers'
        file.write_text(''.join(f'{name}: {value}\n' for name, value in self.asked().items()))
        return self.bench.load(self.instance.url(self.gate_path), self.jar, file)

    def same_bytes(self):
        """A server that repeats the gate's answer."""
        headers = {**self.asked(), 'Cookie': self.jar.read_text().split('\n', 1)[0]}
        file = self.bench.folder / 'gate-answer'
        with self.instance.serve():
            peers.record(self.instance.url(), self.gate_path, headers, file)
        return peers.same_bytes(self.bench.setup.programs, self.bench.folder, file)

    def behind(self, gate):
        """nginx with the printed configuration, which asks this server."""
        printed = self.instance.command(
            'app', 'snippet', self.id, '--proxy', 'nginx', '--upstream', f'127.0.0.1:{self.upstream.port}',
            '--sessile', f'127.0.0.1:{gate.port}', '--gate-token-stdin', stdin=self.token)
        return Proxied(self.bench.nginx, self.bench.folder, printed, self.port, [self.upstream, gate])

    def _open(self, cookies):
        """Opens the app in a browser that is signed in. Returns the cookie for the app."""
        start, pending = self._get('/.sessile/start?to=/', self.forwarded())
        opened, _ = self._get(path_of(start), {'Cookie': cookies})
        _, own = self._get(path_of(opened), {**self.forwarded(), 'Cookie': pending[0]})
        return next(cookie for cookie in own if not cookie.endswith('='))

    def _get(self, path, headers):
        connection = http.client.HTTPConnection('127.0.0.1', self.instance.port, timeout=30)
        connection.request('GET', path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f'GET {path}: {answer.status} {body[:300]}')
        return body, [value.split(';')[0] for name, value in answer.getheaders() if name.lower() == 'set-cookie']


def path_of(page):
    """The path and query that a page goes on to."""
    url = urllib.parse.urlsplit(html.unescape(re.search(r'content="0; url=([^"]+)"', page)[1]))
    return f'{url.path}?{url.query}'


def show_direct(cases):
    bare, same = limit(cases, 'bare'), limit(cases, 'bare, the same bytes')
    show(['the gate, asked directly', 'req/s', 'of bare', 'of the same bytes', 'p99 ms'],
         [[case.name, f'{case.rate:,.0f}', ratio(case.rate, bare), ratio(case.rate, same), f'{case.p99:.1f}'] for case in cases])


def show_proxied(cases, quiet):
    without = quiet[0]
    show(['through nginx to an app', 'req/s', 'of no gate', 'p50 ms', 'p99 ms', 'added p50 ms', 'added p99 ms'],
         [[busy.name, f'{busy.rate:,.0f}', ratio(busy.rate, cases[0].rate), f'{one.p50:.2f}', f'{one.p99:.2f}',
           f'{one.p50 - without.p50:.2f}', f'{one.p99 - without.p99:.2f}'] for busy, one in zip(cases, quiet)])
