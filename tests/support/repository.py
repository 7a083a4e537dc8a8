"""A small Maven repository on this machine: serves files with ranges, and misbehaves when told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Repository:
    """files: content by path. cut_after: the connection breaks after so many bytes, once for each path listed."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    requests: int = 0
    url: str = ""


@contextmanager
def running_repository() -> Iterator[Repository]:
    repository = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, repository)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    repository.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield repository
    server.shutdown()
    server.server_close()
    thread.join()


def answer(handler: BaseHTTPRequestHandler, repository: Repository) -> None:
    repository.requests += 1
    content = repository.files.get(handler.path.removeprefix("/"))
    if content is None:
        handler.send_error(404)
        return
    start = start_of_range(handler.headers.get("Range"), repository)
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    end = repository.cut_after.pop(handler.path.removeprefix("/"), len(content))
    handler.wfile.write(content[start:end])
    handler.close_connection = True


def start_of_range(header: str | None, repository: Repository) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", header or "")
    if match is None:
        return 0
    repository.ranges.append(match[0])
    return int(match[1])
