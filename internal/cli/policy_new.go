package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/policy/starter"
)

func (a *app) policyNew() *cobra.Command {
	c := &cobra.Command{
		Use: "new", Short: "Write a first policy from the answers to a dozen questions", Args: exactly(),
		Long: "Asks at a terminal what no flag and no line of --answers has said, and writes a policy with\n" +
			"comments, for you to change. An empty answer takes what stands in brackets.",
	}
	given := map[string]*string{}
	for _, q := range starter.Questions {
		text := q.Ask
		if q.Default != "" {
			text += " [" + q.Default + "]"
		}
		given[q.Key] = c.Flags().String(q.Key, "", text)
	}
	answers := c.Flags().String("answers", "", "read answers from `FILE`, a YAML mapping of the names of these flags; - is standard input")
	out := c.Flags().String("out", "policy.yaml", "file to write, which must not exist; - is standard output")
	c.RunE = func(c *cobra.Command, _ []string) error {
		known, err := a.answersOf(*answers)
		if err != nil {
			return err
		}
		for key, text := range given {
			if c.Flags().Changed(key) {
				known[key] = *text
			}
		}
		if _, err := os.Lstat(*out); err == nil && *out != "-" {
			return &failure{text: *out + " exists already", hint: "name another file with --out"}
		}
		got, err := a.ask(known, *answers != "" || a.asJSON)
		if err != nil {
			return err
		}
		src, err := starter.Write(got, a.deps.Now())
		if err != nil {
			return &failure{text: err.Error()}
		}
		return a.writePolicy(*out, src)
	}
	return c
}

// answersOf reads a file of answers. Lists may be written as lists.
func (a *app) answersOf(file string) (map[string]string, error) {
	out := map[string]string{}
	if file == "" {
		return out, nil
	}
	var src []byte
	var err error
	if file == "-" {
		src, err = io.ReadAll(io.LimitReader(a.deps.In, 64<<10))
	} else {
		src, err = readLimited(file, 64<<10)
	}
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	var all map[string]any
	if err := yaml.Unmarshal(src, &all); err != nil {
		return nil, &failure{text: file + ": " + strings.TrimPrefix(err.Error(), "yaml: "), hint: "write a mapping, such as name: Acme"}
	}
	for key, v := range all {
		switch v := v.(type) {
		case []any:
			parts := make([]string, len(v))
			for i, p := range v {
				parts[i] = fmt.Sprint(p)
			}
			out[key] = strings.Join(parts, ", ")
		case map[string]any, nil:
			return nil, &failure{text: fmt.Sprintf("%s: %s is not an answer", file, key)}
		default:
			out[key] = fmt.Sprint(v)
		}
	}
	return out, nil
}

// ask fills in what is not known yet: by asking, or by the defaults where nobody is there to ask. A
// wrong answer at the terminal is asked for again; the end of the input ends the questions.
func (a *app) ask(known map[string]string, silent bool) (starter.Answers, error) {
	var got starter.Answers
	for key := range known {
		if !isQuestion(key) {
			return got, &usageError{text: fmt.Sprintf("there is no question %q", key), hint: "see tocsin policy new --help"}
		}
	}
	in := bufio.NewScanner(io.LimitReader(a.deps.In, 64<<10))
	for _, q := range starter.Questions {
		text, said := known[q.Key]
		if said || silent {
			if err := got.Set(q.Key, text); err != nil {
				return got, &failure{text: err.Error(), hint: "--" + q.Key + ": " + q.Ask}
			}
			continue
		}
		for asked := 0; ; asked++ {
			fmt.Fprint(a.deps.Err, q.Ask)
			if q.Default != "" {
				fmt.Fprintf(a.deps.Err, " [%s]", q.Default)
			}
			fmt.Fprint(a.deps.Err, " ")
			more := in.Scan()
			err := got.Set(q.Key, in.Text())
			if err == nil {
				break
			}
			if !more || asked == 9 {
				return got, &failure{text: err.Error(), hint: "answer with --" + q.Key + ", or in a file with --answers"}
			}
			fmt.Fprintln(a.deps.Err, oneLine(err.Error()))
		}
	}
	return got, nil
}

func isQuestion(key string) bool {
	for _, q := range starter.Questions {
		if q.Key == key {
			return true
		}
	}
	return false
}

// writePolicy writes a new file and says what is still open in it.
func (a *app) writePolicy(out string, src []byte) error {
	if out == "-" {
		_, err := a.deps.Out.Write(src)
		return err
	}
	if _, err := writeFile(out, func(w io.Writer) error { _, err := w.Write(src); return err }); err != nil {
		return err
	}
	_, diags := policy.Compile(out, src)
	var open []string
	for _, d := range diags {
		open = append(open, d.Message)
	}
	return a.show(map[string]any{"file": out, "open": open}, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s\n", out)
		for _, o := range open {
			fmt.Fprintf(w, "still open: %s\n", oneLine(o))
		}
		fmt.Fprintf(w, "next: read it, change it, then: tocsin policy check %s\n", out)
	})
}
