// Package arrows holds no code: its test enforces which package may import which, and which
// packages are pure. ARCHITECTURE.md draws the same picture.
package arrows

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tocsin-ir/tocsin"

// layers lists packages from the top down, as patterns. A package may import packages of lower
// layers only; packages of one layer do not import each other unless peers says so.
var layers = [][]string{
	{"cmd/tocsin", "cmd/tocsin-query", "cmd/tocsin-verify"},
	{"internal/drill", "internal/bench"},
	{"internal/app", "internal/cli", "internal/drill/*"},
	{"internal/console", "internal/httpapi"},
	{"internal/handout"},
	{"internal/desk", "internal/inert"},
	{"contain/*", "notify/*", "probe", "review", "policy/paper", "policy/starter", "evidence", "scope/sheet", "scenarios", "policies", "regimes", "internal/doctor", "internal/backup"},
	{"contain", "notify", "review/pdf", "integrity/folder", "integrity/theme", "internal/translog/driver"},
	{"integrity"},
	{"internal/sqlite", "internal/postgres", "internal/keyring", "internal/translog", "internal/egress", "internal/clock", "internal/rulefiles", "scope"},
	{"internal/runner"},
	{"accesslog", "org", "ledger"},
	{"accesslog/mapping"},
	{"accesslog/format", "accesslog/ids", "accesslog/spool", "accesslog/table", "accesslog/table/s3", "verify/command"},
	{"detect", "verify", "rehearsal"},
	{"detect/*"},
	{"scope/columns"},
	{"scope/ask"},
	{"scope/tally"},
	{"leaf", "incident", "regime"},
	{"policy"},
	{"calendar"},
	{"rules"},
	{"internal/fsync", "internal/groupcommit", "internal/mint", "internal/played", "accesslog/plainjson"},
	{"killswitch", "piilog", "client", "internal/judge", "internal/planted"},
}

// peers are imports inside one layer, each with its reason.
var peers = map[string]string{
	"internal/drill/victim -> internal/drill/world":         "the orders that the application serves are the world's",
	"internal/drill/victim -> internal/drill/loopback":      "how a process of the drill serves",
	"internal/drill/shop -> internal/drill/loopback":        "how a process of the drill serves",
	"internal/drill/storefront -> internal/drill/authority": "certificates of the drill are issued in one place",
	"detect/baseline -> detect/saved":                       "the form of a snapshot",
	"detect/metric -> detect/saved":                         "the form of a snapshot",
	"detect/sigma -> detect/saved":                          "the form of a snapshot",
}

// alone are packages that other people's programs import, that judge us, or that we are measured on:
// nothing of ours in them.
var alone = []string{"killswitch", "piilog", "client", "internal/judge", "internal/planted"}

// testsOnly are packages that hold nothing but tests of the whole.
var testsOnly = []string{"examples/otlp", "internal/arrows", "internal/docs", "internal/attack"}

// pure packages never read a clock, a file, a socket or a database.
var pure = []string{"calendar", "policy", "incident", "org", "detect", "detect/baseline", "detect/metric", "detect/nab", "leaf", "regime", "rehearsal", "accesslog/format", "accesslog/mapping"}

// pureToo goes on with the list, one package on a line.
var pureToo = []string{
	"accesslog/plainjson",
	"detect/saved",
	"detect/sigma",
	"internal/doctor",
	"rules",
}

var impure = []string{"os", "net", "net/http", "database/sql", "os/exec", "syscall", "io/ioutil", "crypto/rand", "math/rand", "math/rand/v2"}

type pkg struct {
	ImportPath string
	Imports    []string
	Incomplete bool
}

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module+"/")] = p
	}
}

func layerOf(name string) int {
	for i, l := range layers {
		for _, pattern := range l {
			if ok, _ := path.Match(pattern, name); ok {
				return i
			}
			if rest, ok := strings.CutSuffix(pattern, "/*"); ok && strings.HasPrefix(name, rest+"/") {
				return i
			}
		}
	}
	return -1
}

func TestArrowsPointDown(t *testing.T) {
	for name, p := range packages(t) {
		from := layerOf(name)
		if from < 0 {
			if strings.HasSuffix(name, "test") || slices.Contains(testsOnly, name) {
				continue
			}
			t.Errorf("%s stands in no layer: place it in internal/arrows and ARCHITECTURE.md", name)
			continue
		}
		for _, imp := range p.Imports {
			to, ok := strings.CutPrefix(imp, module+"/")
			if !ok {
				continue
			}
			if slices.Contains(alone, name) {
				t.Errorf("%s imports %s: it may import nothing of this module", name, to)
				continue
			}
			low := layerOf(to)
			sub := strings.HasPrefix(to, name+"/") // a package may use what stands below it in its folder
			if low <= from && !sub && peers[name+" -> "+to] == "" {
				t.Errorf("%s (layer %d) imports %s (layer %d): arrows point down", name, from, to, low)
			}
		}
	}
}

func TestPurePackagesDoNoInputOrOutput(t *testing.T) {
	all := packages(t)
	for _, name := range slices.Concat(pure, pureToo) {
		p, ok := all[name]
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(impure, imp) {
				t.Errorf("%s is pure and imports %s", name, imp)
			}
		}
		out, _ := exec.Command("grep", "-nE", `time\.(Now|Since|Until|After|Sleep|Tick|NewTimer)\(`, "-r", "../../"+name, "--include=*.go", "--exclude=*_test.go").Output()
		if len(out) > 0 {
			t.Errorf("%s is pure and looks at the clock:\n%s", name, out)
		}
	}
}
