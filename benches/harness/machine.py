"""Processes, ports, files and programs of this machine."""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / 'benches/peers'
# Every server runs with as many workers.
WORKERS = 2


def say(text):
    print(text, file=sys.stderr, flush=True)


def has(program):
    return shutil.which(program) is not None


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def allow_many_files():
    """Raises the limit on open files, because each connection needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def temporary_folder():
    """A folder that the user of the database server can reach too."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='sessile-bench-'))
    folder.chmod(0o755)
    return folder


def own_environment(more):
    """The environment for a server: without settings of Sessile that the caller happens to have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('SESSILE_', 'DATABASE_URL'))}
    return {**kept, **{name: str(value) for name, value in more.items()}}


def processor_seconds(process):
    """Processor time of a process so far, with all its threads; 0 if it has ended."""
    try:
        times = [thread.read_text() for thread in pathlib.Path(f'/proc/{process}/task').glob('*/schedstat')]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(time.split()[0]) for time in times) / 1e9


def children(process):
    listed = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(process)], capture_output=True, text=True)
    return listed.stdout.split()


class Process:
    """A server in a process group of its own, which ends with the `with` block."""

    def __init__(self, command, environment, folder, port):
        self.port = port
        self.log = pathlib.Path(folder) / f'server-{port}.log'
        with self.log.open('wb') as log:
            self.child = subprocess.Popen([str(part) for part in command], env=own_environment(environment),
                                          stdout=log, stderr=log, cwd=folder, start_new_session=True)

    def __enter__(self):
        self._wait_for_port()
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait_for_port(self):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.002)
        log = self.log.read_text(errors='replace')[-2000:]
        self.stop()
        raise RuntimeError(f'{self.child.args[0]} does not listen on port {self.port}:\n{log}')

    def stop(self, how=signal.SIGINT):
        """Stops the server. After SIGINT it does not wait for open connections."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, how)
        self.child.wait(60)

    def resident_mib(self):
        """Resident memory of the whole process group."""
        listed = subprocess.run(['ps', '-o', 'rss=', '-g', str(self.child.pid)], capture_output=True, text=True)
        return sum(map(int, listed.stdout.split())) / 1024
