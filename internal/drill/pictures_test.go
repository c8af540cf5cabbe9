package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/go-fonts/dejavu/dejavusansmono"
)

var approve = flag.Bool("approve", false, "write docs/pictures as the drill shows it now, and look at the difference")

const (
	pictures    = "../../docs/pictures"
	maxPictures = 600 << 10 // bytes of all of them
)

// shot is a page of the console at an instant of the drill.
type shot struct {
	name, path    string
	at            time.Time
	width, height int64
	scale         float64
	dark          bool
	stranger      bool   // nobody is signed in
	from          string // the element that stands at the top; "" for the top of the page
}

// shots are taken of the drill of `make drill`: in the night, when the token and the webhook secret are
// proven dead and who is affected is being worked out, and twenty hours before the letters are due.
func shots() []shot {
	night := time.Date(2026, 11, 20, 5, 0, 0, 0, time.UTC)
	sunday := time.Date(2026, 11, 22, 7, 19, 0, 0, time.UTC)
	return []shot{
		{name: "board", path: "/", at: night, width: 1200, height: 800, scale: 1},
		{name: "room", path: "/incidents/INC-1", at: night, width: 1200, height: 900, scale: 1},
		{name: "room-dark", path: "/incidents/INC-1", at: night, width: 1200, height: 900, scale: 1, dark: true},
		{name: "room-phone", path: "/incidents/INC-1", at: night, width: 390, height: 844, scale: 2},
		{name: "scope", path: "/incidents/INC-1/scope", at: night, width: 1200, height: 900, scale: 1},
		{name: "notice", path: "/incidents/INC-1/notices?notice=NTC-2&party=m_014", at: sunday, width: 1200, height: 900, scale: 1, from: "#preview"},
		{name: "policy", path: "/policy", stranger: true, at: sunday, width: 1200, height: 900, scale: 1},
	}
}

// varies is what differs between two drills of one seed, each with what stands in a picture instead: ids and
// tokens and ports that are drawn, and the machine's own time.
var varies = []struct{ was, is string }{
	{`\b01[0-9A-HJKMNP-TV-Z]{24}\b`, "01M7VEBND01RE0F9A5EYEFMA87"},
	{`\btok_[0-9a-f]{12}\b`, "tok_78205a2c9174"},
	{`\b127\.0\.0\.1:[0-9]+\b`, "127.0.0.1:8080"},
	{`\b20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9:]{8}\.[0-9]+Z`, "2026-11-20T03:28:00.000Z"},
	{`\b[0-9]+ leaves`, "74 leaves"}, // what was sealed together depends on how fast it came
	{`\b[0-9a-f]{64}\b`, strings.Repeat("0123456789abcdef", 4)},
}

// steady replaces what varies in a text.
func steady(s string) string {
	for _, v := range varies {
		s = regexp.MustCompile(v.was).ReplaceAllString(s, v.is)
	}
	return s
}

// fonts writes a configuration under which Chromium draws letters alike on every machine: with the fonts of
// this module instead of the machine's, without hinting, and without colours at their edges.
func fonts(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "fonts.conf")
	for name, b := range map[string][]byte{
		"sans.ttf": dejavusans.TTF, "bold.ttf": dejavusansbold.TTF, "mono.ttf": dejavusansmono.TTF,
		"fonts.conf": []byte(`<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>` + dir + `</dir>
<cachedir>` + dir + `/cache</cachedir>
<alias binding="same"><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias binding="same"><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
<alias binding="same"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
<match target="pattern"><edit name="family" mode="append_last"><string>DejaVu Sans</string></edit></match>
<match target="font">
<edit name="antialias" mode="assign"><bool>true</bool></edit>
<edit name="hinting" mode="assign"><bool>false</bool></edit>
<edit name="hintstyle" mode="assign"><const>hintnone</const></edit>
<edit name="rgba" mode="assign"><const>none</const></edit>
</match>
</fontconfig>
`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// chromium is where the browser is; "" where there is none.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// screen is a Chromium with fonts of its own and without the graphics card.
func screen(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-lcd-text", true), chromedp.Env("FONTCONFIG_FILE="+fonts(t)),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("lang", "en-US"), chromedp.Flag("force-color-profile", "srgb"), chromedp.WindowSize(1200, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits until the browser is gone
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// dress replaces in the texts of a page what varies, and stills what moves. It uses the style sheet's own
// interface, so the page's Content-Security-Policy stays as it is.
func dress() string {
	var b strings.Builder
	b.WriteString(`(() => {
		document.styleSheets[0].insertRule('*, ::before, ::after { animation: none !important; transition: none !important; caret-color: transparent !important }', document.styleSheets[0].cssRules.length);
		const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		const steady = s => { `)
	for _, v := range varies {
		fmt.Fprintf(&b, "s = s.replace(new RegExp(%q, 'g'), %q); ", v.was, v.is)
	}
	b.WriteString(`return s; };
		for (let n; n = texts.nextNode();) { const s = steady(n.data); if (s !== n.data) n.data = s; }
		for (const f of document.querySelectorAll('input:not([type=hidden]), textarea')) if (steady(f.value) !== f.value) f.value = steady(f.value);
	})()`)
	return b.String()
}

// take opens a page as a person of the drill who is signed in, and gives what the screen shows.
func (s shot) take(ctx context.Context, base, token string) ([]byte, error) {
	at, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	top := "scrollTo(0, 0)"
	if s.from != "" {
		name, err := json.Marshal(s.from)
		if err != nil {
			return nil, err
		}
		top = "document.querySelector(" + string(name) + ").scrollIntoView()"
	}
	session := chromedp.Action(network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true))
	if s.stranger {
		session = network.ClearBrowserCookies()
	}
	var shown []byte
	err = chromedp.Run(ctx, session,
		emulation.SetDeviceMetricsOverride(s.width, s.height, s.scale, s.width < 700),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.Navigate(base+s.path), chromedp.WaitReady("main"),
		chromedp.Evaluate(dress(), nil),
		chromedp.Evaluate(top, nil),
		chromedp.ActionFunc(func(ctx context.Context) error {
			var err error
			shown, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatPng).Do(ctx)
			return err
		}))
	return shown, err
}

// The pictures in the README are what the console shows in the drill of `make drill` and what that drill
// prints, and they are approved by whoever commits them: -approve (make pictures) writes them.
func TestThePicturesAreWhatADrillShows(t *testing.T) {
	if chromium() == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("Chromium is not installed: apt-get install chromium")
		}
		t.Skip("Chromium is not installed: apt-get install chromium")
	}
	drill := plainDrill(t)
	if !drill.card.OK {
		t.Fatalf("broken %v\n%s", drill.card.Broken, drill.told)
	}
	for _, s := range shots() {
		if drill.taken[s.name] == nil {
			t.Errorf("the drill never came to %v, the time of picture %s", s.at, s.name)
			continue
		}
		keep(t, s.name+".png", drill.taken[s.name])
	}
	keepFilm(t, drill.told)
	bounded(t)
}

// playedOnce is the drill of make drill, played once for all that look at it.
type playedOnce struct {
	err   error
	card  Scorecard
	told  string            // as on any machine
	taken map[string][]byte // pictures of the console, where there is a Chromium
}

var played *playedOnce // no test that asks for it is parallel

func plainDrill(t *testing.T) *playedOnce {
	t.Helper()
	if played == nil {
		played = playPlain(t)
	}
	if played.err != nil {
		t.Fatalf("%v\n%s", played.err, played.told)
	}
	return played
}

func playPlain(t *testing.T) *playedOnce {
	t.Helper()
	o := reduced(t)
	o.Days, o.People, o.Trials = 0, 0, 0
	var told bytes.Buffer
	o.Out, o.Err = &told, &told
	r, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string][]byte{}
	var browser context.Context
	if chromium() != "" {
		browser = screen(t)
	}
	r.arrived = func(_ context.Context, now time.Time) error {
		for _, s := range shots() {
			if browser == nil || !s.at.Equal(now) || taken[s.name] != nil {
				continue
			}
			shown, err := s.take(browser, r.server.Base(), string(r.lead().Token))
			if err != nil {
				return fmt.Errorf("picture %s: %w", s.name, err)
			}
			taken[s.name] = shown
		}
		return nil
	}
	card, err := r.whole(t.Context())
	return &playedOnce{err: err, card: card, told: asRecorded(told.String(), r.o.Dir), taken: taken}
}

// bounded holds the folder small, without a picture that nothing makes, and each of them shown in the README to
// those who see it and told to those who do not.
func bounded(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(pictures)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	made, sum := map[string]bool{"drill.svg": true, "README.md": true}, int64(0)
	for _, s := range shots() {
		made[s.name+".png"] = true
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if sum += info.Size(); !made[f.Name()] {
			t.Errorf("docs/pictures/%s is made by nothing", f.Name())
		}
		if f.Name() != "README.md" && !regexp.MustCompile(`!\[[^\]]{40,}\]\(docs/pictures/`+regexp.QuoteMeta(f.Name())+`\)`).Match(readme) {
			t.Errorf("README.md does not show docs/pictures/%s with words for those who cannot see it", f.Name())
		}
	}
	if sum > maxPictures {
		t.Errorf("docs/pictures holds %d bytes, and %d are allowed", sum, maxPictures)
	}
}

// keep writes a picture when it is being approved, and otherwise compares it with the approved one. What
// differs stays in the folder that TOCSIN_SCREENSHOTS names.
func keep(t *testing.T, name string, shown []byte) {
	t.Helper()
	got, err := png.Decode(bytes.NewReader(shown))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(pictures, name)
	old, err := os.ReadFile(file)
	why := "it is not there"
	if err == nil {
		want, err := png.Decode(bytes.NewReader(old))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		why = differ(got, want)
	}
	switch {
	case why == "":
	case *approve:
		packed, err := small(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, packed, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: written, because %s", name, why)
	default:
		t.Errorf("docs/pictures/%s is not what the console shows: %s; make pictures writes it again", name, why)
		if folder := os.Getenv("TOCSIN_SCREENSHOTS"); folder != "" {
			if err := os.WriteFile(filepath.Join(folder, name), shown, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
