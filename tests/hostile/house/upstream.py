"""A recording upstream on raw TCP: it keeps every byte that it was sent, and echoes requests as JSON."""

import json
import multiprocessing
import socket
import threading
import time


class Request:
    """A request head as it arrived, and whether its body came to the end that was promised."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, *_ = [*lines[0].split(" "), "", ""]
        self.fields = [tuple(part.strip() for part in line.partition(":")[::2]) for line in lines[1:] if line]
        self.complete = False

    def all(self, name):
        """Every value under this name."""
        return [value for found, value in self.fields if found.lower() == name]


class Upstream:
    """Runs in a thread of this process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._bytes = b""
        self._requests = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        reader = Reader(connection, self._keep)
        try:
            while (head := reader.until(b"\r\n\r\n")) is not None:
                request = Request(head[:-4])
                with self._lock:
                    self._requests.append(request)
                reader.body(request)
                request.complete = True
                body = json.dumps({"method": request.method, "target": request.target, "headers": request.fields})
                if request.method == "HEAD":
                    body = ""
                connection.sendall(
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                    .encode()
                )
        except (OSError, EOFError, ValueError):
            pass
        finally:
            connection.close()

    def _keep(self, read):
        with self._lock:
            self._bytes += read

    def requests(self):
        """The requests so far, but those of canaries."""
        with self._lock:
            return [request for request in self._requests if not request.target.startswith("/public/canary")]

    def bytes(self):
        """Every byte so far."""
        with self._lock:
            return self._bytes

    def forget(self):
        """Forgets what it saw."""
        with self._lock:
            self._bytes, self._requests = b"", []

    def saw_nothing(self):
        """Whether not a byte came, with a moment for those on the way."""
        time.sleep(0.05)
        return self.bytes() == b""

    def stop(self):
        """Stops listening."""
        self._listener.close()


class Reader:
    """Reads a connection and hands on a copy."""

    def __init__(self, connection, keep):
        self._connection, self._keep, self._buffer = connection, keep, b""

    def _more(self):
        read = self._connection.recv(65536)
        self._keep(read)
        self._buffer += read
        return bool(read)

    def _take(self, count):
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def until(self, end):
        """What comes up to and with `end`; none when the connection ends first."""
        while end not in self._buffer:
            if not self._more():
                return None
        return self._take(self._buffer.index(end) + len(end))

    def exactly(self, count):
        """This many bytes."""
        while len(self._buffer) < count:
            if not self._more():
                raise EOFError
        return self._take(count)

    def body(self, request):
        """Reads the body that the head has promised."""
        if request.all("transfer-encoding"):
            while True:
                line = self.until(b"\r\n")
                if line is None:
                    raise EOFError
                self.exactly(int(line.split(b";")[0], 16) + 2)
                if line.strip() == b"0":
                    return
        lengths = request.all("content-length")
        self.exactly(int(lengths[0]) if lengths else 0)


BODY = b"x" * 64
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def _answer(port, size):
    import asyncio

    async def answer(reader, writer):
        # Bodies of requests are of no interest here: a head that has ended is answered.
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if not size:
                    writer.write(ANSWER)
                    continue
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                for at in range(0, size, 65_536):
                    writer.write(b"x" * min(65_536, size - at))
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    asyncio.run(serve())


class BusyUpstream:
    """Answers 200 to everything, in a process of its own, so that measuring isn't measuring ourselves."""

    def __init__(self, size=0):
        from .gateway import free_port, listens

        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = multiprocessing.get_context("spawn").Process(target=_answer, args=(self.port, size), daemon=True)
        self._process.start()
        end = time.monotonic() + 30
        while not listens(self.port):
            assert time.monotonic() < end, "the upstream doesn't start"
            time.sleep(0.05)

    def stop(self):
        """Ends it."""
        self._process.kill()
        self._process.join()
