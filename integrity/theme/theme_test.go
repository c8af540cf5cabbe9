package theme_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/integrity/theme"
	"github.com/tocsin-ir/tocsin/internal/drill/shop"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

const token = "shpat_the_token_of_the_test"

// store is a shop with a theme, over HTTP.
func store(t *testing.T, files map[string]string, change func(*shop.Config)) (*theme.Source, *shop.Shop) {
	t.Helper()
	c := shop.Config{Shop: "example.myshopify.com", Files: map[string]string{}, Tokens: []shop.Token{{Secret: token, App: "tocsin", Scopes: []string{"read_themes", "write_themes"}}}}
	for name, text := range files {
		c.Files[name] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	if change != nil {
		change(&c)
	}
	s, err := shop.New(c)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	return at(web.URL), s
}

func at(url string) *theme.Source {
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxBody: 32 << 20})
	return theme.New(theme.Config{Shop: "example.myshopify.com", Token: "theme", URL: url, Exclude: []string{"config/settings_data.json"}}, out,
		func(string) (egress.Secret, error) { return egress.NewSecret(token), nil })
}

// A store that answers without end, or a theme that is too large, takes no more memory than a folder may.
func TestATooLargeThemeIsRefusedWhileItIsRead(t *testing.T) {
	body := strings.Repeat("x", integrity.MaxFile)
	for want, size := range map[string]int{"have more than 128 MiB together": integrity.MaxFile, "has more than 8 MiB": integrity.MaxFile + 1} {
		pages := 0
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if raw, _ := io.ReadAll(r.Body); strings.Contains(string(raw), "roles: [MAIN]") {
				fmt.Fprint(w, `{"data":{"themes":{"nodes":[{"id":"gid://shopify/OnlineStoreTheme/1"}]}}}`)
				return
			}
			if pages++; pages > 40 {
				http.Error(w, "it reads on and on", http.StatusTeapot)
				return
			}
			fmt.Fprintf(w, `{"data":{"theme":{"files":{"nodes":[{"filename":"assets/%d.js","body":{"__typename":"OnlineStoreThemeFileBodyText","content":"%s"}}],"pageInfo":{"hasNextPage":true,"endCursor":"%d"}}}}}`, pages, (body + "x")[:size], pages)
		}))
		_, err := at(web.URL).Read(t.Context())
		web.Close()
		if !errors.Is(err, integrity.ErrBounds) || !strings.Contains(err.Error(), want) {
			t.Errorf("after %d pages: %v, want %s", pages, err, want)
		}
	}
}

func TestAThemeIsReadPageByPageAndWrittenBack(t *testing.T) { // promise: DET-7
	files := map[string]string{"layout/theme.liquid": "<html>", "assets/logo.png": "\x89PNG\xff\x00", "config/settings_data.json": "{}"}
	for i := range 130 {
		files[fmt.Sprintf("snippets/s%03d.liquid", i)] = fmt.Sprint("snippet ", i)
	}
	src, s := store(t, files, nil)
	got, err := src.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 132 { // all but what is excluded
		t.Errorf("%d files were read", len(got))
	}
	for _, e := range got {
		if string(e.Bytes) != files[e.Path] {
			t.Errorf("%s is %q", e.Path, e.Bytes)
		}
	}
	var put []integrity.Entry
	for i := range 60 { // more than one request may carry
		put = append(put, integrity.Entry{Path: fmt.Sprintf("snippets/s%03d.liquid", i), Bytes: []byte("back")})
	}
	put = append(put, integrity.Entry{Path: "assets/logo.png", Bytes: []byte("\x89PNG\xfe\x00")})
	if err := src.Write(t.Context(), put, []string{"snippets/s129.liquid"}); err != nil {
		t.Fatal(err)
	}
	now := s.Files()
	if now["snippets/s059.liquid"] != "back" || now["assets/logo.png"] != "\x89PNG\xfe\x00" {
		t.Errorf("it was not written: %q, %q", now["snippets/s059.liquid"], now["assets/logo.png"])
	}
	if _, there := now["snippets/s129.liquid"]; there {
		t.Error("the added file is still there")
	}
}

func TestTheLimitOfTheStoreIsHonoured(t *testing.T) {
	files := map[string]string{}
	for i := range 120 {
		files[fmt.Sprintf("snippets/s%03d.liquid", i)] = "x"
	}
	// One page costs 52 points: the bucket holds one page and is filled again in 50 ms.
	src, _ := store(t, files, func(c *shop.Config) { c.Bucket, c.Refill = 60, 1000 })
	got, err := src.Read(t.Context())
	if err != nil || len(got) != 120 {
		t.Errorf("%d files, %v", len(got), err)
	}
}

func TestAStoreThatIsBusyIsAskedAgain(t *testing.T) {
	var asked atomic.Int32
	_, s := store(t, map[string]string{"layout/theme.liquid": "x"}, nil)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		s.Handler().ServeHTTP(w, r)
	}))
	defer web.Close()
	if got, err := at(web.URL).Read(t.Context()); err != nil || len(got) != 1 {
		t.Errorf("%d files, %v", len(got), err)
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*shop.Config)
		write  bool
		want   string
	}{
		{"an unknown token", func(c *shop.Config) { c.Tokens[0].Secret = "shpat_another" }, false, "HTTP 401: the access token is not valid: put a new one with tocsin secret put theme"},
		{"no scope to read", func(c *shop.Config) { c.Tokens[0].Scopes = nil }, false, "read_themes"},
		{"no scope to write", func(c *shop.Config) { c.Tokens[0].Scopes = []string{"read_themes"} }, true, "write_themes"},
	} {
		src, _ := store(t, map[string]string{"layout/theme.liquid": "x"}, c.change)
		var err error
		if c.write {
			err = src.Write(t.Context(), []integrity.Entry{{Path: "layout/theme.liquid"}}, nil)
		} else {
			_, err = src.Read(t.Context())
		}
		if !errors.Is(err, theme.ErrDenied) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	src, _ := store(t, map[string]string{"layout/theme.liquid": "x"}, nil)
	if err := src.Write(t.Context(), []integrity.Entry{{Path: "nowhere.txt"}}, nil); err == nil || !strings.Contains(err.Error(), `refuses "nowhere.txt"`) {
		t.Errorf("a name that no theme has: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := theme.Config{Shop: "example.myshopify.com", Token: "theme"}
	if err := good.Validate("integrity.t"); err != nil {
		t.Error(err)
	}
	var wrong []string
	for _, change := range []func(*theme.Config){
		func(c *theme.Config) { c.Shop = "https://example.com" }, func(c *theme.Config) { c.Token = "" },
		func(c *theme.Config) { c.Theme = "1234" }, func(c *theme.Config) { c.Version = "2026-03" }, func(c *theme.Config) { c.Include = []string{"["} },
	} {
		c := good
		change(&c)
		if err := c.Validate("integrity.t"); err == nil {
			t.Errorf("%+v was taken", c)
		} else {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) != 5 || !strings.HasPrefix(wrong[0], "integrity.t.shop: ") {
		t.Errorf("%q", wrong)
	}
}
