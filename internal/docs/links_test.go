package docs

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

func TestEveryInternalLinkLeadsSomewhere(t *testing.T) {
	pages := parsePages(t)
	slugs := map[string]map[string]bool{}
	for _, p := range pages {
		slugs[p.name] = p.slugs
	}
	for _, p := range pages {
		for _, l := range p.links {
			u, err := url.Parse(l.text)
			if err != nil {
				t.Errorf("%s:%d: %q is no link: %v", p.name, l.line, l.text, err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue // somebody else's
			}
			target := p.name
			if u.Path != "" {
				target = path.Join(path.Dir(p.name), u.Path)
				if strings.HasPrefix(target, "..") || strings.HasPrefix(u.Path, "/") {
					t.Errorf("%s:%d: %s leaves the module", p.name, l.line, l.text)
					continue
				}
				if !exists(target) {
					t.Errorf("%s:%d: %s does not exist", p.name, l.line, target)
					continue
				}
			}
			if u.Fragment != "" && strings.HasSuffix(target, ".md") && !slugs[target][u.Fragment] {
				t.Errorf("%s:%d: %s has no heading #%s", p.name, l.line, target, u.Fragment)
			}
		}
	}
}

// pathText is inline code that can only be a path of this module: it starts at a folder whose name
// is used for nothing else, or it is a document or a Go file.
var (
	pathText   = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+/?$`)
	pathStart  = regexp.MustCompile(`^(cmd|internal|docs|scripts|contain|notify|scenarios|killswitch|piilog)/`)
	docText    = regexp.MustCompile(`^[A-Z]+\.md$`)
	goFileText = regexp.MustCompile(`^[a-z0-9_/]+/[a-z0-9_]+\.go$`)
)

// elsewhere are paths that look like ours and belong to something a document describes.
var elsewhere = map[string]bool{
	"README.txt":                   true,
	"scenarios/NAME/manifest.yaml": true, // any scenario's
}

func TestEveryPathADocumentNamesExists(t *testing.T) {
	named := 0
	for _, p := range parsePages(t) {
		for _, s := range p.spans {
			name := s.text
			ours := pathText.MatchString(name) && pathStart.MatchString(name) || docText.MatchString(name) || goFileText.MatchString(name)
			if !ours || elsewhere[name] {
				continue
			}
			named++
			if !exists(name) && !exists(path.Join(path.Dir(p.name), name)) {
				t.Errorf("%s:%d: %s does not exist", p.name, s.line, name)
			}
		}
	}
	if named == 0 {
		t.Fatal("no path found in any document: the test looks for the wrong thing")
	}
}
