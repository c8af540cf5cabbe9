package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryMistakeNamesFileLineFieldAndWhatToDo(t *testing.T) {
	good := strings.Split(configuration, "\n") // organisation, listen, apps, policy
	with := func(line int, text string) string {
		lines := append([]string(nil), good...)
		lines[line-1] = text
		return strings.Join(lines, "\n")
	}
	and := func(text string) string { return configuration + text }
	for _, c := range []struct{ config, says string }{
		{"a: [", "1: is no YAML"},
		{"- a", "1: has to be a mapping of fields"},
		{"", "organisation.id: has to be 1 to 64 characters"},
		{and("organization: {}"), "5: organization: there is no such field: there are apps, backup, channels, checks"},
		{with(1, "organisation: { id: UPPER, name: x }"), "1: organisation.id: has to be 1 to 64 characters of a-z"},
		{with(1, "organisation: { id: example }"), "1: organisation.name: is missing"},
		{with(1, "organisation: example"), "1: organisation: has to be a mapping of fields"},
		{and("first_owner: " + strings.Repeat("é", 201)), "5: first_owner: is longer than 200 characters"},
		{with(2, "listen: 8080"), "2: listen: has to be host:port"},
		{with(2, "listen: 0.0.0.0:8080"), "2: listen: 0.0.0.0:8080 is not loopback: set tls.cert and tls.key, or name the proxy in trusted_proxies"},
		{with(2, "listen: example.com:8080"), "2: listen: example.com:8080 is not loopback"},
		{with(2, "listen: ':8080'"), "2: listen: :8080 is not loopback"},
		{with(2, "listen: [a]"), "2: listen: has to be text"},
		{with(3, "apps: []"), "3: apps: is missing: name at least one app"},
		{with(3, "apps: [ { id: 'a b' } ]"), "3: apps[0].id: has to be"},
		{with(3, "apps: [ { id: a }, { id: a } ]"), "3: apps[1].id: stands there twice"},
		{with(3, "apps: { id: a }"), "3: apps: has to be a list"},
		{with(4, ""), "policy: is missing"},
		{and("policy: again.yaml"), "5: policy: stands there twice"},
		{and("public_url: security.example.com"), "5: public_url: has to be an address such as https://"},
		{and("public_url: http://security.example.com"), "5: public_url: has to start with https://"},
		{and("public_url: https://a:b@security.example.com"), "5: public_url: has to be an address"},
		{and("trusted_proxies: [ 10.0.0.0/8, proxy ]"), "5: trusted_proxies[1]: has to be an address or a prefix"},
		{and("network:\n  allow:\n    - 10.0.0.0/8\n    - localhost\n"), "8: network.allow[1]: has to be an address or a prefix"},
		{and("tls: { cert: a.pem }"), "5: tls: needs both cert and key"},
		{and("mail: { relay: smtp.example.com, from: a@example.com }"), "5: mail.relay: has to be host:port"},
		{and("mail: { relay: smtp.example.com:587, from: Example }"), "5: mail.from: has to be an address such as"},
		{and("mail: { relay: smtp.example.com:587, from: a@example.com, tls: maybe }"), "5: mail.tls: has to be starttls, tls or none"},
		{and("mail: { relay: smtp.example.com:25, from: a@example.com, tls: none }"), "5: mail.tls: none is only for a relay on loopback"},
		{and("logs: { facts: { url: 'mysql://t:hunter2@db/x' } }"), "5: logs.facts.url: holds a password"},
		{and("logs: { events: { url: 'oracle://db/x' } }"), "5: logs.events.url: is of no kind that is known"},
		{and("logs: { events: { region: eu } }"), "5: logs.events.url: is missing"},
		{and("logs: { events: { url: 'log/facts' } }"), "5: logs.events.url: is where the facts log is"},
		{and("logs: { facts: { url: 'gcs://b/x?spanner=d' } }"), "5: logs.facts.url: has to be gcs://BUCKET/PREFIX"},
		{and("logs: { facts: { url: 's3://b/x?mysql=t@db/y', endpoint: 'http://s3.example.com' } }"), "5: logs.facts.endpoint: has to start with https://"},
		{and("table: { url: 'https://bucket' }"), "5: table.url: has to be s3://BUCKET/PREFIX"},
		{and("table: { url: 's3://key:secret@bucket/x' }"), "5: table.url: has to be s3://BUCKET/PREFIX"},
		{and("table: { url: 's3://bucket/x', endpoint: 's3.example.com' }"), "5: table.endpoint: has to be https://HOST"},
		{and("table: { url: 's3://bucket/x', endpoint: 'http://s3.example.com' }"), "5: table.endpoint: has to start with https://"},
		{and("table: { url: 's3://bucket/x', cache_mb: -1 }"), "5: table.cache_mb: is negative"},
		{and("mail: { retry: [ 5m, soon ] }"), "5: mail.retry[1]: has to be a length of time such as 30s"},
		{and("mail: { password: hunter2 }"), "5: mail.password: there is no such field: there are dkim_selector, from, hello, password_file, relay, retry, tls, username"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "tocsin.yaml")
		write(t, dir, "tocsin.yaml", c.config)
		_, err := LoadConfig(dir, "")
		if err == nil {
			t.Errorf("accepted:\n%s", c.config)
			continue
		}
		want := file + ":" + c.says
		if c.says[0] > '9' {
			want = file + ": " + c.says // a field that is not there has no line
		}
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %s\nwant %s", c.config, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a value: %s", err)
		}
	}
}

func TestEveryMistakeOfAConnectorNamesFileLineFieldAndWhatToDo(t *testing.T) {
	const head = "connectors:\n  app_tokens:\n    type: http.revoke\n" // lines 5 to 7
	const revoke = "    revoke: { method: POST, url: 'https://app.example.com/revoke', body: '{}', expect: [200] }\n"
	for _, c := range []struct{ config, says string }{
		{"connectors: [a]", "5: connectors: has to be a mapping of names"},
		{"connectors:\n  a: http.revoke", "6: connectors.a: has to be a mapping with a type"},
		{"connectors:\n  a: {}", "6: connectors.a.type: is missing"},
		{"connectors:\n  a: { type: ftp }", "6: connectors.a.type: there is no such connector: there are envfile.rotate, http.revoke, integrity.restore and switch"},
		{"connectors:\n  a: { type: switch, url: x }", "6: connectors.a.url: there is no such field: there are type"},
		{head + "    revok: {}", "8: connectors.app_tokens.revok: there is no such field: there are blast, probe, revoke, type"},
		{head + "    revoke: { url: [a] }", "8: connectors.app_tokens.revoke.url: has to be text"},
		{head + "    revoke: { method: POST, url: 'https://app.example.com/revoke', expect: [ok] }", "8: connectors.app_tokens.revoke.expect[0]: has to be a number"},
		{head + revoke + "    probe: { method: GET, url: 'https://app.example.com/', refused: [401], within: soon }", "9: connectors.app_tokens.probe.within: has to be a length of time"},
		{head + revoke + "    probe: { method: GET, url: 'ftp://app.example.com/', refused: [401] }", "9: connectors.app_tokens.probe.url: "},
		{"connectors:\n  app_secret:\n    type: envfile.rotate\n    file: app.env\n    key: K\n", "8: connectors.app_secret.file: "},
		{"checks:\n  a: { type: ping }", "6: checks.a.type: there is no such check: there are dns, http, http-journey, integrity and tls"},
		{"checks:\n  a:\n    type: http-journey\n    steps:\n      - { name: home, url: 'https://shop.test/' }\n      - { name: home, url: 'https://shop.test/' }", "10: checks.a.steps[1].name: "},
		{"checks:\n  a:\n    type: http-journey\n    steps:\n      - name: home\n        until: 2s", "10: checks.a.steps[0].until: there is no such field: there are absent, body, contains,"},
		{"checks:\n  a:\n    type: tls\n    address: shop.test:443\n    pins: [sha256/x]", "9: checks.a.pins[0]: "},
		{"checks:\n  a:\n    type: dns\n    name: shop.test\n    recrd: MX", "9: checks.a.recrd: there is no such field: there are all_of, any_of, name, record, resolver, timeout, type"},
		{"checks:\n  a:\n    type: dns\n    name: shop.test\n    any_of: [x]", "9: checks.a.any_of[0]: it is not a value of a record of type A"},
		{"checks:\n  a:\n    type: http\n    method: GET\n    url: 'https://app.example.com/'\n    expect: [1000]", "10: checks.a.expect: "},
		{"checks:\n  a:\n    type: dns\n    name: shop.test\n    every: 1m", "9: checks.a.every: there is no such field"},
		{"probes:\n  a:\n    type: dns\n    name: shop.test\n    every: 1s", "9: probes.a.every: 1s is not between 10s and 24h"},
		{"probes:\n  a:\n    type: dns\n    name: shop.test\n    oft: 1m", "9: probes.a.oft: there is no such field: there are after, all_of, any_of, every, name, record, resolver, service, signal, timeout, type"},
		{"probes:\n  a-b: { type: dns, name: shop.test }", "6: probes.a-b: a probe's name has small letters"},
		{"probes:\n  a: { type: ping }", "6: probes.a.type: there is no such check"},
		{"checks:\n  a: { type: dns, name: shop.test }\nprobes:\n  a: { type: dns, name: shop.test }", "8: probes.a: there is a check of this name"},
		{"integrity:\n  t: { type: ftp }", "6: integrity.t.type: there is no such source: there are folder and shopify-theme"},
		{"integrity:\n  t: { type: folder, root: templates }", "6: integrity.t.root: has to be a folder by its whole path"},
		{"integrity:\n  t: { type: folder, root: /srv, every: 1s }", "6: integrity.t.every: has to be 1m to 168h"},
		{"integrity:\n  t: { type: folder, rot: /srv }", "6: integrity.t.rot: there is no such field: there are approvals, every, exclude, include, root, service, type"},
		{"integrity:\n  t: { type: folder, root: /srv, approvals: 3 }", "6: integrity.t.approvals: has to be 1 or 2"},
		{"integrity:\n  t: { type: shopify-theme, shop: example.com, token: t }", "6: integrity.t.shop: has to be a store such as example.myshopify.com"},
		{"connectors:\n  a: { type: integrity.restore }", "6: connectors.a: there are no files to put back: name them under integrity"},
		{"checks:\n  a: { type: integrity, sources: [theme] }", "6: checks.a: there is no source \"theme\": name it under integrity"},
		{"mail: { relay: 'smtp.example.com:587', from: a@example.com, username: u, password_file: absent }", "5: mail.password_file: "},
	} {
		dir := folder(t, "production", configuration+c.config)
		a, err := New(t.Context(), Options{Dir: dir})
		if err == nil {
			t.Errorf("accepted:\n%s", c.config)
			a.Stop()
			continue
		}
		if want := filepath.Join(dir, "tocsin.yaml") + ":" + c.says; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got %s\nwant %s", c.config, err, want)
		}
	}
}

func TestAMissingConfigurationSaysHowToMakeOne(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadConfig(dir, ""); err == nil || !strings.Contains(err.Error(), "tocsin init") {
		t.Errorf("%v", err)
	}
	write(t, dir, "tocsin.yaml", strings.Repeat("#", maxConfig+1))
	if _, err := LoadConfig(dir, ""); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("%v", err)
	}
}

func TestSeveralMistakesAreToldTogether(t *testing.T) {
	err := CheckConfig([]byte("organisation: { id: A }\nlisten: x\npolicy: p.yaml\n"))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 4 { // id, name, apps, listen
		t.Errorf("%v", err)
	}
}

func TestAliasesOfYAMLCannotExhaustTheReader(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	b.WriteString("trusted_proxies: *a19\n")
	if err := CheckConfig([]byte(b.String())); err == nil {
		t.Error("accepted")
	}
}

func TestAPolicyThatDoesNotCompileIsNamedWithItsPlaces(t *testing.T) {
	dir := folder(t, "production", configuration)
	write(t, dir, "policies/policy.yaml", "policy: x\nnonsense: true\n")
	_, err := New(t.Context(), Options{Dir: dir})
	if err == nil {
		t.Fatal("accepted")
	}
	file := filepath.Join(dir, "policies", "policy.yaml")
	if !strings.Contains(err.Error(), "tocsin.yaml:4: policy: "+file+" does not compile: tocsin policy check") || !strings.Contains(err.Error(), "\n"+file+":2:") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "policy: "+file+" does not exist") {
		t.Errorf("%v", err)
	}
}
