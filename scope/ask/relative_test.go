package ask_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/scope/ask"
)

const childEnv = "ASK_TEST_CHILD"

// The test's own binary is the child, which says in its answer what of the question it can find.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	for in := bufio.NewReader(os.Stdin); ; {
		line, err := ask.ReadLine(in, ask.MaxQuestion)
		if err != nil {
			return
		}
		var q ask.Question
		said := "found it all"
		if err := json.Unmarshal(line, &q); err != nil {
			said = err.Error()
		}
		for _, name := range []string{"--dir", "--spill"} {
			q.Files = append(q.Files, os.Args[slices.Index(os.Args, name)+1])
		}
		for _, f := range q.Files {
			if _, err := os.Stat(f); err != nil {
				said = err.Error()
			}
		}
		text, err := json.Marshal(ask.Answer{Error: said})
		if err != nil {
			return
		}
		fmt.Println(string(text))
	}
}

// The default data folder is a relative path, and the child is in another folder than we are.
func TestTheChildFindsTheFilesOfARelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("data/table", 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("data", "table", "a.parquet")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := ask.New(ask.Options{Program: self, Dir: "data/table", Env: []string{childEnv + "=1"}})
	defer e.Close()
	q := ask.Question{Files: []string{file}}
	_, err = e.Ask(t.Context(), q)
	if !errors.Is(err, ask.ErrUnavailable) || !strings.HasSuffix(err.Error(), ": found it all") {
		t.Errorf("%v", err)
	}
	if q.Files[0] != file {
		t.Errorf("the question was altered: %s", q.Files[0])
	}
}
