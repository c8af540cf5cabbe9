// Package shop is a Shopify store as far as its theme goes: the Admin API (GraphQL) with its tokens,
// scopes, paging, cost limit and errors, as the vendor documents them. Drills run it as a process of
// its own, and tests of whatever speaks to a store run it in theirs.
//
// Besides the API it has one address that no store has, /drill/tamper, at which somebody with the
// admin token changes files behind the API's back, and it keeps a log of who read and wrote what.
package shop

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/internal/drill/loopback"
)

// Config is the JSON document on standard input.
type Config struct {
	Listen string            `json:"listen"`
	Shop   string            `json:"shop"` // example.myshopify.com
	Theme  string            `json:"theme"`
	Files  map[string]string `json:"files"`  // name to base64
	Tokens []Token           `json:"tokens"` // of the apps that are installed
	Admin  Secret            `json:"admin"`  // of /drill/tamper
	Log    string            `json:"log"`    // NDJSON of Entry; "" for none
	Bucket float64           `json:"bucket"` // points of query cost that may be used at once; default 2000
	Refill float64           `json:"refill"` // points that come back in a second; default 100
}

// Token is an app's access token and what it was granted.
type Token struct {
	Secret Secret   `json:"secret"`
	Scopes []string `json:"scopes"` // read_themes, write_themes
	App    string   `json:"app"`
}

// Secret prints as "[redacted]".
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Entry is one line of the store's log: a file that was handed out, written or removed.
type Entry struct {
	Real   time.Time `json:"real"` // the machine's
	App    string    `json:"app"`  // whose token; "tamper" for what was changed behind the API
	Do     string    `json:"do"`   // read, write or remove
	File   string    `json:"file"`
	Digest string    `json:"digest,omitempty"` // of the file as it was read, or is now
}

// Version is the newest version of the Admin API that this store knows; an unknown one is answered by
// it, and says so.
const Version = "2026-10"

var versions = []string{"2025-10", "2026-01", "2026-04", "2026-07", Version, "unstable"}

// Shop is the store.
type Shop struct {
	c   Config
	log *os.File

	mu     sync.Mutex
	files  map[string][]byte
	points float64
	filled time.Time
}

// New makes a store.
func New(c Config) (*Shop, error) {
	if c.Bucket == 0 {
		c.Bucket = 2000
	}
	if c.Refill == 0 {
		c.Refill = 100
	}
	if c.Theme == "" {
		c.Theme = "gid://shopify/OnlineStoreTheme/529529152"
	}
	s := &Shop{c: c, files: map[string][]byte{}, points: c.Bucket, filled: time.Now()}
	for name, text := range c.Files {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("shop: file %s: %w", name, err)
		}
		s.files[name] = raw
	}
	if c.Log != "" {
		f, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("shop: log: %w", err)
		}
		s.log = f
	}
	return s, nil
}

// Close closes the log.
func (s *Shop) Close() error {
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

// Main serves until standard input ends or ctx does. It writes one line with its address.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := json.NewDecoder(stdin)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("shop: configuration on standard input: %w", err)
	}
	s, err := New(c)
	if err != nil {
		return err
	}
	err = loopback.Serve(ctx, c.Listen, "it has an address for tampering", s.Handler(), io.MultiReader(in.Buffered(), stdin), stdout)
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("shop: %w", err)
	}
	return nil
}

// Handler is the store's door.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin/api/{version}/graphql.json", s.graphql)
	mux.HandleFunc("POST /drill/tamper", s.tamper)
	return mux
}

// Change is what /drill/tamper does to one file; no content removes it.
type Change struct {
	File    string `json:"file"`
	Content []byte `json:"content"` // base64 in JSON; null removes the file
}

func (s *Shop) tamper(w http.ResponseWriter, r *http.Request) {
	if !same(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), s.c.Admin) {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	var list []Change
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20)).Decode(&list); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range list {
		if c.Content == nil {
			delete(s.files, c.File)
			s.note("tamper", "remove", c.File, nil)
			continue
		}
		s.files[c.File] = c.Content
		s.note("tamper", "write", c.File, c.Content)
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{}`)
}

func same(a string, b Secret) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// note writes a line of the log. Its caller holds s.mu.
func (s *Shop) note(app, do, file string, raw []byte) {
	if s.log == nil {
		return
	}
	e := Entry{Real: time.Now().UTC(), App: app, Do: do, File: file}
	if raw != nil {
		sum := sha256.Sum256(raw)
		e.Digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	_ = json.NewEncoder(s.log).Encode(e) // a line that is missing is a promise that is not shown
}

// problem is an error of GraphQL with its code.
func problem(message, code string) map[string]any {
	p := map[string]any{"message": message, "locations": []map[string]int{{"line": 1, "column": 1}}}
	if code != "" {
		p["extensions"] = map[string]any{"code": code}
	}
	return p
}

// words are the names that this store's schema has, as far as it goes.
var words = regexp.MustCompile(`[A-Za-z_][A-Za-z_0-9]*`)

var known = strings.Fields(`query mutation on id ID Int String first after themeId files themes theme roles role MAIN nodes name filename size contentType
	checksumMd5 createdAt updatedAt body content contentBase64 url __typename pageInfo hasNextPage endCursor userErrors code field message
	OnlineStoreThemeFileBodyText OnlineStoreThemeFileBodyBase64 OnlineStoreThemeFileBodyUrl OnlineStoreThemeFilesUpsertFileInput
	themeFilesUpsert themeFilesDelete upsertedThemeFiles deletedThemeFiles`)

type request struct {
	Query     string `json:"query"`
	Variables struct {
		ID      string          `json:"id"`
		First   int             `json:"first"`
		After   string          `json:"after"`
		Theme   string          `json:"theme"`
		Files   json.RawMessage `json:"files"`
		ThemeID string          `json:"themeId"`
	} `json:"variables"`
}

func (s *Shop) graphql(w http.ResponseWriter, r *http.Request) {
	version := r.PathValue("version")
	if !slices.Contains(versions, version) {
		version = versions[0] // a version that is over is answered by the oldest that is not
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Shopify-API-Version", version)
	var token *Token
	for i := range s.c.Tokens {
		if same(r.Header.Get("X-Shopify-Access-Token"), s.c.Tokens[i].Secret) {
			token = &s.c.Tokens[i]
		}
	}
	if token == nil {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}`)
		return
	}
	var q request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<20)).Decode(&q); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":{"query":"Required parameter missing or invalid"}}`)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := map[string]any{}
	defer func() { json.NewEncoder(w).Encode(answer) }()
	for _, name := range words.FindAllString(strings.ReplaceAll(q.Query, "$", " "), -1) {
		if !slices.Contains(known, name) && !strings.Contains(q.Query, "$"+name) {
			answer["errors"] = []any{problem(fmt.Sprintf("Field '%s' doesn't exist on type 'QueryRoot'", name), "undefinedField")}
			return
		}
	}
	cost := 1.0
	switch {
	case strings.Contains(q.Query, "themeFilesUpsert"), strings.Contains(q.Query, "themeFilesDelete"):
		cost = 10
	case strings.Contains(q.Query, "files("):
		cost = 2 + float64(q.Variables.First)
	}
	now := time.Now()
	s.points = min(s.c.Bucket, s.points+now.Sub(s.filled).Seconds()*s.c.Refill)
	s.filled = now
	throttled := s.points < cost
	if !throttled {
		s.points -= cost
	}
	answer["extensions"] = map[string]any{"cost": map[string]any{
		"requestedQueryCost": cost, "actualQueryCost": cost,
		"throttleStatus": map[string]any{"maximumAvailable": s.c.Bucket, "currentlyAvailable": s.points, "restoreRate": s.c.Refill},
	}}
	if throttled {
		answer["errors"] = []any{problem("Throttled", "THROTTLED")}
		return
	}
	writes := strings.Contains(q.Query, "themeFilesUpsert") || strings.Contains(q.Query, "themeFilesDelete")
	if scope := map[bool]string{false: "read_themes", true: "write_themes"}[writes]; !slices.Contains(token.Scopes, scope) {
		answer["errors"] = []any{problem(fmt.Sprintf("Access denied for themes field. Required access: `%s` access scope.", scope), "ACCESS_DENIED")}
		return
	}
	switch {
	case strings.Contains(q.Query, "themeFilesUpsert"):
		answer["data"] = map[string]any{"themeFilesUpsert": s.upsert(token.App, q)}
	case strings.Contains(q.Query, "themeFilesDelete"):
		answer["data"] = map[string]any{"themeFilesDelete": s.remove(token.App, q)}
	case strings.Contains(q.Query, "themes("):
		answer["data"] = map[string]any{"themes": map[string]any{"nodes": []any{map[string]any{"id": s.c.Theme, "name": "Dawn", "role": "MAIN"}}}}
	case q.Variables.ID != s.c.Theme:
		answer["data"] = map[string]any{"theme": nil}
	default:
		answer["data"] = map[string]any{"theme": map[string]any{"id": s.c.Theme, "files": s.page(token.App, q)}}
	}
}

// mostListed is how many files one page may have.
const mostListed = 2500

func (s *Shop) page(app string, q request) map[string]any {
	names := slices.Sorted(maps.Keys(s.files))
	from := 0
	if q.Variables.After != "" {
		at, found := slices.BinarySearch(names, q.Variables.After)
		if from = at; found {
			from++
		}
	}
	to := min(from+max(1, min(q.Variables.First, mostListed)), len(names))
	nodes := []any{}
	for _, name := range names[from:to] {
		raw := s.files[name]
		body := map[string]any{"__typename": "OnlineStoreThemeFileBodyText", "content": string(raw)}
		if !utf8.Valid(raw) {
			body = map[string]any{"__typename": "OnlineStoreThemeFileBodyBase64", "contentBase64": base64.StdEncoding.EncodeToString(raw)}
		}
		nodes = append(nodes, map[string]any{"filename": name, "size": fmt.Sprint(len(raw)), "contentType": http.DetectContentType(raw), "body": body})
		s.note(app, "read", name, raw)
	}
	end := any(nil)
	if to > from {
		end = names[to-1]
	}
	return map[string]any{"nodes": nodes, "pageInfo": map[string]any{"hasNextPage": to < len(names), "endCursor": end}, "userErrors": []any{}}
}

// mostWritten is how many files one mutation may name.
const mostWritten = 50

func refused(code, file, message string) []any {
	return []any{map[string]any{"code": code, "field": []string{"files"}, "filename": file, "message": message}}
}

var fileForm = regexp.MustCompile(`^(assets|blocks|config|layout|locales|sections|snippets|templates)/[^/]`)

func (s *Shop) upsert(app string, q request) map[string]any {
	out := map[string]any{"upsertedThemeFiles": []any{}, "userErrors": []any{}}
	var files []struct {
		Filename string `json:"filename"`
		Body     struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"body"`
	}
	switch err := json.Unmarshal(q.Variables.Files, &files); {
	case err != nil:
		out["userErrors"] = refused("ERROR", "", "files is invalid")
		return out
	case q.Variables.Theme != s.c.Theme:
		out["userErrors"] = refused("NOT_FOUND", "", "The theme does not exist")
		return out
	case len(files) > mostWritten:
		out["userErrors"] = refused("LESS_THAN_OR_EQUAL_TO", "", "The number of files is greater than the limit")
		return out
	}
	var done []any
	for _, f := range files {
		raw := []byte(f.Body.Value)
		if f.Body.Type == "BASE64" {
			var err error
			if raw, err = base64.StdEncoding.DecodeString(f.Body.Value); err != nil {
				out["userErrors"] = refused("FILE_VALIDATION_ERROR", f.Filename, "The body is no base64")
				return out
			}
		}
		if !fileForm.MatchString(f.Filename) {
			out["userErrors"] = refused("FILE_VALIDATION_ERROR", f.Filename, "The filename is not in a folder of a theme")
			return out
		}
		s.files[f.Filename] = raw
		s.note(app, "write", f.Filename, raw)
		done = append(done, map[string]any{"filename": f.Filename})
	}
	out["upsertedThemeFiles"] = done
	return out
}

func (s *Shop) remove(app string, q request) map[string]any {
	out := map[string]any{"deletedThemeFiles": []any{}, "userErrors": []any{}}
	var files []string
	switch err := json.Unmarshal(q.Variables.Files, &files); {
	case err != nil:
		out["userErrors"] = refused("ERROR", "", "files is invalid")
		return out
	case q.Variables.Theme != s.c.Theme:
		out["userErrors"] = refused("NOT_FOUND", "", "The theme does not exist")
		return out
	case len(files) > mostWritten:
		out["userErrors"] = refused("LESS_THAN_OR_EQUAL_TO", "", "The number of files is greater than the limit")
		return out
	}
	var done []any
	for _, name := range files {
		if s.files[name] == nil {
			out["userErrors"] = refused("NOT_FOUND", name, "The file does not exist")
			continue
		}
		delete(s.files, name)
		s.note(app, "remove", name, nil)
		done = append(done, map[string]any{"filename": name})
	}
	out["deletedThemeFiles"] = done
	return out
}

// Files is what the theme holds now, for tests.
func (s *Shop) Files() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for name, raw := range s.files {
		out[name] = string(raw)
	}
	return out
}
