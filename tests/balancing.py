"""Proxies in front of several web processes, for tests: one of a few lines, and nginx where it is
installed. Neither keeps a visitor with one process."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from tests.lacking import lack
from tests.live import free_port


class Balancer(threading.Thread):
    """Hands each connection to the next process that listens, and passes bytes on."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(name="balancer", daemon=True)
        self._ports = cycle(ports)
        self._count = len(ports)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self._door.accept()
                server = self._next()
                if server is None:
                    visitor.close()
                    continue
                threading.Thread(target=_join, args=(visitor, server), daemon=True).start()

    def _next(self) -> socket.socket | None:
        for _ in range(self._count):
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", next(self._ports)), 2)
        return None

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()


def _join(visitor: socket.socket, server: socket.socket) -> None:
    with visitor, server:
        back = threading.Thread(target=_pass_on, args=(server, visitor), daemon=True)
        back.start()
        _pass_on(visitor, server)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    source.settimeout(None)
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


NGINX = """
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  upstream web {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto {proto};
    }}
  }}
}}
"""


def nginx() -> str:
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    return found or lack("nginx is not installed.")


@contextmanager
def behind_nginx(ports: Sequence[int], proto: str = "http") -> Iterator[int]:
    """Its port. `proto` is what it says of how visitors come."""
    program, port = nginx(), free_port()
    with tempfile.TemporaryDirectory(prefix="chatsite-nginx-") as home:
        servers = " ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
        file = Path(home) / "nginx.conf"
        file.write_text(NGINX.format(home=home, port=port, servers=servers, proto=proto))
        with subprocess.Popen([program, "-c", str(file)], stderr=subprocess.DEVNULL) as process:
            try:
                _wait(port)
                yield port
            finally:
                process.terminate()


def _wait(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
