"""Puts a stdio server of MCP onto Streamable HTTP, for the conformance suite, which knows nothing else. Both eras.

usage: relay.py COMMAND [ARGUMENT...]; prints its address on one line and serves until its stdin closes.

One process for each session of the older era, one for all requests of the newer one, which have none. What is HTTP's own is done here:
sessions, the headers of 2026-07-28, hosts that are refused; such checks judge this file and not the server behind it.
"""
import itertools, json, os, queue, subprocess, sys, threading, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

META = "io.modelcontextprotocol/"
# Where the name stands that a request of 2026-07-28 repeats in its headers.
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
LOCAL = ("localhost", "127.0.0.1", "[::1]")
PATIENCE = 60


class Server:
    """One process of the server, its requests under ids of ours."""

    def __init__(self):
        self.process = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.ids, self.lock = itertools.count(1), threading.Lock()
        self.waiting, self.tokens = {}, {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            params = message.get("params") or {}
            if "method" not in message:
                stream = self.waiting.get(message.get("id"))
            elif message["method"] == "notifications/progress":
                stream = self.tokens.get(params["progressToken"])
            elif META + "subscriptionId" in (params.get("_meta") or {}):
                stream = self.waiting.get(params["_meta"][META + "subscriptionId"])
            else:
                # A question to the client, or a log message: it goes with the youngest request under way.
                with self.lock:
                    stream = self.waiting[max(self.waiting)] if self.waiting else None
            if stream:
                stream.put(message)

    def send(self, message):
        with self.lock:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def begin(self, message, token):
        with self.lock:
            number = next(self.ids)
            stream = self.waiting[number] = queue.Queue()
        if token is not None:
            self.tokens[token] = stream
        self.send({**message, "id": number})
        return number, stream

    def end(self, number, token):
        with self.lock:
            self.waiting.pop(number, None)
        self.tokens.pop(token, None)

    def close(self):
        self.process.stdin.close()


sessions, shared = {}, Server()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message, headers={}):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, number, code, words):
        self.reply(status, {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": words}})

    def do_GET(self):
        self.reply(405, None)

    def do_DELETE(self):
        session = sessions.pop(self.headers.get("Mcp-Session-Id"), None)
        if session:
            session.close()
        self.reply(200 if session else 404, None)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        host, origin = self.headers.get("Host", "").rsplit(":", 1)[0], self.headers.get("Origin", "")
        if host not in LOCAL or origin and not any(f"//{name}" in origin for name in LOCAL):
            return self.refuse(403, None, -32000, "this host may not")
        try:
            message = json.loads(raw)
        except ValueError:
            return self.refuse(400, None, -32700, "not JSON")
        if not isinstance(message, dict):
            return self.refuse(400, None, -32600, "one message at a time")
        self.route(message)

    def route(self, message):
        method, number = message.get("method"), message.get("id")
        params = message.get("params") or {}
        meta = params.get("_meta") or {}
        version = meta.get(META + "protocolVersion")
        modern = version is not None or method == "server/discover" or self.headers.get("MCP-Protocol-Version", "") >= "2026"
        if modern and method and number is not None:
            wrong = None
            if version is not None and self.headers.get("MCP-Protocol-Version") != version:
                wrong = "MCP-Protocol-Version"
            elif self.headers.get("Mcp-Method", "").strip() != method:
                wrong = "Mcp-Method"
            elif method in NAMED and self.headers.get("Mcp-Name", "").strip() != str(params.get(NAMED[method])):
                wrong = "Mcp-Name"
            if wrong:
                return self.refuse(400, number, -32020, f"the header {wrong} is not what the body says")
        session, headers = self.headers.get("Mcp-Session-Id"), {}
        if method == "initialize" and not modern:
            session = str(uuid.uuid4())
            sessions[session], headers = Server(), {"Mcp-Session-Id": session}
        server = shared if modern else sessions.get(session)
        if server is None:
            return self.refuse(404 if session else 400, number, -32600, "no session")
        if number is None or method is None:
            # A notification, or the client's answer to a question.
            server.send(message)
            return self.reply(202, None)
        self.serve(server, message, meta.get("progressToken"), modern, headers)

    def serve(self, server, message, token, modern, headers):
        number, stream = server.begin(message, token)
        streaming = False
        try:
            while True:
                said = stream.get(timeout=PATIENCE)
                last = "method" not in said
                if last:
                    said["id"] = message["id"]
                about = (said.get("result") if last else said.get("params")) or {}
                if META + "subscriptionId" in (about.get("_meta") or {}):
                    about["_meta"][META + "subscriptionId"] = message["id"]
                if last and not streaming:
                    return self.reply(self.status(said, modern), said, headers)
                if not streaming:
                    self.send_response(200)
                    for name, value in {"Content-Type": "text/event-stream", "Connection": "close", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    streaming = True
                self.wfile.write(b"event: message\ndata: " + json.dumps(said).encode() + b"\n\n")
                self.wfile.flush()
                if last:
                    self.close_connection = True
                    return
        except (queue.Empty, BrokenPipeError, ConnectionResetError):
            server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
            self.close_connection = True
        finally:
            server.end(number, token)

    def status(self, said, modern):
        """HTTP's word for an error of JSON-RPC (MCP 2026-07-28, Transports)."""
        error = said.get("error") or {}
        code = error.get("code")
        if modern and code == -32601:
            return 404
        if code in (-32020, -32021, -32022) or modern and code == -32602 and "required fields" in error["message"]:
            return 400
        return 200


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
class Http(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that hung up is no news."""


http = Http(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{http.server_port}/mcp", flush=True)
http.serve_forever()
