package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// refusing is a relay that turns everybody away: at the door, or when it hears whom the message goes to.
func refusing(t *testing.T, atTheDoor bool) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if atTheDoor {
					fmt.Fprint(c, "554 5.7.1 no service for owner@secret.example\r\n")
					return
				}
				fmt.Fprint(c, "220 relay\r\n")
				for in := bufio.NewScanner(c); in.Scan(); {
					if strings.HasPrefix(strings.ToUpper(in.Text()), "RCPT") {
						fmt.Fprint(c, "550 5.7.1 relaying denied for owner@secret.example\r\n")
					} else {
						fmt.Fprint(c, "250 relay\r\n")
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// A first hour in which everything goes wrong: relays refuse, no resolver answers, and the server is killed
// after each step. Each page says what is wrong, nothing has to be typed again, and the hour goes on.
func TestAFirstHourThatGoesWrongGoesOn(t *testing.T) {
	ctx := chromium(t)
	short := shortFolder(t)
	data := filepath.Join(short, "data")
	var p *process
	var err error
	v := visit{t, ctx, "", &effort{}}
	start := func() (said string) {
		t.Helper()
		if p != nil {
			if code, err := p.halt(syscall.SIGKILL); err != nil || code != -1 {
				t.Fatal(code, err)
			}
		}
		p, said, err = launch(filepath.Join(bin(t), "tocsin"), short, append(os.Environ(), "TMPDIR="+short), nil, "--data", data)
		if err != nil {
			t.Fatal(err)
		}
		killed := p
		t.Cleanup(func() { killed.halt(syscall.SIGKILL) })
		v.url = address.FindStringSubmatch(said)[1]
		return said
	}
	link := func(said string) (path string) {
		t.Helper()
		at := strings.Index(said, v.url+"/")
		if at < 0 {
			t.Fatalf("no link was printed: %q", said)
		}
		return strings.TrimPrefix(strings.Fields(said[at:])[0], v.url)
	}

	v.open(link(start()))
	v.fill("name", "Acme")
	v.fill("organisation", "acme")
	v.fill("app_name", "Orders")
	v.fill("app", "orders")
	if at, _ := v.press("form.form button"); !strings.HasPrefix(at, "/join?code=") {
		t.Fatalf("made, it leads to %s", at)
	}
	said := start() // before anybody joined: the link that was never used is gone, and there is another one
	if text := v.open(link(said)); !strings.Contains(text, "You are invited") {
		t.Fatalf("after a kill before joining: %s", text)
	}
	if _, text := v.press("form.form button"); !strings.Contains(text, "as owner") {
		t.Fatalf("joined: %s", text)
	}

	// A resolver that takes questions and answers none.
	deaf, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	config := filepath.Join(data, "tocsin.yaml")
	body, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(body, fmt.Sprintf("network: { dns: %q }\n", deaf.LocalAddr())...), 0o600); err != nil {
		t.Fatal(err)
	}
	start()
	v.open("/setup/policy")
	v.fill("contact", "security@acme.shop")
	if _, text := v.press("form.form button"); !strings.Contains(text, "Next: Mail") {
		t.Fatalf("the policy: %s", text)
	}
	start()
	if text := v.open("/setup"); !strings.Contains(text, "Next: Mail") {
		t.Errorf("after a kill behind the policy: %s", text)
	}

	v.open("/setup/mail")
	v.fill("from", "Acme <security@acme.invalid>")
	v.fill("tls", "none")
	door := refusing(t, true)
	v.fill("relay", door)
	v.fill("to", "me@acme.invalid")
	_, text := v.press("form.form button")
	for _, want := range []string{door + " did not take the message: it turns this machine away (554 5.7.1)", "What you entered is kept", "stays open"} {
		if !strings.Contains(text, want) {
			t.Errorf("a relay that turns everybody away: the page lacks %q: %s", want, text)
		}
	}
	if strings.Contains(text, "secret.example") {
		t.Error("the page shows the address that the relay quotes")
	}
	start()
	began := time.Now()
	text = v.open("/setup/mail")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a resolver that does not answer holds the page up for %v", took)
	}
	for _, want := range []string{"open", "The last test message was not taken by " + door, "the resolver has not answered yet"} {
		if !strings.Contains(text, want) {
			t.Errorf("after a kill, the page lacks %q: %s", want, text)
		}
	}
	var kept []string
	v.do(chromedp.Evaluate(`["relay", "from", "tls", "password"].map(n => document.querySelector("main [name=" + n + "]").value)`, &kept))
	if strings.Join(kept, "|") != door+"|Acme <security@acme.invalid>|none|" {
		t.Errorf("after a kill the form holds %q", kept)
	}
	v.fill("relay", refusing(t, false))
	v.fill("to", "me@acme.invalid")
	if _, text := v.press("form.form button"); !strings.Contains(text, "it does not take the address the message goes to (550 5.7.1)") {
		t.Errorf("a relay that denies relaying: %s", text)
	}
	start()
	if text := v.open("/setup"); !strings.Contains(text, "Next: Mail") {
		t.Errorf("a step whose message was never taken is over: %s", text)
	}
	v.open("/setup/mail")
	if _, text := v.press("button.plain:not(.top *)"); !strings.Contains(text, "Next: First app and key") {
		t.Errorf("put off: %s", text)
	}
}
