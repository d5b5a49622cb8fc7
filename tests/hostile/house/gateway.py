"""The real binary, started with a configuration, watched from outside and ended afterwards."""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("VESTIBULE", str(ROOT / "target/debug/vestibule"))
# A start on a machine that does much else.
START = 60
CLIENT_ID = "8d3f6a52-0c7e-4b19-a1d4-52e9c07b6f31"
CLIENT_SECRET = "local-pingone-demo-application"


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port):
    """Whether something accepts connections on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def certificate(folder):
    """A certificate for localhost and its key, made in this folder."""
    crt, key = folder / "tls.crt", folder / "tls.key"
    if not crt.exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", key, "-out", crt],
            check=True, capture_output=True,
        )
        key.chmod(0o600)
    return crt, key


class Gateway:
    """A running gateway with `/public` open and everything else behind a session, if there is a provider."""

    def __init__(self, upstream, *, tls=True, issuer=None, edit=None, cgroup=None):
        self.folder = tempfile.TemporaryDirectory(prefix="vestibule-hostile-")
        folder = Path(self.folder.name)
        self.port, self.admin, self.tls = free_port(), free_port(), tls
        self.scheme = "https" if tls else "http"
        self.host = f"localhost:{self.port}"
        self.origin = f"{self.scheme}://{self.host}"
        listener = {"address": f"127.0.0.1:{self.port}"}
        self.certificate = None
        if tls:
            self.certificate, key = certificate(folder)
            listener["tls"] = {"certificate": str(self.certificate), "key": str(key)}
        routes = [{"id": "open", "match": {"path": "/public"}, "auth": "public", "upstream": upstream}]
        config = {
            "origins": [self.origin],
            "listeners": [listener],
            "admin": {"address": f"127.0.0.1:{self.admin}"},
            "threads": 2,
            "shutdown": {"delay": "0s", "grace": "5s"},
            "log": {"format": "text", "level": "info", "access": {"output": "off"}},
            "sessions": {"store": "memory"},
            "routes": routes,
        }
        if issuer:
            config["providers"] = {"idp": {
                "issuer": issuer, "client_id": CLIENT_ID, "client_secret": {"value": CLIENT_SECRET},
            }}
            routes.append({"id": "app", "auth": {"session": "idp"}, "upstream": upstream})
        if edit:
            edit(config)
        file = folder / "vestibule.yaml"
        file.write_text(json.dumps(config, indent=1))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "run", "-c", file], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        if cgroup:
            cgroup.add(self.process.pid)
        self._wait()

    def _wait(self):
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.logs()}")
            if listens(self.admin) and listens(self.port):
                return
            time.sleep(0.05)
        raise AssertionError(f"the gateway wasn't there in time:\n{self.logs()}")

    def logs(self):
        """What it said."""
        return self.log.read_text(errors="replace")

    def is_alive(self):
        """Whether the process is there."""
        return self.process.poll() is None

    def memory(self, field="VmRSS"):
        """Resident memory in KiB: `VmRSS` now, `VmHWM` at most so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {field}: the gateway has ended\n{self.logs()}")

    def closed(self, reason):
        """How many connections of clients it has ended for this reason."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        start = f'vestibule_connections_closed_total{{reason="{reason}"}} '
        return int(next(line for line in text.splitlines() if line.startswith(start)).removeprefix(start))

    def sockets(self):
        """How many sockets it has open."""
        count = 0
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                count += os.readlink(descriptor).startswith("socket:")
            except OSError:
                pass
        return count

    def forget_peak(self):
        """From now on `VmHWM` counts anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def context(self, *protocols):
        """TLS that trusts it and offers these protocols."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.set_alpn_protocols(list(protocols) or ["http/1.1"])
        return context

    def connect(self, *protocols, timeout=20, receive_buffer=None):
        """A connection: TLS if it has TLS."""
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.settimeout(timeout)
        raw.connect(("127.0.0.1", self.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return raw
        return self.context(*protocols).wrap_socket(raw, server_hostname="localhost")

    def stop(self):
        """Ends it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Emulator:
    """The local PingOne of the binary."""

    def __init__(self):
        port = free_port()
        self.process = subprocess.Popen(
            [PROGRAM, "emulator", "--listen", f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )
        words = self.process.stdout.readline().split()
        assert words[:1] == ["issuer"], words
        self.issuer = words[1]

    def stop(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()
