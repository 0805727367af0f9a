"""The same artifact without TorchServe: its predictor behind Python's own HTTP server.

python examples/serve_plain.py demo/artifact 8090
curl http://127.0.0.1:8090/predictions/srec -d '{"appids": [620, 400], "k": 3}'
"""

import json
import sys
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from srec.errors import RequestError
from srec.serving.artifact import Artifact
from srec.serving.contract import error_body, parse_request


class Visitor(BaseHTTPRequestHandler):
    """Answers one request; the server below gives it the predictor."""

    def do_POST(self) -> None:
        """Body -> predictor -> body."""
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        try:
            (answer,) = predictor.answer([parse_request(body)], [str(uuid.uuid4())])
            status, text = 200, json.dumps(answer)
        except RequestError as error:
            status, text = 400, error_body(400, "InvalidRequest", str(error))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text.encode())


predictor = Artifact(Path(sys.argv[1])).predictor()
HTTPServer(("127.0.0.1", int(sys.argv[2])), Visitor).serve_forever()
