"""Servers that put a path right before they look what it means: Envoy, Caddy and Python's own.

Each says `SECRET` at `/admin` and below, and `open` elsewhere or nothing.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from .gateway import START, free_port, listens

SECRET = "the wages of everybody"
SCRIPTS = Path(sysconfig.get_path("scripts"))
TYPES = "type.googleapis.com/envoy.extensions.filters."


class Normaliser:
    """A process that serves on a port of its own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vestibule-normaliser-")
        self.folder, self.port = Path(self._folder.name), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        end = time.monotonic() + START
        while not listens(self.port):
            alive = self._process.poll() is None and time.monotonic() < end
            assert alive, (self.folder / "log").read_text(errors="replace")
            time.sleep(0.05)

    def files(self):
        """A folder with the secret and something open."""
        root = self.folder / "files"
        for name, text in {"admin": SECRET, "public": "open"}.items():
            (root / name).mkdir(parents=True)
            (root / name / "index.html").write_text(text)
        return root

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


class Envoy(Normaliser):
    """Takes dots and doubled slashes out of a path, and decodes slashes in it."""

    def command(self):
        """Routes of its own answer."""
        says = lambda path, text: {  # noqa: E731
            "match": {"prefix": path},
            "direct_response": {"status": 200, "body": {"inline_string": text}},
        }
        filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": TYPES + "network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "paths",
            "normalize_path": True,
            "merge_slashes": True,
            "delayed_close_timeout": "0s",
            "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": TYPES + "http.router.v3.Router",
            }}],
            "route_config": {"virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [says("/admin", SECRET), says("/", "open")]},
            ]},
        }}]
        address = {"socket_address": {"address": "127.0.0.1", "port_value": self.port}}
        file = self.folder / "envoy.json"
        file.write_text(json.dumps({"static_resources": {"listeners": [
            {"name": "paths", "address": address, "filter_chains": [{"filters": filters}]},
        ]}}))
        return [SCRIPTS / "envoy", "-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"]


class Caddy(Normaliser):
    """Serves files by the decoded path, cleaned."""

    def command(self):
        """A file server."""
        file = self.folder / "Caddyfile"
        file.write_text(
            "{\n admin off\n auto_https off\n persist_config off\n}\n"
            f"http://:{self.port} {{\n bind 127.0.0.1\n root * {self.files()}\n file_server\n}}\n"
        )
        return [SCRIPTS / "caddy", "run", "--config", file, "--adapter", "caddyfile"]


class Python(Normaliser):
    """Serves files by the decoded path, dots taken out."""

    def command(self):
        """The server of the standard library."""
        return [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.files(), str(self.port)]
