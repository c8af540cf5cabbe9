"""Sends access events to Tocsin as OTLP/JSON with what Python brings. Copy it into your application.

    log = AccessLog(os.environ["TOCSIN_URL"], os.environ["TOCSIN_KEY"], "acme_app")
    log.access(actor="worker-3", action="read", merchant="m_214", endpoint="GET /orders/{id}", account="191167", data_types=["customer.email"])

access() never waits: a thread sends after 200 ms or 500 events, and what the server does not take is sent again with
growing pauses. Beyond 10,000 waiting events the newest are dropped and counted in lost.
"""
import http.client
import json
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

MOST, BATCH, DELAY = 10_000, 500, 0.2


class AccessLog:
    def __init__(self, url, key, app):
        self.url, self.key, self.app = url.rstrip("/") + "/v1/logs", key, app
        self.lost, self.rejected = 0, 0
        self._start()
        if hasattr(os, "register_at_fork"):  # threads do not live on in the workers that a server forks
            os.register_at_fork(after_in_child=self._start)

    def _start(self):
        self.waiting = queue.Queue(MOST)
        threading.Thread(target=self._run, daemon=True).start()

    def access(self, actor, action, merchant, endpoint=None, account=None, email=None, data_types=(), records=1, actor_type="user", ip=None, user_agent=None):
        fields = {
            "id": str(uuid.uuid4()), "app": self.app, "actor.id": actor, "actor.type": actor_type, "action": action, "merchant": merchant, "endpoint": endpoint,
            "subject.account": account, "subject.email": email, "client.address": ip, "user_agent.original": user_agent, "records": records,
        }
        attributes = [{"key": k, "value": {"stringValue": str(v)}} for k, v in fields.items() if v is not None]
        attributes.append({"key": "data_types", "value": {"arrayValue": {"values": [{"stringValue": t} for t in data_types]}}})
        try:
            self.waiting.put_nowait({"timeUnixNano": str(time.time_ns()), "eventName": "pii_access", "attributes": attributes})
        except queue.Full:
            self.lost += 1

    def close(self, timeout=10):
        """Waits until everything was sent, at most so many seconds."""
        ends = time.monotonic() + timeout
        while self.waiting.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.02)
        return self.waiting.unfinished_tasks

    def _run(self):
        while True:
            batch = [self.waiting.get()]
            ends = time.monotonic() + DELAY
            while len(batch) < BATCH:
                try:
                    batch.append(self.waiting.get(timeout=max(0, ends - time.monotonic())))
                except queue.Empty:
                    break
            pause = DELAY
            while not self._send(batch):
                pause = min(pause * 2, 30)
                time.sleep(pause)
            for _ in batch:
                self.waiting.task_done()

    def _send(self, batch):
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": batch}]}]}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json", "Authorization": "Bearer " + self.key})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = json.load(response)
                self.rejected += int((answer.get("partialSuccess") or {}).get("rejectedLogRecords", 0))
                return True
        except urllib.error.HTTPError as e:
            if e.code == 429 or e.code >= 500:
                return False
            self.rejected += len(batch)  # never going to be taken
            return True
        except (OSError, http.client.HTTPException, ValueError, AttributeError):  # no answer, or not the server's
            return False


if __name__ == "__main__":
    log = AccessLog(os.environ["TOCSIN_URL"], os.environ["TOCSIN_KEY"], os.environ["TOCSIN_APP"])
    log.access(actor="worker-3", action="read", merchant="m_python", endpoint="GET /orders/{id}", account="191167", email="jo@example.org", data_types=["customer.email"], ip="203.0.113.9")
    sys.exit(log.close() + log.rejected + log.lost)
