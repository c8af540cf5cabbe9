package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
)

// NewFolder is what a new installation is made from.
type NewFolder struct {
	Dir          string
	Organisation string // its id
	Name         string // of the company
	OwnerName    string // what the first owner is called; "" for Owner
	App          string // id of the first app
	AppName      string // "" for the company's
	Policy       string // id of the shipped policy to start from
	From         string // address that notices come from; "" leaves mail off
}

// ShippedPolicies are the policies that an installation may start from.
func ShippedPolicies() []string {
	files, _ := fs.Glob(policies.FS, "*.yaml") // the pattern is valid
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".yaml")
	}
	return files
}

const firstConfig = `# Configuration of Tocsin. Every field is explained in docs/operator.md.
organisation: { id: %s, name: %s }
%s# public_url: https://security.example.com
listen: 127.0.0.1:8080
apps:
  - { id: %s, name: %s }
policy: policies/policy.yaml
%s
# connectors: how a token is revoked and a secret rotated; see docs/operator.md
connectors:
  shop_switch: { type: switch }
checks: {}
`

// Make reads the configuration back before anything is written, so that a value that does not fit
// is refused before there is a folder that cannot be served.
func (n NewFolder) Make(now time.Time) error {
	file := filepath.Join(n.Dir, "tocsin.yaml")
	if _, err := os.Stat(file); err == nil {
		return fmt.Errorf("%s is there already: nothing was changed", file)
	}
	mail := "# mail: { relay: smtp.example.com:587, from: \"Example Security <security@example.com>\", username: \"\", password_file: secrets/smtp }"
	if n.From != "" {
		mail = "mail: { relay: 127.0.0.1:25, from: " + quoted(n.From) + ", tls: none }"
	}
	if n.AppName == "" {
		n.AppName = n.Name
	}
	owner := ""
	if name := strings.TrimSpace(n.OwnerName); name != "" {
		owner = "first_owner: " + quoted(name) + "\n"
	}
	config := fmt.Appendf(nil, firstConfig, quoted(n.Organisation), quoted(n.Name), owner, quoted(n.App), quoted(n.AppName), mail)
	if err := CheckConfig(config); err != nil {
		return err
	}
	if !slices.Contains(ShippedPolicies(), n.Policy) {
		return fmt.Errorf("--policy: there is no policy %q; there are %s", n.Policy, strings.Join(ShippedPolicies(), ", "))
	}
	source, err := policies.FS.ReadFile(n.Policy + ".yaml")
	if err != nil {
		return err
	}
	// tocsin.yaml is written last: a crash before it leaves a folder that init finishes, and whatever
	// is there by then is left as it is.
	if _, err := CreateFolder(n.Dir, "production", now); err != nil {
		if in, rerr := ReadFolder(n.Dir); rerr != nil || in.Env != "production" {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(n.Dir, "policies"), 0o700); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(n.Dir, "policies", "policy.yaml"), source); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return writeNew(file, config)
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, body []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Sync(), f.Close())
}

// quoted is text as YAML reads it back unchanged: JSON strings are YAML.
func quoted(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(text) != nil {
		return `""` // text always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// unpromised are the versions that stood in the folder as an example before the organisation had a policy
// of its own: shipped word for word, and answered for by somebody else.
func unpromised(programs []*policy.Program, organisation string) map[string]bool {
	out := map[string]bool{}
	for _, p := range programs {
		for _, name := range ShippedPolicies() {
			source, err := policies.FS.ReadFile(name + ".yaml")
			if err == nil && bytes.Equal(source, p.Source) && p.Owner != organisation {
				out[p.Hash] = true
			}
		}
	}
	return out
}
