"""``kdlight dashboard --save`` sends its specification to W&B, here to a server on the loopback address."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

USER = {"id": "1", "username": "somebody", "entity": "team", "email": "", "flags": "{}", "teams": {"edges": []}}
SAVED = {"upsertView": {"view": {"id": "view", "name": "nw-abc-v"}, "inserted": True}}


class Handler(BaseHTTPRequestHandler):
    """Answers the two questions of W&B's client: who is asking, and whether the view was stored."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = {}
        if self.path == "/graphql":
            asked = json.loads(content)
            self.server.asked.append(asked)
            answer = {"data": SAVED if "upsertView" in asked["query"] else {"viewer": USER}}
        written = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *_):
        pass


@pytest.fixture
def wandb_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def save(folder, **environment):
    """Run the command in a process of its own: W&B keeps accounts and addresses for the life of a process."""
    command = [sys.executable, "-m", "kdlight", "dashboard", "mine", "--entity", "team", "--save"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**inherited, "HOME": str(folder), **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_is_saved_is_what_is_written(wandb_server, tmp_path):
    address = f"http://127.0.0.1:{wandb_server.server_address[1]}"
    ended = save(tmp_path, WANDB_BASE_URL=address, WANDB_API_KEY="0" * 40)
    assert ended.returncode == 0, ended.stderr
    (sent,) = [asked["variables"] for asked in wandb_server.asked if "upsertView" in asked["query"]]
    written = json.loads((tmp_path / "dashboard.json").read_text())
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("team", "mine", "kdlight")

    def panels(spec):
        sections = spec["section"]["panelBankConfig"]["sections"]
        return [(each["name"], [panel["viewType"] for panel in each["panels"]]) for each in sections]

    assert panels(json.loads(sent["spec"])) == panels(written["spec"])
    assert len(panels(written["spec"])) > 3
    assert f"saved {address}/team/mine?nw=abc" in ended.stdout


@pytest.mark.slow
def test_without_an_account_the_file_is_written_and_the_rest_said(tmp_path):
    ended = save(tmp_path)
    assert ended.returncode == 2
    assert (tmp_path / "dashboard.json").is_file()
    (said,) = [line for line in ended.stderr.splitlines() if line.startswith("kdlight: ")]
    assert "log in with `wandb login`" in said
    assert "offline" not in said, "that is advice for a run"
    assert "Traceback" not in ended.stderr
