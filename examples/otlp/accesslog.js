// Sends access events to Tocsin as OTLP/JSON with what Node brings. Copy it into your application.
//
//   const { AccessLog } = require("./accesslog");
//   const log = new AccessLog({ url: process.env.TOCSIN_URL, key: process.env.TOCSIN_KEY, app: "acme_app" });
//   log.access({ actor: "worker-3", action: "read", merchant: "m_214", endpoint: "GET /orders/{id}", account: "191167", dataTypes: ["customer.email"] });
//
// access() never waits. Events go out after 200 ms or 500 of them; what the server does not take is sent again with
// growing pauses, and beyond 10,000 waiting events the newest are dropped and counted in lost.
"use strict";
const { randomUUID } = require("node:crypto");

const MOST = 10000, BATCH = 500, DELAY = 200;

class AccessLog {
  constructor({ url, key, app }) {
    Object.assign(this, { url: new URL("/v1/logs", url), key, app, waiting: [], lost: 0, rejected: 0, pause: DELAY });
  }

  access({ actor, actorType = "user", action, merchant, endpoint, account, email, dataTypes = [], records = 1, ip, userAgent }) {
    if (this.waiting.length >= MOST) return void this.lost++;
    const text = (v) => ({ stringValue: String(v) });
    const attributes = { id: randomUUID(), app: this.app, "actor.id": actor, "actor.type": actorType, action, merchant, endpoint,
      "subject.account": account, "subject.email": email, "client.address": ip, "user_agent.original": userAgent, records };
    const list = Object.entries(attributes).filter(([, v]) => v !== undefined).map(([key, v]) => ({ key, value: text(v) }));
    list.push({ key: "data_types", value: { arrayValue: { values: dataTypes.map(text) } } });
    this.waiting.push({ timeUnixNano: `${BigInt(Date.now()) * 1000000n}`, eventName: "pii_access", attributes: list });
    this.later(DELAY);
  }

  later(pause) {
    if (!this.sending) this.timer ??= setTimeout(() => this.flush(), pause);
  }

  // flush sends what waits, one batch after another; a second call joins the first.
  flush() {
    this.sending ??= this.send().finally(() => {
      this.sending = undefined;
      if (this.waiting.length > 0) this.later(this.pause);
    });
    return this.sending;
  }

  async send() {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.waiting.length > 0) {
      const records = this.waiting.slice(0, BATCH);
      let status = 0, answer = {};
      try {
        const response = await fetch(this.url, { method: "POST", signal: AbortSignal.timeout(10000),
          headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.key}` },
          body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: records }] }] }) });
        if (response.status === 200) answer = await response.json();
        status = response.status;
      } catch { /* the network, or an answer that is not the server's: the same as a server that is not there */ }
      if (status === 200 || (status >= 400 && status < 500 && status !== 429)) {
        this.waiting.splice(0, records.length); // taken, or never going to be
        this.rejected += status === 200 ? Number(answer.partialSuccess?.rejectedLogRecords ?? 0) : records.length;
        this.pause = DELAY;
        continue;
      }
      this.pause = Math.min(this.pause * 2, 30000);
      return;
    }
  }
}

module.exports = { AccessLog };

if (require.main === module) {
  const log = new AccessLog({ url: process.env.TOCSIN_URL, key: process.env.TOCSIN_KEY, app: process.env.TOCSIN_APP });
  log.access({ actor: "worker-3", action: "read", merchant: "m_node", endpoint: "GET /orders/{id}", account: "191167", email: "jo@example.org", dataTypes: ["customer.email"], ip: "203.0.113.9" });
  log.flush().then(() => process.exit(log.waiting.length + log.rejected + log.lost));
}
