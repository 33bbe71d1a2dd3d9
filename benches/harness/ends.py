"""`scripts/bench ends`: how long a sign-out waits for other nodes, and whether any of them still accepts the session."""
import contextlib
import http.client
import os
import signal
import statistics
import time

from .machine import Process, free_port, say
from .setup import Setup
from .tables import show

NAME = 'Sessile, PostgreSQL, cache on'
# Each case has as many sessions, so that the audit trails of their accounts start alike.
CASES = [('one node', 0, None), ('two nodes', 1, None), ('three nodes', 2, None),
         ('two nodes, one stopped', 1, signal.SIGSTOP), ('two nodes, one killed', 1, signal.SIGKILL)]


def run(options):
    with Setup(options) as setup:
        postgres = setup.postgres()
        instance = dict(setup.instances(postgres)).get(NAME)
        if not instance:
            raise SystemExit(f'only {NAME} can be measured')
        cookies = instance.add_sessions(options.sessions * len(CASES)).read_text().splitlines()
        results = []
        for number, case in enumerate(CASES):
            mine = cookies[number * options.sessions:(number + 1) * options.sessions]
            results.append(measure(instance, mine, *case))
        show(['each session signs out', 'sign-outs', 'median ms', '99 % ms', 'longest ms', 'accepted afterwards'], results)
        setup.show_left_out()


def measure(instance, cookies, name, others, fault):
    """Signs out with one cookie after the other. Every node has each session in its cache before that."""
    say(f'measuring {name} …')
    times, accepted = [], 0
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(instance.serve())
        beside = [stack.enter_context(another(instance)) for _ in range(others)]
        nodes = [Node(server.port) for server in [here, *beside]]
        for cookie in cookies:
            for node in nodes:
                # A session is cached when it is read for the second time.
                node.expect(200, 'GET', cookie)
                node.expect(200, 'GET', cookie)
        for server in beside if fault else []:
            os.killpg(server.child.pid, fault)
        for cookie in cookies:
            began = time.monotonic()
            nodes[0].expect(204, 'DELETE', cookie)
            times.append((time.monotonic() - began) * 1000)
            accepted += sum(node.ask('GET', cookie) == 200 for node in (nodes[:1] if fault else nodes))
        for server in beside if fault == signal.SIGSTOP else []:
            os.killpg(server.child.pid, signal.SIGCONT)
        times.sort()
    figures = [statistics.median(times), times[int(len(times) * 0.99)], times[-1]]
    return [name, f'{len(times):,}', *(f'{figure:.1f}' for figure in figures), f'{accepted}']


def another(instance):
    """Another node on the same database."""
    port = free_port()
    settings = {**instance.settings, 'SESSILE_LISTEN': f'127.0.0.1:{port}'}
    return Process([instance.binary, 'serve'], settings, instance.folder, port)


class Node:
    """A connection to one node."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)

    def ask(self, method, cookie):
        self.connection.request(method, '/api/session', headers={'Cookie': cookie})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def expect(self, status, method, cookie):
        found = self.ask(method, cookie)
        if found != status:
            raise RuntimeError(f'{method} /api/session: {found}')
