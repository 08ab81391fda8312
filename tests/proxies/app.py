"""A small app that shows what reaches it: method, path and every header as JSON; on a WebSocket, as its first message,
after which it sends back what it gets. app.py PORT"""

import base64
import hashlib
import http.server
import json
import struct
import sys


class App(http.server.BaseHTTPRequestHandler):
    """Answers every request with what it saw."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def seen(self, body=""):
        # http.server reads headers as latin-1; names are UTF-8.
        headers = [[name, value.encode("latin-1").decode("utf-8", "replace")] for name, value in self.headers.items()]
        return json.dumps({"app": "reached", "method": self.command, "path": self.path, "headers": headers, "body": body}).encode()

    def answer(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.converse()
            return
        length = int(self.headers.get("Content-Length") or 0)
        text = self.seen(self.rfile.read(length).decode("latin-1"))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def converse(self):
        key = self.headers.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        self.send_text(self.seen())
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 != 1:
                return
            length = head[1] & 127
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            mask = self.rfile.read(4)
            payload = self.rfile.read(length)
            self.send_text(bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)))

    def send_text(self, payload):
        short = bytes([0x81, len(payload)]) if len(payload) < 126 else bytes([0x81, 126]) + struct.pack(">H", len(payload))
        self.wfile.write(short + payload)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

    def log_message(self, *_):
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Listens with room for a burst of connections."""

    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_):
        """A proxy that closes a connection is no news."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
