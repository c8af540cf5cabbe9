<?php
// Sends access events to Tocsin as OTLP/JSON with what PHP brings. Copy it into your application.
//
//   $log = new AccessLog(getenv('TOCSIN_URL'), getenv('TOCSIN_KEY'), 'acme_app');
//   $log->access(actor: 'worker-3', action: 'read', merchant: 'm_214', endpoint: 'GET /orders/{id}', account: '191167', dataTypes: ['customer.email']);
//
// A PHP process lives for one request: events are collected and sent when it ends, after the answer went out where
// fastcgi_finish_request is there. What the server does not take within three attempts is appended to $spill as
// lines of JSON, which tocsin ingest --format otlp sends later; without $spill it is counted in $lost.

final class AccessLog
{
    private array $waiting = [];
    public int $lost = 0;
    public int $rejected = 0;

    public function __construct(private string $url, private string $key, private string $app, private string $spill = '')
    {
        register_shutdown_function(function (): void {
            if (function_exists('fastcgi_finish_request')) {
                fastcgi_finish_request();
            }
            $this->flush();
        });
    }

    public function access(string $actor, string $action, string $merchant, ?string $endpoint = null, ?string $account = null, ?string $email = null,
        array $dataTypes = [], int $records = 1, string $actorType = 'user', ?string $ip = null, ?string $userAgent = null): void
    {
        $fields = ['id' => bin2hex(random_bytes(16)), 'app' => $this->app, 'actor.id' => $actor, 'actor.type' => $actorType, 'action' => $action, 'merchant' => $merchant,
            'endpoint' => $endpoint, 'subject.account' => $account, 'subject.email' => $email, 'client.address' => $ip, 'user_agent.original' => $userAgent, 'records' => $records];
        $attributes = [];
        foreach ($fields as $name => $value) {
            if ($value !== null) {
                $attributes[] = ['key' => $name, 'value' => ['stringValue' => (string) $value]];
            }
        }
        $types = array_map(fn (string $t): array => ['stringValue' => $t], array_values($dataTypes));
        $attributes[] = ['key' => 'data_types', 'value' => ['arrayValue' => ['values' => $types]]];
        $this->waiting[] = ['timeUnixNano' => sprintf('%d000', (int) (microtime(true) * 1000000)), 'eventName' => 'pii_access', 'attributes' => $attributes];
    }

    public function flush(): void
    {
        foreach (array_chunk($this->waiting, 500) as $records) {
            $body = json_encode(['resourceLogs' => [['scopeLogs' => [['logRecords' => $records]]]]], JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
            if (!$this->send($body, count($records))) {
                if ($this->spill === '' || file_put_contents($this->spill, $body . "\n", FILE_APPEND | LOCK_EX) === false) {
                    $this->lost += count($records);
                }
            }
        }
        $this->waiting = [];
    }

    private function send(string $body, int $count): bool
    {
        for ($attempt = 0; $attempt < 3; $attempt++) {
            $context = stream_context_create(['http' => ['method' => 'POST', 'content' => $body, 'timeout' => 5, 'ignore_errors' => true,
                'header' => "Content-Type: application/json\r\nAuthorization: Bearer {$this->key}\r\n"]]);
            $answer = @file_get_contents(rtrim($this->url, '/') . '/v1/logs', false, $context);
            $status = (int) (explode(' ', $http_response_header[0] ?? '')[1] ?? 0);
            $said = json_decode((string) $answer, true);
            if ($status === 200 && is_array($said)) {
                $this->rejected += (int) ($said['partialSuccess']['rejectedLogRecords'] ?? 0);
                return true;
            }
            if ($status >= 400 && $status < 500 && $status !== 429) {
                $this->rejected += $count; // never going to be taken
                return true;
            }
            usleep(200000 << $attempt);
        }
        return false;
    }
}

if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    $log = new AccessLog(getenv('TOCSIN_URL'), getenv('TOCSIN_KEY'), getenv('TOCSIN_APP'));
    $log->access(actor: 'worker-3', action: 'read', merchant: 'm_php', endpoint: 'GET /orders/{id}', account: '191167', email: 'jo@example.org', dataTypes: ['customer.email'], ip: '203.0.113.9');
    $log->flush();
    exit($log->rejected + $log->lost);
}
