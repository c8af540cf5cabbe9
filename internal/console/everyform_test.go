package console_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whatever stands in the sources as a form, as a button that says what to do, or as a command with a page of its
// own has a row in the table of forms, and so is sent in a browser. A page that a test does not come to cannot
// have a form that nobody looked at.
func TestEveryFormOfTheSourcesIsInTheTable(t *testing.T) {
	sentTo := map[string]string{ // what an action that is put together begins with
		`templ.SafeURL("/setup/" + v.Step.ID)`:              "POST /setup/policy (",
		`templ.SafeURL("/setup/" + v.Step.ID + "/skip")`:    "POST /setup/policy/skip (",
		`templ.SafeURL("/people/do/" + v.Act)`:              "POST /people/do/revoke-person (",
		`noticeURL(v.State.ID, "", "")`:                     "POST /incidents/INC/notices (",
		`incidentURL(v.State.ID) + "/notices#ledger"`:       "GET /incidents/INC/notices (",
		`templ.SafeURL(reviewAddress(v.State.ID))`:          "POST /incidents/INC/review (",
		`templ.SafeURL(reviewAddress(v.ID))`:                "POST /incidents/INC/review (",
		`incidentURL(v.State.ID)`:                           "GET /incidents/INC (",
		`actURL(v.State.ID, "answers")`:                     "POST /incidents/INC/do/answers (answer",
		`actURL(v.State.ID, "note")`:                        "POST /incidents/INC/do/note (text",
		`actURL(id, "pick")`:                                "POST /incidents/INC/do/pick (back",
		`actURL(v.ID, v.Form.Command)`:                      "POST /incidents/INC/do/note (seen",
		`incidentURL(v.State.ID) + "/scope"`:                "POST /incidents/INC/scope (",
		`incidentURL(v.State.ID) + "/scope/match#match"`:    "POST /incidents/INC/scope/match (",
		`templ.SafeURL(v.base())`:                           "GET /incidents/INC/timeline (",
		`templ.SafeURL(reviewAddress(v.State.ID) + "#log")`: "GET /incidents/INC/review (",
	}
	row := func(where, part string) {
		t.Helper()
		for key := range everyForm {
			if strings.HasPrefix(key, part) || strings.HasPrefix(part, " do=") && strings.Contains(key+" ", part+" ") || strings.HasPrefix(part, "(do=") && strings.Contains(key, part) {
				return
			}
		}
		t.Errorf("%s has %q, and no row of the table of forms has it", where, part)
	}
	var (
		form    = regexp.MustCompile(`<form ([^\n]*)`)
		literal = regexp.MustCompile(`action="([^"#]*)`)
		made    = regexp.MustCompile(`action=\{ (.*?) \}`)
		button  = regexp.MustCompile(`<button[^\n]* name="do" value="([a-z]+)"`)
		hidden  = regexp.MustCompile(`<input type="hidden" name="do" value="([a-z]+)"`)
		command = regexp.MustCompile(`form\{Command: "([a-z-]+)"`)
		found   int
	)
	for _, pattern := range []string{"*.templ", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_templ.go") {
				continue
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src := string(raw)
			for _, m := range command.FindAllStringSubmatch(src, -1) {
				found++
				row(file, "POST /incidents/INC/do/"+m[1]+" (")
			}
			for _, m := range button.FindAllStringSubmatch(src, -1) {
				row(file, " do="+m[1])
			}
			for _, m := range hidden.FindAllStringSubmatch(src, -1) {
				row(file, "(do="+m[1])
			}
			for _, m := range form.FindAllStringSubmatch(src, -1) {
				found++
				method := "GET "
				if strings.Contains(m[1], `method="post"`) {
					method = "POST "
				}
				if to := literal.FindStringSubmatch(m[1]); to != nil {
					row(file, method+to[1]+" (")
					continue
				}
				to := made.FindStringSubmatch(m[1])
				if to == nil { // it is sent to where it stands
					row(file, method+"/"+strings.TrimSuffix(file, ".templ")+"/")
					continue
				}
				begins := sentTo[to[1]]
				if begins == "" {
					t.Errorf("%s has a form that is sent to %s: which row of the table of forms is that?", file, to[1])
					continue
				}
				row(file, strings.Replace(begins, "GET ", method, 1))
			}
		}
	}
	if found < 90 {
		t.Errorf("only %d forms and commands were found in the sources", found)
	}
}
