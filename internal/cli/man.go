package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages. It is hidden: packagers and make man call it.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write the manual pages of every command into a folder", Hidden: true, Args: exactly("DIR"), RunE: func(c *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return &failure{text: err.Error()}
		}
		root := c.Root()
		root.DisableAutoGenTag = true // the same commands give the same pages
		header := &doc.GenManHeader{Section: "1", Source: "Tocsin " + a.deps.Version, Manual: "Tocsin"}
		if err := doc.GenManTree(root, header, args[0]); err != nil {
			return &failure{text: err.Error()}
		}
		pages, err := os.ReadDir(args[0])
		if err != nil {
			return &failure{text: err.Error()}
		}
		n := 0
		for _, p := range pages {
			if !strings.HasSuffix(p.Name(), ".1") {
				continue
			}
			n++
			file := filepath.Join(args[0], p.Name())
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, []byte(pageOf(string(text), a.madeOn())), 0o644)
			}
			if err != nil {
				return &failure{text: err.Error()}
			}
		}
		return a.show(map[string]any{"dir": args[0], "pages": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s in %s; read one with man %s/tocsin.1\n", plural(int64(n), "page", "pages"), args[0], args[0])
		})
	}}
}

// madeOn is the day of what the program was built from, so that the same source gives the same pages:
// SOURCE_DATE_EPOCH as packagers set it, else that of the commit, else today.
func (a *app) madeOn() string {
	if n, err := strconv.ParseInt(a.deps.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(n, 0).UTC().Format(time.DateOnly)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" && len(s.Value) >= len(time.DateOnly) {
				return s.Value[:len(time.DateOnly)]
			}
		}
	}
	return a.deps.Now().UTC().Format(time.DateOnly)
}

// pageOf sets what the generator leaves askew: options are terms with their text beside them, which the
// generator writes with tabs that readers of pages warn of, and the date is one that they can read.
func pageOf(text, date string) string {
	lines := strings.Split(text, "\n")
	var out []string
	code := false // between .EX and .EE a tab is a tab
	for i, line := range lines {
		next := ""
		if i+1 < len(lines) {
			next = lines[i+1]
		}
		switch {
		case strings.HasPrefix(line, ".EX"), strings.HasPrefix(line, ".EE"):
			code = strings.HasPrefix(line, ".EX")
		case code:
		case strings.HasPrefix(line, ".TH "):
			words := strings.Split(line, "\"")
			if len(words) > 5 {
				words[5] = date
			}
			line = strings.Join(words, "\"")
		case line == ".PP" && i+2 < len(lines) && strings.HasPrefix(lines[i+2], "\t"):
			continue
		case strings.HasPrefix(next, "\t") && strings.HasPrefix(line, "\\fB"):
			out = append(out, ".TP")
		case strings.HasPrefix(line, "\t"):
			line = strings.TrimPrefix(line, "\t")
		}
		if line == "" && len(out) > 0 && out[len(out)-1] == "" {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
