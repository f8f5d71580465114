"""A web server for actions to connect to, over plain TCP and over TLS: tells its ports, then answers until it is ended.

What the answers should look like is the test's business, and so is the certificate.
"""

import http.server
import json
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = f"hello from {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
print(json.dumps([plain.server_address[1], secure.server_address[1]]), flush=True)
plain.serve_forever()
