package egress

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Template is a request as a configuration writes it. Its texts may hold ${secret} (the secret at
// hand), ${secret:NAME} (one of the installation's) and ${target.X} (of the plan's target). Each
// value is escaped for the place where it stands and can never leave it: a path segment, a query
// value, a header value, a JSON string or a form value.
type Template struct {
	Method string            `yaml:"method"`
	URL    string            `yaml:"url"`
	Header map[string]string `yaml:"header"`
	Body   string            `yaml:"body"`
	HMAC   *HMAC             `yaml:"hmac"`
}

// HMAC signs the body: Header carries the base64 of HMAC-SHA256 over it, as Shopify's webhooks do.
type HMAC struct {
	Header string `yaml:"header"`
	Secret string `yaml:"secret"` // ${secret} or ${secret:NAME}
}

// Values fill a template.
type Values struct {
	Target map[string]string
	Secret Secret
	Named  func(name string) (Secret, error) // reads ${secret:NAME}; nil: there are none
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)
var placeholderName = regexp.MustCompile(`^(secret|secret:[A-Za-z0-9][A-Za-z0-9_.-]{0,127}|target\.[a-z][a-z0-9_]{0,63})$`)

// Limits of a template and of a value that fills it, in bytes.
const (
	maxTemplate = 64 << 10
	maxValue    = 16 << 10
)

// Validate checks the template; field names it in errors, such as "connectors.app_tokens.revoke".
func (t Template) Validate(field string) error {
	bad := func(part, format string, args ...any) error {
		return fmt.Errorf("%s.%s: %s", field, part, fmt.Sprintf(format, args...))
	}
	switch t.Method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE":
	default:
		return bad("method", "%q is not one of GET, HEAD, POST, PUT, PATCH, DELETE", t.Method)
	}
	if len(t.URL)+len(t.Body) > maxTemplate {
		return bad("body", "the request is larger than %d bytes", maxTemplate)
	}
	for _, text := range t.texts() {
		for _, m := range placeholder.FindAllStringSubmatch(text.value, -1) {
			if !placeholderName.MatchString(m[1]) {
				return bad(text.part, "${%s} is not known: write ${secret}, ${secret:NAME} or ${target.NAME}", m[1])
			}
		}
		if strings.Contains(placeholder.ReplaceAllString(text.value, ""), "${") {
			return bad(text.part, "a ${ has no closing brace")
		}
	}
	sample := placeholder.ReplaceAllString(t.URL, "x")
	u, err := url.Parse(sample)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return bad("url", "it is not an http or https address")
	}
	if u.User != nil || u.Fragment != "" {
		return bad("url", "a user name or a fragment may not stand in an address")
	}
	if path := pathStart(t.URL); strings.Contains(t.URL[:path], "${") {
		return bad("url", "a ${…} may stand in the path or the query, not in the scheme or the host")
	}
	for name, value := range t.Header {
		if !headerName.MatchString(name) {
			return bad("header", "%q is not a header name", name)
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Connection", "User-Agent":
			return bad("header", "%s is set by the client", name)
		}
		if strings.ContainsFunc(value, isControl) {
			return bad("header", "the value of %s has a control character in it", name)
		}
	}
	if t.HMAC != nil {
		if !headerName.MatchString(t.HMAC.Header) {
			return bad("hmac.header", "%q is not a header name", t.HMAC.Header)
		}
		if m := placeholder.FindString(t.HMAC.Secret); m == "" || m != t.HMAC.Secret || strings.HasPrefix(m, "${target.") {
			return bad("hmac.secret", "write ${secret} or ${secret:NAME}")
		}
	}
	if placeholder.MatchString(t.Body) {
		switch t.bodyKind() {
		case "application/json":
			if !json.Valid([]byte(placeholder.ReplaceAllString(t.Body, "x"))) {
				return bad("body", "it is not JSON, or a ${…} stands outside quotes")
			}
		case "application/x-www-form-urlencoded":
		default:
			return bad("body", "a ${…} may stand in JSON or in a form: set the header Content-Type")
		}
	}
	return nil
}

type text struct{ part, value string }

func (t Template) texts() []text {
	all := []text{{"url", t.URL}, {"body", t.Body}}
	for _, name := range slices.Sorted(maps.Keys(t.Header)) {
		all = append(all, text{"header." + name, t.Header[name]})
	}
	if t.HMAC != nil {
		all = append(all, text{"hmac.secret", t.HMAC.Secret})
	}
	return all
}

// Secrets lists the names of the installation's secrets the template reads.
func (t Template) Secrets() []string {
	var names []string
	for _, text := range t.texts() {
		for _, m := range placeholder.FindAllStringSubmatch(text.value, -1) {
			if name, ok := strings.CutPrefix(m[1], "secret:"); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Targets lists the target values the template reads, such as credential.
func (t Template) Targets() []string {
	var names []string
	for _, text := range t.texts() {
		for _, m := range placeholder.FindAllStringSubmatch(text.value, -1) {
			if name, ok := strings.CutPrefix(m[1], "target."); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Place names the template for people: method and address as configured, without the query.
func (t Template) Place() string {
	address, _, _ := strings.Cut(t.URL, "?")
	return t.Method + " " + address
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}$`)

func isControl(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }

// pathStart is the index at which the host of an address ends.
func pathStart(address string) int {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return len(address)
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return len(address) - len(rest) + i
	}
	return len(address)
}

func (t Template) bodyKind() string {
	for name, value := range t.Header {
		if strings.EqualFold(name, "Content-Type") {
			kind, _, _ := mime.ParseMediaType(value)
			return kind
		}
	}
	if b := strings.TrimSpace(t.Body); strings.HasPrefix(b, "{") || strings.HasPrefix(b, "[") {
		return "application/json"
	}
	return ""
}

// Request fills the template. Its errors name the placeholder, never the value.
func (t Template) Request(ctx context.Context, v Values) (*http.Request, error) {
	query := strings.IndexByte(t.URL, '?')
	address, err := v.fill(t.URL, func(at int, s string) (string, error) {
		if query >= 0 && at > query {
			return url.QueryEscape(s), nil
		}
		if s == "." || s == ".." || s == "" {
			return "", fmt.Errorf("its value is not a path segment")
		}
		return url.PathEscape(s), nil
	})
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	kind := t.bodyKind()
	body, err := v.fill(t.Body, func(_ int, s string) (string, error) {
		if kind == "application/x-www-form-urlencoded" {
			return url.QueryEscape(s), nil
		}
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("its value is not text, which JSON cannot carry")
		}
		quoted, err := json.Marshal(s)
		return strings.TrimSuffix(strings.TrimPrefix(string(quoted), `"`), `"`), err
	})
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, t.Method, address, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("url: it is not an address once it is filled in")
	}
	if kind != "" && body != "" {
		r.Header.Set("Content-Type", kind)
	}
	r.Header.Set("Cache-Control", "no-cache")
	for name, value := range t.Header {
		filled, err := v.fill(value, headerValue)
		if err != nil {
			return nil, fmt.Errorf("header.%s: %w", name, err)
		}
		r.Header.Set(name, filled)
	}
	if t.HMAC != nil {
		key, err := v.fill(t.HMAC.Secret, func(_ int, s string) (string, error) { return s, nil })
		if err != nil {
			return nil, fmt.Errorf("hmac.secret: %w", err)
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(body))
		r.Header.Set(t.HMAC.Header, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return r, nil
}

func headerValue(_ int, s string) (string, error) {
	if strings.ContainsFunc(s, isControl) {
		return "", fmt.Errorf("its value has a line break or another control character in it")
	}
	return s, nil
}

// fill replaces the placeholders of text; escape gets the position and the value.
func (v Values) fill(text string, escape func(at int, s string) (string, error)) (string, error) {
	var b strings.Builder
	last := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		s, err := v.lookup(name)
		if err == nil && len(s) > maxValue {
			err = fmt.Errorf("its value is longer than %d bytes", maxValue)
		}
		if err == nil {
			s, err = escape(m[0], s)
		}
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", name, err)
		}
		b.WriteString(text[last:m[0]])
		b.WriteString(s)
		last = m[1]
	}
	b.WriteString(text[last:])
	return b.String(), nil
}

func (v Values) lookup(name string) (string, error) {
	if name == "secret" {
		if v.Secret.Empty() {
			return "", fmt.Errorf("the plan names no secret: store it with tocsin secret put NAME and name it in the plan")
		}
		return v.Secret.Reveal(), nil
	}
	if key, ok := strings.CutPrefix(name, "secret:"); ok {
		if v.Named == nil {
			return "", fmt.Errorf("there are no stored secrets here")
		}
		s, err := v.Named(key)
		if err != nil {
			return "", err
		}
		return s.Reveal(), nil
	}
	key := strings.TrimPrefix(name, "target.")
	s, ok := v.Target[key]
	if !ok || s == "" {
		return "", fmt.Errorf("the plan's target has no %s", key)
	}
	return s, nil
}
