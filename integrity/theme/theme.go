// Package theme is the theme of a Shopify store whose files are compared with what was approved, by
// the Admin API (GraphQL).
package theme

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

// DefaultVersion is the version of the Admin API that is asked.
const DefaultVersion = "2026-10"

// Config is one theme as the configuration writes it (type shopify-theme).
type Config struct {
	Shop    string   `yaml:"shop"`    // such as example.myshopify.com
	Token   string   `yaml:"token"`   // name of the secret that holds an access token with read_themes, and write_themes for restoring
	Theme   string   `yaml:"theme"`   // gid://shopify/OnlineStoreTheme/ID; default the published one
	Version string   `yaml:"version"` // of the Admin API
	Include []string `yaml:"include"` // globs, such as layout/*; default all files
	Exclude []string `yaml:"exclude"` // such as config/settings_data.json, which merchants change all the time
	URL     string   `yaml:"url"`     // where the Admin API is, when not at https://SHOP
}

var (
	shopForm    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]*\.myshopify\.com$`)
	themeForm   = regexp.MustCompile(`^gid://shopify/OnlineStoreTheme/[0-9]+$`)
	versionForm = regexp.MustCompile(`^(20[0-9]{2}-(01|04|07|10)|unstable)$`)
)

// Validate checks the settings; field names them in errors.
func (c Config) Validate(field string) error {
	switch {
	case !shopForm.MatchString(c.Shop):
		return fmt.Errorf("%s.shop: has to be a store such as example.myshopify.com", field)
	case c.Token == "":
		return fmt.Errorf("%s.token: is missing: name the secret with the access token, which tocsin secret put stores", field)
	case c.Theme != "" && !themeForm.MatchString(c.Theme):
		return fmt.Errorf("%s.theme: has to be an id such as gid://shopify/OnlineStoreTheme/1234, or absent for the published theme", field)
	case c.Version != "" && !versionForm.MatchString(c.Version):
		return fmt.Errorf("%s.version: has to be a version of the Admin API such as %s", field, DefaultVersion)
	}
	for _, g := range append(append([]string{}, c.Include...), c.Exclude...) {
		if !doublestar.ValidatePattern(g) || path.IsAbs(g) {
			return fmt.Errorf("%s: %q is no pattern such as layout/*", field, g)
		}
	}
	return nil
}

// Source is the theme.
type Source struct {
	c      Config
	out    *egress.Client
	secret func(name string) (egress.Secret, error)
}

// New makes the source. secret gives the named secret whenever the store is asked.
func New(c Config, out *egress.Client, secret func(name string) (egress.Secret, error)) *Source {
	if c.Version == "" {
		c.Version = DefaultVersion
	}
	if c.URL == "" {
		c.URL = "https://" + c.Shop
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	return &Source{c, out, secret}
}

// Kind is shopify-theme.
func (*Source) Kind() string { return "shopify-theme" }

// Place is the shop and its theme.
func (s *Source) Place() string {
	if s.c.Theme == "" {
		return s.c.Shop + ", the published theme"
	}
	return s.c.Shop + ", " + s.c.Theme
}

func (s *Source) wanted(name string) bool {
	in := len(s.c.Include) == 0
	for _, g := range s.c.Include {
		in = in || doublestar.MatchUnvalidated(g, name)
	}
	for _, g := range s.c.Exclude {
		in = in && !doublestar.MatchUnvalidated(g, name)
	}
	return in
}

const (
	perPage  = 50 // files a query asks for, with their bodies
	perWrite = 50 // files a mutation may name
)

const findTheme = `query { themes(first: 1, roles: [MAIN]) { nodes { id name role } } }`

const readFiles = `query($id: ID!, $first: Int!, $after: String) { theme(id: $id) { id files(first: $first, after: $after) { nodes { filename size contentType body { __typename ... on OnlineStoreThemeFileBodyText { content } ... on OnlineStoreThemeFileBodyBase64 { contentBase64 } ... on OnlineStoreThemeFileBodyUrl { url } } } pageInfo { hasNextPage endCursor } userErrors { code filename } } } }`

const writeFiles = `mutation($theme: ID!, $files: [OnlineStoreThemeFilesUpsertFileInput!]!) { themeFilesUpsert(themeId: $theme, files: $files) { upsertedThemeFiles { filename } userErrors { code field filename message } } }`

const removeFiles = `mutation($theme: ID!, $files: [String!]!) { themeFilesDelete(themeId: $theme, files: $files) { deletedThemeFiles { filename } userErrors { code field filename message } } }`

// theme is the id of the theme that is looked after: of the published one it may change any day.
func (s *Source) theme(ctx context.Context) (string, error) {
	if s.c.Theme != "" {
		return s.c.Theme, nil
	}
	var found struct {
		Themes struct{ Nodes []struct{ ID string } }
	}
	if err := s.ask(ctx, findTheme, nil, &found); err != nil {
		return "", err
	}
	if len(found.Themes.Nodes) == 0 || found.Themes.Nodes[0].ID == "" {
		return "", fmt.Errorf("%s has no published theme", s.c.Shop)
	}
	return found.Themes.Nodes[0].ID, nil
}

type file struct {
	Filename string
	Size     json.Number
	Body     struct {
		Typename      string `json:"__typename"`
		Content       string
		ContentBase64 string
		URL           string
	}
}

// Read reads every wanted file, a page at a time.
func (s *Source) Read(ctx context.Context) ([]integrity.Entry, error) {
	id, err := s.theme(ctx)
	if err != nil {
		return nil, err
	}
	var out []integrity.Entry
	var total int
	var after any
	for {
		var page struct {
			Theme *struct {
				Files struct {
					Nodes    []file
					PageInfo struct {
						HasNextPage bool
						EndCursor   string
					}
					UserErrors []userError
				}
			}
		}
		if err := s.ask(ctx, readFiles, map[string]any{"id": id, "first": perPage, "after": after}, &page); err != nil {
			return nil, err
		}
		if page.Theme == nil {
			return nil, fmt.Errorf("%s has no theme %s", s.c.Shop, id)
		}
		files := page.Theme.Files
		if err := s.complaint(files.UserErrors); err != nil {
			return nil, err
		}
		for _, f := range files.Nodes {
			if !s.wanted(f.Filename) {
				continue
			}
			if len(out) >= integrity.MaxFiles {
				return nil, fmt.Errorf("%w: the theme holds more than %d files: choose with include and exclude", integrity.ErrBounds, integrity.MaxFiles)
			}
			raw, err := s.body(ctx, f)
			if err != nil {
				return nil, err
			}
			// Here and not only when it is listed: a store that pages on must not fill the memory first.
			if len(raw) > integrity.MaxFile {
				return nil, fmt.Errorf("%w: %s has more than %d MiB: leave it out with exclude", integrity.ErrBounds, f.Filename, integrity.MaxFile>>20)
			}
			if total += len(raw); total > integrity.MaxTotal {
				return nil, fmt.Errorf("%w: the files of the theme have more than %d MiB together: choose with include and exclude", integrity.ErrBounds, integrity.MaxTotal>>20)
			}
			out = append(out, integrity.Entry{Path: f.Filename, Bytes: raw})
		}
		if !files.PageInfo.HasNextPage {
			return out, nil
		}
		if files.PageInfo.EndCursor == "" || files.PageInfo.EndCursor == after {
			return nil, fmt.Errorf("%s pages without end", s.c.Shop)
		}
		after = files.PageInfo.EndCursor
	}
}

// body is a file's bytes, in whichever of its three forms the store gave them.
func (s *Source) body(ctx context.Context, f file) ([]byte, error) {
	switch f.Body.Typename {
	case "OnlineStoreThemeFileBodyText":
		return []byte(f.Body.Content), nil
	case "OnlineStoreThemeFileBodyBase64":
		raw, err := base64.StdEncoding.DecodeString(f.Body.ContentBase64)
		if err != nil {
			return nil, fmt.Errorf("%s of the theme cannot be decoded", f.Filename)
		}
		return raw, nil
	case "OnlineStoreThemeFileBodyUrl":
		// A file that is too large to stand in the answer. The address is signed and is never printed; the
		// store's token does not go there.
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Body.URL, nil)
		if err != nil {
			return nil, fmt.Errorf("%s of the theme is at an address that cannot be read", f.Filename)
		}
		resp, err := s.out.Send(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("%s of the theme: %w", f.Filename, err)
		}
		if resp.Status != http.StatusOK {
			return nil, fmt.Errorf("%s of the theme: HTTP %d", f.Filename, resp.Status)
		}
		return resp.Body, nil
	}
	return nil, fmt.Errorf("%s of the theme comes in a form that is not known here", f.Filename)
}

// Write writes files and removes others, as many at a time as the store takes. It is done to the theme
// that is published when it begins.
func (s *Source) Write(ctx context.Context, put []integrity.Entry, remove []string) error {
	id, err := s.theme(ctx)
	if err != nil {
		return err
	}
	for len(put) > 0 {
		n := min(len(put), perWrite)
		var files []map[string]any
		for _, e := range put[:n] {
			body := map[string]string{"type": "TEXT", "value": string(e.Bytes)}
			if !utf8.Valid(e.Bytes) {
				body = map[string]string{"type": "BASE64", "value": base64.StdEncoding.EncodeToString(e.Bytes)}
			}
			files = append(files, map[string]any{"filename": e.Path, "body": body})
		}
		var done struct {
			ThemeFilesUpsert struct{ UserErrors []userError }
		}
		if err := s.ask(ctx, writeFiles, map[string]any{"theme": id, "files": files}, &done); err != nil {
			return err
		}
		if err := s.complaint(done.ThemeFilesUpsert.UserErrors); err != nil {
			return err
		}
		put = put[n:]
	}
	for len(remove) > 0 {
		n := min(len(remove), perWrite)
		var done struct {
			ThemeFilesDelete struct{ UserErrors []userError }
		}
		if err := s.ask(ctx, removeFiles, map[string]any{"theme": id, "files": remove[:n]}, &done); err != nil {
			return err
		}
		if err := s.complaint(done.ThemeFilesDelete.UserErrors); err != nil {
			return err
		}
		remove = remove[n:]
	}
	return nil
}

// userError is what the store answers to a request that it understood and refused.
type userError struct {
	Code     string
	Filename string
	Message  string
}

// complaint is the first refusal as an error. Texts of the store are quoted, so that nothing in them can
// be taken for ours.
func (s *Source) complaint(list []userError) error {
	if len(list) == 0 {
		return nil
	}
	e := list[0]
	return fmt.Errorf("%s refuses %q: %q (%d in all)", s.c.Shop, e.Filename, short(strings.TrimSpace(e.Code+" "+e.Message)), len(list))
}

// The waits for a store that is busy.
const (
	tries    = 6
	mostWait = 30 * time.Second
)

// ErrDenied says that the store does not let this token do it.
var ErrDenied = errors.New("the store does not let this token do it")

type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors json.RawMessage `json:"errors"`
	Extra  struct {
		Cost struct {
			Requested float64 `json:"requestedQueryCost"`
			Throttle  struct {
				Available float64 `json:"currentlyAvailable"`
				Restore   float64 `json:"restoreRate"`
			} `json:"throttleStatus"`
		} `json:"cost"`
	} `json:"extensions"`
}

// ask makes one request of the Admin API, and waits as long as the store asks for when it is busy.
func (s *Source) ask(ctx context.Context, query string, variables map[string]any, into any) error {
	token, err := s.secret(s.c.Token)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.c.URL+"/admin/api/"+s.c.Version+"/graphql.json", bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("%s: the address of the Admin API cannot be read", s.c.Shop)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Shopify-Access-Token", token.Reveal())
		resp, err := s.out.Send(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", s.c.Shop, err)
		}
		wait, err := s.read(resp, into)
		if err == nil || wait == 0 || n == tries {
			return err
		}
		timer := time.NewTimer(min(wait, mostWait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// read reads an answer into `into`. A wait above 0 says that the same request may be answered later.
func (s *Source) read(resp egress.Response, into any) (wait time.Duration, err error) {
	switch {
	case resp.Status == http.StatusUnauthorized:
		return 0, fmt.Errorf("%s: %w: HTTP 401: the access token is not valid: put a new one with tocsin secret put %s", s.c.Shop, ErrDenied, s.c.Token)
	case resp.Status == http.StatusForbidden:
		return 0, fmt.Errorf("%s: %w: HTTP 403: look at its scopes and at the app's list of allowed addresses", s.c.Shop, ErrDenied)
	case resp.Status == http.StatusTooManyRequests || resp.Status >= 500:
		return max(resp.RetryAfter, time.Second), fmt.Errorf("%s is busy: HTTP %d", s.c.Shop, resp.Status)
	case resp.Status != http.StatusOK:
		return 0, fmt.Errorf("%s: HTTP %d", s.c.Shop, resp.Status)
	}
	var a answer
	if err := json.Unmarshal(resp.Body, &a); err != nil {
		return 0, fmt.Errorf("%s: the answer cannot be read", s.c.Shop)
	}
	var problems []struct {
		Message    string
		Extensions struct{ Code string }
	}
	if len(a.Errors) > 0 && json.Unmarshal(a.Errors, &problems) != nil {
		return 0, fmt.Errorf("%s: %q", s.c.Shop, short(string(a.Errors)))
	}
	if len(problems) > 0 { // the first says enough
		p := problems[0]
		switch p.Extensions.Code {
		case "THROTTLED":
			cost := a.Extra.Cost
			wait = time.Second
			if lack := cost.Requested - cost.Throttle.Available; lack > 0 && cost.Throttle.Restore > 0 {
				wait = time.Duration(lack / cost.Throttle.Restore * float64(time.Second))
			}
			return max(wait, 10*time.Millisecond), fmt.Errorf("%s is busy: its limit of queries is used up", s.c.Shop)
		case "ACCESS_DENIED":
			return 0, fmt.Errorf("%s: %w: %q: reading needs the scope read_themes; writing needs write_themes, for which Shopify grants an exemption", s.c.Shop, ErrDenied, short(p.Message))
		}
		return 0, fmt.Errorf("%s: %q", s.c.Shop, short(p.Message))
	}
	if err := json.Unmarshal(a.Data, into); err != nil {
		return 0, fmt.Errorf("%s: the answer is not as the Admin API describes it", s.c.Shop)
	}
	return 0, nil
}

func short(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
