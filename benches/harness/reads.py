"""`scripts/bench reads`: signed-in reads beside other session stacks, and other addresses of Sessile beside Actix."""
import dataclasses
import re
import statistics
import time
from http.client import HTTPConnection

from . import peers
from .load import Load
from .machine import say
from .setup import Setup
from .tables import ratio, show


@dataclasses.dataclass
class Case:
    """One line of a table: a server, and the requests for it."""
    name: str
    server: object
    load: Load
    figures: list = dataclasses.field(default_factory=list)
    mib: float = 0

    def measure(self):
        say(f'measuring {self.name} …')
        with self.server.serve() as process:
            dataclasses.replace(self.load, seconds=1).run()
            self.figures.append(self.load.run())
            self.mib = process.resident_mib()

    @property
    def rate(self):
        return statistics.median(figure.rate for figure in self.figures)

    @property
    def p50(self):
        return statistics.median(figure.p50 for figure in self.figures)

    @property
    def p99(self):
        return statistics.median(figure.p99 for figure in self.figures)


def run(options):
    with Setup(options) as setup:
        postgres, redis = setup.postgres(), setup.redis()
        build_peers(setup)
        bench = Bench(setup)
        instances = {name: bench.sessile(name, one) for name, one in setup.instances(postgres, (True, False))}
        read_cases = [*bench.bare_cases(instances), *bench.stack_cases(redis, postgres), *instances.values()]
        measure(read_cases, options.rounds)
        bench.show_reads(read_cases)
        address_cases = [] if options.no_addresses else bench.address_cases(instances)
        # Measured again, because the ratios need a limit from the same minutes.
        bare = [case for case in read_cases if case.name == 'bare' and address_cases]
        measure(bare + [case for row in address_cases for case in row[1:3] if case], options.rounds)
        bench.show_addresses(address_cases, read_cases)
        setup.show_left_out()


def build_peers(setup):
    setup.programs.build_rust(('bare', 'actix_redis', 'tower_postgres'))
    for name in ('express', 'better-auth'):
        setup.programs.build_node(name)
    for name, why in setup.programs.missing.items():
        setup.leave_out(name, why)


def measure(cases, rounds):
    """Measures each case once a round, so that a slow minute of the machine does not hit only one of them."""
    for number in range(rounds):
        say(f'round {number + 1} of {rounds}')
        for case in cases:
            case.measure()


class Bench:
    """Makes the cases of one run, and prints them."""

    def __init__(self, setup):
        self.setup, self.programs, self.folder = setup, setup.programs, setup.folder
        self.options = setup.options

    def load(self, url, cookies='', accept_encoding=''):
        return Load(url, self.options.connections, self.options.seconds, cookies, accept_encoding)

    def sessile(self, name, instance):
        jar = instance.add_sessions(self.options.sessions)
        return Case(name, instance, self.load(instance.url(), jar))

    def bare_cases(self, instances):
        """Actix without sessions. The second one repeats Sessile's answer, and gets Sessile's requests."""
        if 'bare' in self.programs.missing:
            return []
        server = peers.bare(self.programs, self.folder)
        cases = [Case(server.name, server, self.load(server.url()))]
        if instances:
            case = next(iter(instances.values()))
            file, _ = self.recorded(case, '/api/session', '', signed_in=True)
            cases.append(self.repeated(file, case.load))
        return cases

    def recorded(self, case, path, encoding, signed_in):
        """Writes an answer of Sessile to a file. Returns the file and the length of the answer's body."""
        headers = {'Accept-Encoding': encoding or 'identity'}
        if signed_in:
            headers['Cookie'] = case.load.cookies.read_text().split('\n', 1)[0]
        file = self.folder / f'answer-{time.monotonic_ns()}'
        with case.server.serve():
            return file, peers.record(case.server.url(), path, headers, file)

    def repeated(self, file, load):
        """A server that repeats a recorded answer to the requests of `load`."""
        server = peers.same_bytes(self.programs, self.folder, file)
        path = '/' + load.url.split('/', 3)[3]
        return Case(server.name, server, dataclasses.replace(load, url=server.url(path)))

    def stack_cases(self, redis, postgres):
        stacks = peers.stacks(self.programs, self.folder, redis, postgres)
        built = [peer for program, peer in stacks if program not in self.programs.missing]
        wanted = [peer for peer in built if self.setup.wants(peer.name)]
        jars = [peer.add_sessions(self.options.sessions) for peer in wanted]
        return [Case(peer.name, peer, self.load(peer.url(), jar)) for peer, jar in zip(wanted, jars)]

    def address_cases(self, instances):
        """For each address: its label, Sessile, a server that repeats its answer, and the length of the answer."""
        cached = [case for name, case in instances.items() if name.endswith('cache on')]
        rows = []
        for number, case in enumerate(cached):
            with case.server.serve():
                asset = fingerprinted_asset(case.server.port)
            static = [('/healthz', ''), ('/sw.js', ''), ('/sw.js', 'br'), (asset, ''), (asset, 'br')]
            for path, encoding in (static if number == 0 else []) + [('/dashboard', '')]:
                rows.append(self.address_row(case, path, encoding))
        return rows

    def address_row(self, case, path, encoding):
        signed_in = path == '/dashboard'
        label = f'`{path}`' + (f', {encoding}' if encoding else '')
        label += case.name.removeprefix('Sessile').removesuffix(', cache on') if signed_in else ''
        load = self.load(case.server.url(path), case.load.cookies if signed_in else '', encoding)
        file, length = self.recorded(case, path, encoding, signed_in)
        same = None
        if 'bare' not in self.programs.missing:
            same = dataclasses.replace(self.repeated(file, load), name=f'the same bytes as {label}')
        return label, Case(label, case.server, load), same, length

    def show_reads(self, cases):
        bare, same = limit(cases, 'bare'), limit(cases, 'bare, the same bytes')
        columns = ['`GET /api/session`, signed in', 'req/s', 'of bare', 'of the same bytes', 'p99 ms', 'MiB']
        show(columns, [[case.name, f'{case.rate:,.0f}', ratio(case.rate, bare), ratio(case.rate, same),
                            f'{case.p99:.1f}', f'{case.mib:.0f}'] for case in cases])

    def show_addresses(self, rows, read_cases):
        if not rows:
            return
        bare = limit(read_cases, 'bare')
        columns = ['other addresses', 'req/s', 'of bare', 'of the same bytes', 'p99 ms', 'bytes']
        show(columns, [[label, f'{own.rate:,.0f}', ratio(own.rate, bare), ratio(own.rate, same.rate if same else 0),
                            f'{own.p99:.1f}', f'{length:,}'] for label, own, same, length in rows])


def limit(cases, name):
    return next((case.rate for case in cases if case.name == name), 0)


def fingerprinted_asset(port):
    """The first stylesheet of the login page."""
    connection = HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('GET', '/login')
    page = connection.getresponse().read().decode()
    return re.search(r'/static/[^"]+\.css', page)[0]
