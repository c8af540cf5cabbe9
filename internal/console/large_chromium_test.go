//go:build !race

package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

// A large incident is gone through as any other: each page holds what one screen can use, fits the narrowest phone,
// breaks no rule of axe-core and is gone through by keyboard. Everything is the running program's: events, detectors,
// scope, notes and notice.
func TestALargeIncidentOnAPhone(t *testing.T) {
	large(t, 5000, 500, "/incidents/INC-1", "/incidents/INC-1/notices?notice=NTC-1")
}

// As large as one gets: every customer of a vendor, and a night and a day of many people.
func TestSoakAnIncidentOfFiftyThousandMerchantsOnAPhone(t *testing.T) {
	soaktest.Start(t)
	large(t, 50_000, 5000, "/incidents/INC-1", "/incidents/INC-1/timeline", "/incidents/INC-1/scope?version=1", "/incidents/INC-1/notices?notice=NTC-1")
}

// large looks at every page of an incident of so many merchants and entries; walked are those whose every stop of Tab
// is come to, which may be thousands.
func large(t *testing.T, merchants, entries int, walked ...string) {
	t.Helper()
	post, err := sink.Start(sink.Config{Listen: "127.0.0.1:0", Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(post.Close)
	server, local := house(t, strings.ReplaceAll(nightConfig, "APP", "http://127.0.0.1:1")+"mail: { relay: '"+post.Addr()+"', from: security@vendor.example, tls: none }\n")
	ctx := t.Context()
	var directory strings.Builder
	directory.WriteString("merchant,name,email,country\n")
	for i := range merchants {
		fmt.Fprintf(&directory, "m_%d,Shop %d,owner%d@shop.example,%s\n", i, i, i, []string{"DE", "FR", "US", "BR"}[i%4])
	}
	imported, err := local.ImportMerchants(ctx, []byte(directory.String()))
	must(t, err)
	if imported.Imported != merchants {
		t.Fatalf("%d merchants were imported: %+v", imported.Imported, imported.Rejected)
	}
	reads(t, server, local, merchants, merchants)
	lena, lenaToken := member(t, server.URL(), local, "lena", "lead", "engineer")
	omar, _ := member(t, server.URL(), local, "omar", "comms", "lead")
	do := func(c *client.Client, name string, body any) {
		t.Helper()
		_, err := c.Command(ctx, "INC-1", name, body)
		must(t, err)
	}
	do(lena, "acknowledge", nil)
	for _, fact := range nightQuestions {
		do(lena, "answer", map[string]any{"fact": fact, "value": true, "reason": "orders were read"})
	}
	do(lena, "confirm", map[string]string{"reason": "every shop is concerned"})
	now := time.Now()
	_, result, err := lena.RecordScope(ctx, "INC-1", client.Query{From: now.Add(-time.Hour), To: now, Any: []client.Clause{{Credential: []string{"tok_9f"}}}}, "the stolen token")
	must(t, err)
	if len(result.Rows) != merchants {
		t.Fatalf("the scope has %d merchants", len(result.Rows))
	}
	var people sync.WaitGroup // at work at once: nobody may ask for more than some dozens of things a second
	const staff = 12
	for one := range staff {
		who, _ := member(t, server.URL(), local, fmt.Sprint("helper", one), "engineer")
		people.Go(func() {
			for i := one; i < entries && !t.Failed(); i += staff {
				if _, err := who.Command(ctx, "INC-1", "note", map[string]string{"text": fmt.Sprintf("finding %d: nothing strange in the log of the worker", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	people.Wait()
	content := map[string]string{}
	for _, item := range []string{"what_happened", "data_involved", "our_measures", "your_actions"} {
		content[item] = "As far as it is known."
	}
	do(omar, "draft", map[string]any{"duty": "tell_merchants", "subject": "An incident concerns your customers", "content": content})

	phone := browserOf(t, 320)
	run(t, phone, network.SetCookie("tocsin", lenaToken).WithDomain("127.0.0.1").WithPath("/").WithHTTPOnly(true))
	axe := axeCore(t)
	look := func(page string) {
		took, size := fetched(t, server.URL()+page, lenaToken)
		fits(t, phone, server.URL(), page)
		run(t, phone, chromedp.Evaluate(axe, nil), chromedp.Evaluate(`document.styleSheets[0].insertRule(".bar { position: static !important }", document.styleSheets[0].cssRules.length)`, nil))
		for _, said := range broken(t, phone, `{resultTypes: ["violations"]}`) {
			t.Errorf("%s: %s", page, said)
		}
		t.Logf("%-48s %7d bytes in %v", page, size, took.Round(time.Millisecond))
		if size > 512<<10 {
			t.Errorf("%s has %d bytes: a page holds what a screen can use", page, size)
		}
	}
	for _, page := range []string{
		"/", "/incidents/INC-1", "/incidents/INC-1?order=story", "/incidents/INC-1/timeline", "/incidents/INC-1/timeline?source=event", "/incidents/INC-1/timeline?text=finding+49",
		"/incidents/INC-1/scope", "/incidents/INC-1/scope?version=1", "/incidents/INC-1/notices", "/incidents/INC-1/notices?notice=NTC-1", "/incidents/INC-1/review", "/incidents/INC-1/review?version=client",
		"/clocks", "/notices", "/accesses", "/evidence", "/find?q=m_4999", "/find?q=finding",
	} {
		look(page)
	}
	for _, page := range walked {
		var all []string
		run(t, phone, chromedp.Navigate(server.URL()+page), chromedp.WaitReady("footer", chromedp.ByQuery), chromedp.Evaluate(watchFocus, &all))
		t.Logf("%s: %d stops", page, len(all))
		walkFocus(t, phone, page, all)
	}

	do(lena, "approve-notice", map[string]any{"notice": "NTC-1", "attest": true})
	do(omar, "send", map[string]string{"notice": "NTC-1"})
	began := time.Now()
	for told := 0; told < entries/10; { // the rest goes out while the pages are looked at
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(time.Second):
		}
		raw, err := local.Incident(ctx, "INC-1")
		must(t, err)
		var s incident.State
		must(t, json.Unmarshal(raw, &s))
		told = 0
		for _, d := range s.Notices[0].Deliveries {
			if d.State == incident.DeliveryAccepted {
				told++
			}
		}
		if took := time.Since(began); told == 0 && took > 2*time.Minute {
			t.Fatalf("in %v nobody of %d was told", took, merchants)
		}
	}
	t.Logf("the first %d of %d are told after %v", entries/10, merchants, time.Since(began).Round(time.Millisecond))
	for _, page := range []string{"/incidents/INC-1", "/incidents/INC-1/notices?notice=NTC-1", "/incidents/INC-1/timeline", "/notices", "/clocks"} {
		look(page)
	}
}

// member invites somebody and returns their own way in.
func member(t *testing.T, address string, local *client.Client, name string, roles ...string) (c *client.Client, token string) {
	t.Helper()
	link, _, err := local.Invite(t.Context(), name, strings.ToUpper(name[:1])+name[1:], "responder", roles, "")
	must(t, err)
	_, code, _ := strings.Cut(link, "code=")
	door, err := client.New(address)
	must(t, err)
	_, secret, err := door.Join(t.Context(), code)
	must(t, err)
	c, err = client.New(address, client.WithToken(secret))
	must(t, err)
	return c, string(secret)
}

// fetched is how long a whole page took and how many bytes it has before it is compressed.
func fetched(t *testing.T, address, token string) (time.Duration, int) {
	t.Helper()
	q, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, address, nil)
	must(t, err)
	q.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
	began := time.Now()
	resp, err := http.DefaultClient.Do(q)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", address, resp.StatusCode)
	}
	return time.Since(began), len(body)
}
