package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/rules"
)

const maxRuleFile = 8 << 20

// detection is how the access log is watched: the rules that come with the program, those of the
// configuration, and what credentials may cost.
func (c *Config) detection() (detect.Options, error) {
	o := detect.Options{Level: c.Detection.Level, Budgets: map[string]metric.Budget{}}
	shipped, err := rules.Files()
	if err != nil {
		return o, err
	}
	for _, name := range slices.Sorted(maps.Keys(shipped)) {
		o.Rules = append(o.Rules, sigma.File{Name: "rules/" + name, Data: shipped[name]})
	}
	for i, root := range c.Detection.Rules {
		more, err := ruleFiles(c.path(root))
		if err != nil {
			return o, &mistake{Field: fmt.Sprintf("detection.rules[%d]", i), Say: err.Error()}
		}
		o.Rules = append(o.Rules, more...)
	}
	for _, b := range c.Detection.Budgets {
		o.Budgets[b.Credential] = metric.Budget{Amount: b.Amount, Unit: b.Unit, Period: b.Period}
	}
	return o, nil
}

// ruleFiles reads a rule file, or the .yml and .yaml files of a folder.
func ruleFiles(root string) (out []sigma.File, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			var p *fs.PathError
			if errors.As(err, &p) {
				err = p.Err
			}
			return fmt.Errorf("%s cannot be read: %w", path, err)
		}
		ext := strings.ToLower(filepath.Ext(path))
		if d.IsDir() || path != root && ext != ".yml" && ext != ".yaml" {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s cannot be read", path)
		}
		defer f.Close()
		body, err := io.ReadAll(io.LimitReader(f, maxRuleFile+1))
		if err != nil || len(body) > maxRuleFile {
			return fmt.Errorf("%s cannot be read, or is larger than 8 MiB", path)
		}
		out = append(out, sigma.File{Name: path, Data: body})
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s holds no rule file: they end in .yml", root)
	}
	return out, err
}
