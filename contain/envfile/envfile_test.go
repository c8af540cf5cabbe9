package envfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/contain/vault"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"pgregory.net/rapid"
)

const before = "# settings\r\nPORT=80\nMULTI=\"a\nSHOPIFY_WEBHOOK_SECRET=not me\n\"\nexport SHOPIFY_WEBHOOK_SECRET='old-value' # keep\n\n  OTHER=x=y\nLAST=no newline"

// app checks webhook signatures with the secret in its env file, read at each request unless it is
// stuck with the one it started with.
type app struct {
	*httptest.Server
	file  string
	mu    sync.Mutex
	stuck string // never reads its file again
	lax   string // accepts this old value too
	down  bool
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		w.WriteHeader(502)
		return
	}
	text, _ := os.ReadFile(a.file)
	_, secret, _ := find(string(text), "SHOPIFY_WEBHOOK_SECRET")
	if a.stuck != "" {
		secret = a.stuck
	}
	body, _ := io.ReadAll(r.Body)
	for _, s := range []string{secret, a.lax} {
		mac := hmac.New(sha256.New, []byte(s))
		mac.Write(body)
		if s != "" && r.Header.Get("X-Shopify-Hmac-Sha256") == base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			return
		}
	}
	w.WriteHeader(401)
}

type world struct {
	app   *app
	file  string
	vault *faultyVault
	con   *Connector
}

// faultyVault fails the n-th Put from now when asked to, before or after it took effect.
type faultyVault struct {
	*vault.Folder
	fail, persisted bool
}

var errDisk = errors.New("disk full")

func (f *faultyVault) Put(name string, s contain.Secret) error {
	if !f.fail {
		return f.Folder.Put(name, s)
	}
	f.fail = false
	if f.persisted {
		_ = f.Folder.Put(name, s)
	}
	return errDisk
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "app.env")
	if err := os.WriteFile(file, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	folder, err := vault.Open(filepath.Join(dir, "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{app: &app{file: file}, file: file, vault: &faultyVault{Folder: folder}}
	w.app.Server = httptest.NewServer(w.app)
	t.Cleanup(w.app.Close)
	w.con = w.connector(t)
	return w
}

// connector is a new process on the same disk.
func (w *world) connector(t *testing.T) *Connector {
	c := Config{File: w.file, Key: "SHOPIFY_WEBHOOK_SECRET", Probe: contain.Probe{
		Template: egress.Template{Method: "POST", URL: w.app.URL + "/webhooks/ping", Body: `{"ping":true}`, HMAC: &egress.HMAC{Header: "X-Shopify-Hmac-Sha256", Secret: "${secret}"}},
		Refused:  []int{401}, Accepted: []int{200}, Within: 100 * time.Millisecond,
	}}
	if err := c.Validate("connectors.app_secret"); err != nil {
		t.Fatal(err)
	}
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(out.Close)
	return New("app_secret", c, out, w.vault)
}

func (w *world) value(t *testing.T) string {
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	_, v, err := find(string(text), "SHOPIFY_WEBHOOK_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) check(t *testing.T, what string, got contain.Result, want incident.Outcome, code string) {
	t.Helper()
	if got.Outcome != want || got.Code != code || got.At.IsZero() {
		t.Errorf("%s: %+v, want %s %s", what, got, want, code)
	}
	if all := fmt.Sprintf("%+v", got); strings.Contains(all, "old-value") || strings.Contains(all, w.value(t)) {
		t.Errorf("%s: the result holds a secret", what)
	}
}

// promise: CON-2
func TestRotationProvesTheNewValueAndTheDeathOfTheOld(t *testing.T) {
	w := newWorld(t)
	plan, err := w.con.Plan(t.Context(), nil, contain.Secret{})
	if err != nil || len(plan.Steps) != 3 || strings.Contains(fmt.Sprint(plan), "old-value") {
		t.Fatalf("%+v %v", plan, err)
	}
	w.check(t, "confirm before apply", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Failed, "not_rotated")
	w.check(t, "apply", w.con.Apply(t.Context(), nil, contain.Secret{}, "e1"), incident.Done, "rotated")
	fresh := w.value(t)
	if len(fresh) != 64 || fresh == "old-value" {
		t.Fatalf("the new value is %q", fresh)
	}
	if kept, _ := w.vault.Get("rotation.app_secret"); !strings.Contains(kept.Reveal(), "old-value") {
		t.Error("the old value is not kept until it is proven dead")
	}
	w.check(t, "confirm", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Done, "http 401")
	if kept, _ := w.vault.Get("rotation.app_secret"); strings.Contains(kept.Reveal(), "old-value") || strings.Contains(kept.Reveal(), fresh) {
		t.Error("values stay in the vault after the proof")
	}
	after, _ := os.ReadFile(w.file)
	if want := strings.Replace(before, "old-value", fresh, 1); string(after) != want {
		t.Errorf("another byte of the file changed:\n%q\n%q", after, want)
	}
	if info, _ := os.Stat(w.file); info.Mode().Perm() != 0o640 {
		t.Errorf("mode became %v", info.Mode())
	}
	w.check(t, "the same effect again", w.connector(t).Apply(t.Context(), nil, contain.Secret{}, "e1"), incident.Done, "already_rotated")
	w.check(t, "confirm again", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Done, "already_proven")
	if w.value(t) != fresh {
		t.Error("the same effect rotated twice")
	}
	w.check(t, "another effect", w.con.Apply(t.Context(), nil, contain.Secret{}, "e2"), incident.Done, "rotated")
	if w.value(t) == fresh {
		t.Error("a new effect did not rotate")
	}
	w.check(t, "undo", w.con.Undo(t.Context(), nil, "u1"), incident.Failed, "cannot_undo")
}

// promise: CON-2
func TestAnAppThatStillTakesTheOldValueIsNotProven(t *testing.T) {
	w := newWorld(t)
	w.app.lax = "old-value"
	w.check(t, "apply", w.con.Apply(t.Context(), nil, contain.Secret{}, "e1"), incident.Done, "rotated")
	w.check(t, "confirm", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Failed, "http 200")
	w.app.mu.Lock()
	w.app.lax, w.app.stuck = "", "old-value"
	w.app.mu.Unlock()
	w.check(t, "app that did not reload", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Failed, "new_refused")
	w.app.mu.Lock()
	w.app.stuck, w.app.down = "", true
	w.app.mu.Unlock()
	w.check(t, "app that is down", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Deferred, "http 502")
	w.app.mu.Lock()
	w.app.down = false
	w.app.mu.Unlock()
	w.check(t, "at last", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Done, "http 401")
}

// Each write fails once, without or with having taken effect; then a new process goes on. In the
// end there is one new value, and the old one is proven dead.
func TestACrashBetweenWritesNeverRotatesTwiceOrLosesTheOldValue(t *testing.T) {
	for name, crash := range map[string]func(*testing.T, *world){
		"vault write failed": func(t *testing.T, w *world) {
			w.vault.fail = true
			w.check(t, "apply", w.con.Apply(t.Context(), nil, contain.Secret{}, "e1"), incident.Failed, "vault")
			if w.value(t) != "old-value" {
				t.Error("the file changed although the old value was not kept")
			}
		},
		"vault write failed but persisted": func(t *testing.T, w *world) {
			w.vault.fail, w.vault.persisted = true, true
			w.con.Apply(t.Context(), nil, contain.Secret{}, "e1")
		},
		"crash after the vault, before the file": func(t *testing.T, w *world) {
			if err := w.con.save(rotation{Effect: "e1", New: strings.Repeat("ab", 32), Old: []string{"old-value"}}); err != nil {
				t.Fatal(err)
			}
		},
		"crash after the file": func(t *testing.T, w *world) {
			w.con.Apply(t.Context(), nil, contain.Secret{}, "e1")
		},
		"proof could not be kept": func(t *testing.T, w *world) {
			w.con.Apply(t.Context(), nil, contain.Secret{}, "e1")
			w.vault.fail = true
			w.check(t, "confirm", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Deferred, "vault")
		},
	} {
		for _, effect := range []string{"e1", "e1-attempt-2"} {
			t.Run(name+" then "+effect, func(t *testing.T) {
				w := newWorld(t)
				crash(t, w)
				middle := w.value(t)
				con := w.connector(t)
				if res := con.Apply(t.Context(), nil, contain.Secret{}, effect); res.Outcome != incident.Done {
					t.Fatalf("apply after the crash: %+v", res)
				}
				if middle != "old-value" && w.value(t) != middle {
					t.Error("rotated twice")
				}
				if r, err := con.load(); err != nil || len(r.Old) != 1 || r.Old[0] != "old-value" || r.New != w.value(t) {
					t.Fatalf("the vault lost its thread (%v)", err)
				}
				w.check(t, "confirm", con.Confirm(t.Context(), nil, contain.Secret{}), incident.Done, "http 401")
			})
		}
	}
}

func TestAValueChangedByAnotherHandIsProvenDeadToo(t *testing.T) {
	w := newWorld(t)
	w.con.Apply(t.Context(), nil, contain.Secret{}, "e1")
	if err := os.WriteFile(w.file, []byte("SHOPIFY_WEBHOOK_SECRET=by-hand\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.check(t, "apply", w.con.Apply(t.Context(), nil, contain.Secret{}, "e2"), incident.Done, "rotated")
	if r, _ := w.con.load(); len(r.Old) != 3 {
		t.Errorf("%d old values wait to be proven dead, want 3", len(r.Old))
	}
	w.check(t, "confirm", w.con.Confirm(t.Context(), nil, contain.Secret{}), incident.Done, "http 401")
}

func TestALinkStaysALink(t *testing.T) {
	w := newWorld(t)
	link := filepath.Join(filepath.Dir(w.file), "link.env")
	if err := os.Symlink(w.file, link); err != nil {
		t.Fatal(err)
	}
	w.con.c.File = link
	w.check(t, "apply", w.con.Apply(t.Context(), nil, contain.Secret{}, "e1"), incident.Done, "rotated")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v (%v)", info.Mode(), err)
	}
}

func TestPlanSaysWhyAFileCannotBeEdited(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\n": "does not stand in it",
		"SHOPIFY_WEBHOOK_SECRET=a\nSHOPIFY_WEBHOOK_SECRET=b\n": "2 times",
		"X=\"open\nSHOPIFY_WEBHOOK_SECRET=a\n":                 "X has no closing quote",
	} {
		w := newWorld(t)
		if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.con.Plan(t.Context(), nil, contain.Secret{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// Whatever else stands in a file, putting a value changes it alone, and it reads back.
func TestPutChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.OneOf(rapid.StringMatching(`#[ -~]{0,20}`), rapid.StringMatching(`[A-JL-Z]{1,5}=[a-z# ]{0,9}`), rapid.StringMatching(`Q="[a-z\n= #]{0,9}"`), rapid.Just(""), rapid.Just("K"))
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")
		head := strings.Join(rapid.SliceOfN(line, 0, 4).Draw(t, "head"), eol)
		if head != "" {
			head += eol
		}
		tail := strings.Join(rapid.SliceOfN(line, 0, 4).Draw(t, "tail"), eol)
		form := rapid.SampledFrom([]string{"K=%s", "export K=%s", "K='%s'", ` K = "%s" # c`, "K=%s # c"}).Draw(t, "form")
		text := head + fmt.Sprintf(form, "old") + eol + tail
		p, v, err := find(text, "K")
		if err != nil || v != "old" {
			t.Fatalf("found %q, %v in %q", v, err, text)
		}
		if got := put(text, p, "new"); got != head+fmt.Sprintf(form, "new")+eol+tail {
			t.Fatalf("became %q", got)
		}
	})
}

func TestVaultKeepsFilesToItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	v, err := vault.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Put("app_admin", contain.NewSecret("s3cret")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "app_admin"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v %v", info.Mode(), err)
	}
	for _, name := range []string{"../x", "", "a/b", ".hidden", "-x", strings.Repeat("a", 200)} {
		if err := v.Put(name, contain.NewSecret("x")); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if _, err := v.Get("none"); !errors.Is(err, contain.ErrNoSecret) {
		t.Errorf("a missing secret: %v", err)
	}
	if err := v.Delete("app_admin"); err != nil {
		t.Error(err)
	}
	if _, err := v.Get("app_admin"); !errors.Is(err, contain.ErrNoSecret) {
		t.Errorf("a deleted secret: %v", err)
	}
}
