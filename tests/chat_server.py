"""A server on this machine that speaks OpenAI's chat completions, and Anthropic's messages."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image


class ChatServer:
    """Says what it is told to say, and keeps what it was asked.

    Attributes:
        says: the answers in turn, the last of them for ever: a text, a dict (sent as JSON text), a
            status code (307 leads to ``leads_to``), bytes instead of an answer, or "slow".
        asked: the bodies of the requests.
        headers: of the requests.
    """

    def __init__(self):
        self.says = ["hello"]
        self.leads_to = ""
        self.asked, self.headers, self.paths = [], [], []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.paths.append(self.path)
                outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                outer.asked.append(json.loads(body))
                status, answer = outer._answer(self.path)
                data = json.dumps(answer).encode() if not isinstance(answer, bytes) else answer
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    if status == 307:
                        self.send_header("Location", outer.leads_to)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # who asked did not wait
                    pass

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def pictures(self, request=-1):
        """The pictures of a request, decoded."""
        found = []
        for message in self.asked[request]["messages"]:
            parts = message["content"] if isinstance(message["content"], list) else []
            for part in parts:
                if part["type"] == "image_url":
                    data = part["image_url"]["url"].partition(",")[2]
                    found.append(Image.open(io.BytesIO(base64.b64decode(data))))
        return found

    def _answer(self, path):
        say = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if say == "slow":
            self.over.wait(20)
        if isinstance(say, bytes):  # no JSON at all
            return 200, say
        if isinstance(say, int):
            return say, {"error": {"message": f"status {say}", "type": "error", "code": None}}
        if path.endswith("/messages"):
            return 200, _message(say)
        return 200, _completion(say)


def _completion(say):
    message = {"role": "assistant", "content": say if isinstance(say, str) else json.dumps(say)}
    reason = "stop"
    if isinstance(say, tuple):  # (name of a tool, its arguments)
        call = {"name": say[0], "arguments": json.dumps(say[1])}
        message["content"] = None
        message["tool_calls"] = [{"id": "call-1", "type": "function", "function": call}]
        reason = "tool_calls"
    if say == "refuse":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    if say == "filter":
        message["content"], reason = None, "content_filter"
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "test-model",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _message(say):
    call = {"type": "tool_use", "id": "call-1", "name": "final_result", "input": say}
    return {
        "id": "message-1",
        "type": "message",
        "role": "assistant",
        "model": "test-model",
        "content": [{"type": "text", "text": say} if isinstance(say, str) else call],
        "stop_reason": "end_turn" if isinstance(say, str) else "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
