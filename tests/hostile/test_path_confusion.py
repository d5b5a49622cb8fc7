"""Paths that another server reads as `/admin`: real ones that normalise, behind the gateway."""

import socket

import pytest

from house.gateway import Gateway
from house.normalisers import SECRET, Caddy, Envoy, Python

PATHS = [
    # Dot segments.
    "/public/../admin/", "/public/%2e%2e/admin/", "/public/.%2e/admin/", "/public/%2E%2E/admin/",
    "/public/x/%2e%2e/%2e%2e/admin/", "/./admin/", "/%2e/admin/", "/admin/.", "/admin/./", "/x/../admin/",
    "/admin/..", "/public/%252e%252e/admin/",
    # Encoded slashes.
    "/public/..%2fadmin/", "/public/%2e%2e%2fadmin/", "/public/..%2Fadmin%2F", "/admin/..%2fpublic", "/%2fadmin/",
    "/admin%2f", "/public%2f..%2fadmin%2f",
    # Path parameters.
    "/public/..;/admin/", "/public/;/../admin/", "/admin;x=1", "/admin/;x=1", "/;/admin/",
    # Slashes and back slashes.
    "//admin/", "///admin/", "/public//../admin/", "/public/..//admin/", "/public\\..\\admin/",
    "/public/%5c..%5cadmin/", "/public/..%5cadmin/", "/\\admin/",
    # Case and encoding.
    "/ADMIN/", "/Admin/", "/%61dmin/", "/%61%64%6d%69%6e/", "/%2561dmin/", "/%u0061dmin/", "/\uff41dmin/",
    "/%ef%bd%81dmin/",
    # Trailing bytes.
    "/admin%20", "/admin/%20", "/admin%09", "/admin%00", "/admin/%00", "/admin%0a", "/public/..%00/admin/",
    "/admin.", "/admin/index.html", "/admin/index.html%20", "/admin/index.html.",
    # Over-long UTF-8.
    "/%c0%afadmin/", "/public/%c0%ae%c0%ae/admin/", "/public/..%c0%afadmin/",
    # Query and fragment.
    "/admin/?/public", "/admin%3f/public", "/admin/#/public", "/public/../admin/?x=/public/",
    # Raw bytes and other forms.
    "/public/\xff/../../admin/", "*", "http:/admin/", "http://other.test/admin/", "admin/", "/admin",
]


def ask(port, host, path):
    """All that one request for this path brings."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        raw = "latin-1" if path.isascii() or max(path) <= "\xff" else "utf-8"
        connection.sendall(head.encode(raw))
        read = b""
        while piece := connection.recv(65536):
            read += piece
        return read.decode("latin-1")


def reaches_admin(answer):
    """Whether the server has taken the path for the protected one: it says the secret, or where it is."""
    location = [line for line in answer.split("\r\n") if line.lower().startswith("location:")]
    return SECRET in answer or any(line.rstrip().endswith("/admin/") for line in location)


@pytest.fixture(params=[Envoy, Caddy, Python])
def upstream(request):
    """A server that normalises."""
    upstream = request.param()
    yield upstream
    upstream.stop()


@pytest.mark.parametrize("open_by_default", [False, True], ids=["open: public", "open: all but admin"])
def test_no_spelling_reaches_what_a_server_takes_for_the_protected_path(upstream, open_by_default, emulator, note):
    """B-05: what the server itself would answer with the secret, nobody is given through the gateway."""

    def routes(config):
        if open_by_default:
            config["routes"] = [
                {"id": "admin", "match": {"path": "/admin"}, "auth": {"session": "idp"}, "upstream": upstream.url},
                {"id": "rest", "auth": "public", "upstream": upstream.url},
            ]

    host = f"127.0.0.1:{upstream.port}"
    confused = [path for path in PATHS if reaches_admin(ask(upstream.port, host, path))]
    # Or nothing would be shown.
    assert "/public/%2e%2e/admin/" in confused and len(confused) >= 10, confused
    with Gateway(upstream.url, tls=False, issuer=emulator.issuer, edit=routes) as gateway:
        assert "open" in ask(gateway.port, gateway.host, "/public/")
        through = [path for path in PATHS if reaches_admin(ask(gateway.port, gateway.host, path))]
    assert through == []
    note(f"{type(upstream).__name__} takes {len(confused)} of {len(PATHS)} paths for /admin; through the gateway: 0")
