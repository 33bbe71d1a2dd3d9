"""Load from wrk, which runs on this machine with one thread."""
import dataclasses
import os
import pathlib
import re
import signal
import subprocess

SCRIPT = pathlib.Path(__file__).with_name('requests.lua')
SETTINGS = ('cookies', 'accept_encoding', 'bodies', 'limit', 'delay', 'headers')
MILLISECONDS = {'us': 1e-3, 'ms': 1, 's': 1e3, 'm': 6e4}


@dataclasses.dataclass
class Figures:
    """What wrk printed."""
    rate: float
    p50: float
    p99: float
    answers: int
    refused: int


class Latencies:
    """Percentiles of measured times."""

    def __init__(self, times):
        self.times = sorted(times)
        self.p50, self.p99 = self._percentile(50), self._percentile(99)

    def _percentile(self, number):
        return self.times[min(len(self.times) * number // 100, len(self.times) - 1)]


@dataclasses.dataclass
class Load:
    """Requests for one address. The fields after `seconds` are settings of requests.lua."""
    url: str
    connections: int
    seconds: float
    cookies: str = ''
    accept_encoding: str = ''
    bodies: str = ''
    limit: str = ''
    delay: str = ''
    headers: str = ''

    def start(self):
        settings = {name: str(getattr(self, name)) for name in SETTINGS}
        environment = {**os.environ, **{name.upper(): value for name, value in settings.items() if value}}
        command = ['wrk', '-t1', f'-c{self.connections}', f'-d{self.seconds}s', '--timeout', '60s', '--latency', '-s',
                   SCRIPT, self.url]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, may_be_refused=False):
        """Sends requests until the time is over, or the limit is reached."""
        running = self.start()
        if self.limit and running.stderr.readline() == 'done\n':
            # wrk would sleep until its time is over.
            running.send_signal(signal.SIGINT)
        return self._finish(running, may_be_refused)

    def run_while(self, work):
        """Sends requests while `work` runs. Returns the figures and the result of the work."""
        running = self.start()
        try:
            result = work()
        finally:
            running.send_signal(signal.SIGINT)
        return self._finish(running, False), result

    def _finish(self, running, may_be_refused):
        out, err = running.communicate()
        if running.returncode != 0:
            raise RuntimeError(f'wrk: {out}{err}')
        figures = parse(out)
        if figures.refused and not may_be_refused:
            raise RuntimeError(f'{figures.refused} answers of {self.url} were not 2xx or 3xx')
        return figures


def parse(out):
    """Reads the report of wrk."""
    if failed := re.search(r'Socket errors: .*', out):
        raise RuntimeError(f'wrk: {failed[0]}')
    refused = re.search(r'Non-2xx or 3xx responses: (\d+)', out)
    return Figures(rate=float(re.search(r'Requests/sec:\s+([\d.]+)', out)[1]), p50=percentile(50, out),
                   p99=percentile(99, out), answers=int(re.search(r'(\d+) requests in', out)[1]), refused=int(refused[1]) if refused else 0)


def percentile(number, out):
    """A percentile of the latency, in milliseconds."""
    found = re.search(rf'{number}%\s+([\d.]+)(us|ms|s|m)', out)
    return float(found[1]) * MILLISECONDS[found[2]]
