# Sends access events to Tocsin as OTLP/JSON with what Ruby brings. Copy it into your application.
#
#   log = AccessLog.new(ENV["TOCSIN_URL"], ENV["TOCSIN_KEY"], "acme_app")
#   log.access(actor: "worker-3", action: "read", merchant: "m_214", endpoint: "GET /orders/{id}", account: "191167", data_types: ["customer.email"])
#
# access never waits: a thread sends after 200 ms or 500 events, and what the server does not take is sent again with
# growing pauses. Beyond 10,000 waiting events the newest are dropped and counted in lost.
require "json"
require "net/http"
require "securerandom"

class AccessLog
  MOST, BATCH, DELAY = 10_000, 500, 0.2
  attr_reader :lost, :rejected

  def initialize(url, key, app)
    @uri, @key, @app = URI.join(url, "/v1/logs"), key, app
    @waiting, @busy, @lost, @rejected = SizedQueue.new(MOST), 0, 0, 0
    @starting = Mutex.new
  end

  def access(actor:, action:, merchant:, endpoint: nil, account: nil, email: nil, data_types: [], records: 1, actor_type: "user", ip: nil, user_agent: nil)
    fields = { "id" => SecureRandom.uuid, "app" => @app, "actor.id" => actor, "actor.type" => actor_type, "action" => action, "merchant" => merchant,
               "endpoint" => endpoint, "subject.account" => account, "subject.email" => email, "client.address" => ip, "user_agent.original" => user_agent, "records" => records }
    attributes = fields.compact.map { |k, v| { key: k, value: { stringValue: text(v) } } }
    attributes << { key: "data_types", value: { arrayValue: { values: data_types.map { |t| { stringValue: text(t) } } } } }
    record = { timeUnixNano: Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond).to_s, eventName: "pii_access", attributes: attributes }
    @waiting.push(record, true)
    @starting.synchronize { @thread = Thread.new { run } unless @thread&.alive? } # threads do not live on in the workers that a server forks
  rescue ThreadError
    @lost += 1
  end

  # close waits until everything was sent, at most so many seconds, and says how many are left.
  def close(timeout = 10)
    ends = Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
    sleep 0.02 while left.positive? && Process.clock_gettime(Process::CLOCK_MONOTONIC) < ends
    left
  end

  private

  def left = @waiting.size + @busy

  # What comes in with a request may be any bytes; JSON takes UTF-8 only.
  def text(value) = value.to_s.dup.force_encoding(Encoding::UTF_8).scrub

  def run
    loop do
      sleep 0.02 while @waiting.empty?
      sleep DELAY
      @busy = [@waiting.size, BATCH].min
      batch = Array.new(@busy) { @waiting.pop }
      pause = DELAY
      until deliver(batch)
        pause = [pause * 2, 30].min
        sleep pause
      end
      @busy = 0
    end
  end

  def deliver(batch)
    http = Net::HTTP.new(@uri.host, @uri.port)
    http.use_ssl = @uri.scheme == "https"
    http.open_timeout = http.read_timeout = 10
    answer = http.post(@uri.path, JSON.generate(resourceLogs: [{ scopeLogs: [{ logRecords: batch }] }]), "Content-Type" => "application/json", "Authorization" => "Bearer #{@key}")
    code = answer.code.to_i
    return false if code == 429 || code >= 500

    @rejected += code == 200 ? JSON.parse(answer.body).dig("partialSuccess", "rejectedLogRecords").to_i : batch.size # others are never going to be taken
    true
  rescue StandardError # no answer, a certificate that is not trusted, or an answer that is not the server's
    false
  end
end

if __FILE__ == $PROGRAM_NAME
  log = AccessLog.new(ENV["TOCSIN_URL"], ENV["TOCSIN_KEY"], ENV["TOCSIN_APP"])
  log.access(actor: "worker-3", action: "read", merchant: "m_ruby", endpoint: "GET /orders/{id}", account: "191167", email: "jo@example.org", data_types: ["customer.email"], ip: "203.0.113.9")
  exit(log.close + log.rejected + log.lost)
end
