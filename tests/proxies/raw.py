"""Sends exactly the bytes of stdin over TLS and prints the status code of the answer. raw.py PORT SERVER-NAME"""

import socket
import ssl
import sys

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=sys.argv[2]) as line:
        line.sendall(sys.stdin.buffer.read())
        head = line.recv(4096)
print(head.split(b" ")[1].decode() if head.startswith(b"HTTP/1.") else "none")
