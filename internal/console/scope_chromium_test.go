//go:build !race

package console_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// says is the text of something on the page.
func (k *typist) says(selector string) string {
	k.t.Helper()
	var text string
	run(k.t, k.ctx, chromedp.WaitReady(selector, chromedp.ByQuery), chromedp.Text(selector, &text, chromedp.ByQuery))
	return strings.Join(strings.Fields(strings.NewReplacer("\u2068", "", "\u2069", "").Replace(text)), " ") // without the marks of directions
}

// sends presses Enter on a button or a link and waits for something on the page that comes, which may be another
// one at the same address.
func (k *typist) sends(selector, then string) {
	k.t.Helper()
	run(k.t, k.ctx, chromedp.Evaluate(`document.documentElement.dataset.old = "yes"`, nil))
	k.press(selector, kb.Enter, "html:not([data-old]) "+then)
}

// expect fails when something on the page does not say what it has to.
func (k *typist) expect(step, selector string, want ...string) {
	k.t.Helper()
	got := k.says(selector)
	for _, w := range want {
		if !strings.Contains(got, w) {
			k.t.Errorf("%s, %s: %s says %q, not %q", k.name, step, selector, got, w)
		}
	}
}

// save presses Enter on a link to a file and gives what came of it.
func (k *typist) save(dir, selector string) (name string, raw []byte) {
	k.t.Helper()
	before, err := os.ReadDir(dir)
	if err != nil {
		k.t.Fatal(err)
	}
	k.press(selector, kb.Enter, "")
	for wait := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		files, err := os.ReadDir(dir)
		if err != nil {
			k.t.Fatal(err)
		}
		if len(files) > len(before) {
			for _, f := range files {
				known := strings.HasSuffix(f.Name(), ".crdownload")
				for _, b := range before {
					known = known || b.Name() == f.Name()
				}
				if known {
					continue
				}
				if raw, err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
					k.t.Fatal(err)
				}
				return f.Name(), raw
			}
		}
		if time.Now().After(wait) {
			k.t.Fatalf("%s: %s saved nothing", k.name, selector)
		}
	}
}

// The whole page of a scope on a real server, by keyboard alone, at the width of the narrowest phone, without
// JavaScript and with it: a question and what it counts, addresses that are known to be good, fewer merchants,
// a question that cannot be asked, the comparison with what is usual, two versions and what is between them, a
// merchant taken out and one taken in by hand, and the files.
func TestAScopeIsFoundOutByKeyboardOnAPhone(t *testing.T) {
	for _, scripts := range []bool{false, true} {
		name := map[bool]string{false: "without JavaScript", true: "with JavaScript"}[scripts]
		t.Run(name, func(t *testing.T) {
			address, link, _, _ := night(t)
			_, code, _ := strings.Cut(link, "code=")
			k := &typist{t: t, ctx: browserOf(t, 320), name: name}
			dir := t.TempDir()
			run(t, k.ctx, emulation.SetScriptExecutionDisabled(!scripts), downloads.SetDownloadBehavior(downloads.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir),
				chromedp.Navigate(address+"/join?code="+code))
			k.sends("form.form button", "#token")
			const page, compute, room = "/incidents/INC-1/scope", `button[value="compute"]`, "#timeline"
			open := func(path, then string) {
				t.Helper()
				run(t, k.ctx, chromedp.Navigate(address+path), chromedp.WaitReady(then, chromedp.ByQuery))
			}

			open(page, "#f-credential")
			k.sends(compute, "#result")
			k.expect("everything", "#result", "150 merchants, 300 customer accounts, 300 accesses")

			k.write("#f-not_ip", "198.51.100.7, 203.0.113.0/24")
			k.sends(compute, "#result")
			k.expect("without what is known", "#result", "0 merchants, 0 customer accounts, 0 accesses")
			k.expect("without what is known", "main", "but not from 198.51.100.7, 203.0.113.0/24")

			k.write("#f-not_ip", "the office")
			k.sends(compute, ".trouble")
			k.expect("what is no address", ".trouble", "But not from address or prefix: has a value that is neither an address nor a prefix")
			var kept string
			run(t, k.ctx, chromedp.Value("#f-not_ip", &kept, chromedp.ByQuery))
			if kept != "the office" {
				t.Errorf("refused, the field says %q", kept)
			}

			open(page, "#f-credential")
			k.write("#f-not_ip", "198.51.100.7")
			k.sends(`button[value="compare"]`, "#usual")
			k.expect("the comparison", `section[aria-labelledby="usual"]`, "300 accesses", "nothing can be called usual")

			k.write("#f-reason", "all that the token read")
			k.sends(`button[value="record"]`, room)
			k.expect("the first version", `section[aria-labelledby="scope"]`, "150 merchants", "300 customer accounts")

			open(page, "#f-credential")
			k.press("form.form summary", kb.Enter, "form.form details[open]")
			k.write("#f-merchant", "m_1, m_2")
			k.write("#f-reason", "the others were told by us")
			k.sends(`button[value="record"]`, room)
			k.expect("the second version", `section[aria-labelledby="scope"]`, "2 merchants", "4 customer accounts")

			open(page, "#newest")
			k.press(`section[aria-labelledby="newest"] summary`, kb.Enter, `section[aria-labelledby="newest"] details[open]`)
			k.expect("the versions", `section[aria-labelledby="newest"] table`, "of merchant m_1, m_2", "the others were told by us", "all that the token read", "+0 −148")
			k.sends(`a[href="`+page+`?from=1&to=2"]`, "#diff")
			k.expect("the difference", `section[aria-labelledby="diff"]`, "From version 1 to version 2", "0 merchants more, 148 fewer, 0 with other numbers, 2 the same", "− fewer m_0")

			byHand := func(merchant string, include bool, why string) {
				t.Helper()
				open(page+"?version=2", "#result")
				k.sends(`a[href$="/do/adjust-scope"]`, "#f-merchant")
				k.write("#f-merchant", merchant)
				k.to("#f-include")
				if !include {
					run(t, k.ctx, chromedp.KeyEvent(kb.ArrowDown))
				}
				k.write("#f-reason", why)
				k.sends("form.form button", room)
			}
			byHand("m_1", false, "it is our own test shop")
			k.expect("one is taken out", `section[aria-labelledby="scope"]`, "1 excluded and 0 included, 1 merchant is affected")
			byHand("m_9", true, "its owner showed us a letter")
			k.expect("one is taken in", `section[aria-labelledby="scope"]`, "1 excluded and 1 included, 2 merchants are affected")

			open(page+"?version=1", "#result")
			k.expect("the corrections", `section[aria-labelledby="newest"] details`, "2 versions, 2 corrections by hand", "excluded m_1: it is our own test shop", "included m_9: its owner showed us a letter")
			file, raw := k.save(dir, `a[href*="form=csv"]`)
			rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
			if err != nil || len(rows) != 151 || file != "INC-1-scope-1.csv" {
				t.Errorf("%s has %d lines: %v", file, len(rows), err)
			}
			if file, raw := k.save(dir, `a[href*="form=parquet"]`); !strings.HasPrefix(string(raw), "PAR1") || file != "INC-1-scope-1.parquet" {
				t.Errorf("%s begins with %.4q", file, raw)
			}

			list := filepath.Join(t.TempDir(), "customers.csv")
			if err := os.WriteFile(list, []byte("merchant,account,region\nm_1,nobody,DE\nm_2,nobody,FR\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			open(page, "#match")
			k.to("#f-version")
			run(t, k.ctx, chromedp.KeyEvent(kb.ArrowDown), chromedp.SetUploadFiles("#f-file", []string{list}, chromedp.ByQuery))
			k.sends(`form[action*="/scope/match"] button`, "#matched")
			k.expect("the own list", "#matched", "0 of 2 lines read are affected", "Version 1 of the scope holds 300 customer accounts; 300 of them in no line of the list")
			k.to(`form[action*="/scope/match"] [type=radio]:checked`)
			run(t, k.ctx, chromedp.KeyEvent(kb.ArrowDown), chromedp.SetUploadFiles("#f-file", []string{list}, chromedp.ByQuery))
			if file, raw := k.save(dir, `form[action*="/scope/match"] button`); file != "INC-1-affected-1.csv" || string(raw) != "merchant,account,region\n" {
				t.Errorf("%s holds %q", file, raw)
			}
			var wide float64
			run(t, k.ctx, chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide))
			if wide > 0 {
				t.Errorf("the page is %v px too wide", wide)
			}
		})
	}
}
