"""The command line of scripts/bench."""
import argparse
import pathlib
import signal
import sys

from . import big_tables, costs, ends, gate, logins, memory, nodes, notify, reads, touches

# For each command: the function, and the defaults of its options.
COMMANDS = {
    'reads': (reads.run, {'rounds': 3, 'seconds': 6, 'connections': 32, 'sessions': 200}),
    'logins': (logins.run, {'seconds': 10, 'connections': 16, 'sessions': 2000, 'at_once': 2000}),
    'touches': (touches.run, {'seconds': 60, 'connections': 32, 'sessions': 100_000}),
    'ends': (ends.run, {'sessions': 100}),
    'gate': (gate.run, {'rounds': 3, 'seconds': 6, 'connections': 32, 'sessions': 200}),
    'costs': (costs.run, {'sessions': 100_000, 'operations': 300}),
    'nodes': (nodes.run, {'sessions': 40, 'nodes': 8, 'seconds': 10}),
    'notify': (notify.run, {'seconds': 4, 'listeners': 1000}),
    'memory': (memory.run, {'connections': 32, 'sessions': 100_000}),
    'tables': (big_tables.run, {'few': 10_000, 'sessions': 1_000_000, 'events': 10, 'expired': 1_000_000,
                                'requests': 500}),
}
HELP = {
    'rounds': 'how often each target is measured; the median counts',
    'seconds': 'how long each measurement takes',
    'connections': 'connections at the same time',
    'sessions': 'sessions that the requests belong to',
    'operations': 'how often each operation is measured',
    'nodes': 'the most nodes',
    'listeners': 'the most nodes that listen',
    'at_once': 'logins that are sent at once',
    'few': 'sessions of the small instance',
    'events': 'audit events of each session',
    'expired': 'sessions that the sweep finds expired, at most half of all',
    'requests': 'requests of each kind',
}


def run(usage, arguments):
    if not arguments or arguments[0].startswith('-') and arguments[0] not in ('-h', '--help'):
        arguments = ['reads', *arguments]
    options = parser(usage).parse_args(arguments)
    # Ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    COMMANDS[options.command][0](options)


def parser(usage):
    top = argparse.ArgumentParser(prog='scripts/bench', description=usage,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (_, defaults) in COMMANDS.items():
        one = commands.add_parser(name, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for option, default in defaults.items():
            one.add_argument('--' + option.replace('_', '-'), type=int, default=default, help=HELP[option])
        add_shared_options(one)
        if name == 'reads':
            one.add_argument('--no-addresses', action='store_true', help='leave out the table of other addresses')
    return top


def add_shared_options(one):
    cache = pathlib.Path.home() / '.cache/sessile-peers'
    one.add_argument('--only', metavar='NAME', action='append',
                     help='only the targets whose name contains this; may be repeated')
    one.add_argument('--sessile', metavar='BINARY', type=absolute,
                     help='measure this program instead of a new release build')
    one.add_argument('--peers-dir', metavar='DIR', type=absolute, default=cache, help='where the peers are built')
    one.add_argument('--install', action='store_true',
                     help='install wrk and redis-server with apt-get, and download what the peers depend on')


def absolute(path):
    return pathlib.Path(path).resolve()
