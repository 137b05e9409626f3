"""A web server on this machine that serves pages from memory."""

import http.server

Reply = tuple[int, dict[str, str], bytes]


class Pages(http.server.ThreadingHTTPServer):
    """Answers each path with its reply, else 404; `requested` are the paths."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, Reply] = {}
        self.requested: list[str] = []
        self.scheme = "http"

    def put(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies[path] = (status, named, content)
        return self.url(path)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # A client that leaves early.


class Handler(http.server.BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        status, headers, content = self.server.replies.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(content), 2**16):
            self.wfile.write(content[start : start + 2**16])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass
