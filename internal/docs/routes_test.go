package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// routeText is inline code that names a route of the API, such as POST /v1/events.
var routeText = regexp.MustCompile(`^(GET|POST|PUT|DELETE|PATCH) (/v1/[^ ?]*)(\?\S*)?$`)

var parameter = regexp.MustCompile(`\{[^}]*\}`)

func TestEveryRouteADocumentNamesIsServed(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "internal/httpapi/api/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(b, &api); err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for p, methods := range api.Paths {
		for m := range methods {
			served[strings.ToUpper(m)+" "+parameter.ReplaceAllString(p, "{}")] = true
		}
	}
	if len(served) < 10 {
		t.Fatalf("only %d routes in the API's description", len(served))
	}
	for _, p := range parsePages(t) {
		for _, s := range p.spans {
			m := routeText.FindStringSubmatch(s.text)
			if m == nil || strings.Contains(m[2], "{command}") { // stands for every command
				continue
			}
			if !served[m[1]+" "+parameter.ReplaceAllString(m[2], "{}")] {
				t.Errorf("%s:%d: %s %s is not served", p.name, s.line, m[1], m[2])
			}
		}
	}
}
