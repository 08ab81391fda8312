"""A small app that shows what reaches it: method, path and every header as JSON. app.py PORT"""

import http.server
import json
import sys


class App(http.server.BaseHTTPRequestHandler):
    """Answers every request with what it saw."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode("latin-1")
        # http.server reads headers as latin-1; names are UTF-8.
        headers = [[name, value.encode("latin-1").decode("utf-8", "replace")] for name, value in self.headers.items()]
        seen = {"app": "reached", "method": self.command, "path": self.path, "headers": headers, "body": body}
        text = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

    def log_message(self, *_):
        """Says nothing."""


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
