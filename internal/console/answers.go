package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// answerName begins the names of the fields that answer a question of the policy.
const answerName = "answer."

// openQuestions are the fields of what the policy asks and nobody has answered, in the policy's order.
// None is chosen: what is not decided stays unknown.
func openQuestions(v view) []input {
	var out []input
	for _, f := range v.Policy.Facts {
		if v.State.Answers[f.ID] == nil {
			out = append(out, questionField(f))
		}
	}
	return out
}

func questionField(f policy.FactDecl) input {
	n := input{Name: answerName + f.ID, Label: f.Ask, Kind: "text", Optional: true}
	switch f.Type {
	case "bool", "":
		n.Kind, n.Options = "radios", []option{{"true", "Yes"}, {"false", "No"}}
	case "choice":
		n.Kind = "select"
		for _, value := range f.Values {
			n.Options = append(n.Options, option{value, word(value)})
		}
	case "int":
		n.Help = "A number."
	}
	return n
}

// answersForm is the answers to several questions, with one reason. The room has it too.
func answersForm() form {
	return form{Command: "answers", Title: "Answer the questions", Explain: "What is not decided yet stays unknown, and unknown never drops a duty. An answer can be changed later; both stay in the timeline.", Adds: true,
		Fields: func(v view, _ url.Values) []input {
			open := openQuestions(v)
			if len(open) == 0 {
				return nil
			}
			return append(open, reasonField())
		},
		Button: says("Record the answers on {id}")}
}

// answerAll records what was chosen, a command for each question. When one is refused, those before it
// stand, and the page asks for what is left.
func (c *Console) answerAll(r *http.Request, id string) error {
	look, err := c.look(r, id)
	if err != nil {
		return err
	}
	in := reader{in: r.PostForm}
	var given []incident.Answer
	var news []incident.Line
	for _, f := range look.Policy.Facts {
		name := answerName + f.ID
		if in.text(name) == "" {
			continue
		}
		a := incident.Answer{Fact: f.ID, Value: in.value(name), Reason: in.text("reason")}
		if was := look.State.Answers[f.ID]; was != nil && fmt.Sprint(was.Value) != fmt.Sprint(a.Value) {
			// Somebody else decided while this form stood open: theirs is not overwritten unseen.
			news = append(news, incident.Line{Principal: was.By, Recorded: was.At, Text: f.Ask + " " + yesNo(was.Value) + ": " + was.Why})
			continue
		}
		given = append(given, a)
	}
	if len(news) > 0 {
		return meanwhileAnswered{news}
	}
	if len(given) == 0 {
		return fmt.Errorf("choose an answer to at least one question: %w", desk.ErrInvalid)
	}
	key := requestID(r)
	for _, a := range given {
		one := key
		if one != "" {
			one += "/" + a.Fact
		}
		if _, err := c.desk.Submit(r.Context(), desk.Request{ID: one, Incident: id, Command: a, Caller: callerOf(r.Context())}); err != nil {
			return err
		}
	}
	return nil
}

// meanwhileAnswered is the refusal of answers to what somebody else has answered otherwise.
type meanwhileAnswered struct{ news []incident.Line }

func (meanwhileAnswered) Error() string { return "a question was answered meanwhile" }

// changeAnswer leads to the form of one question, on which an answer is changed.
func changeAnswer(id, fact string) string {
	return string(actURL(id, "answer")) + "?fact=" + url.QueryEscape(fact)
}

// unanswered counts the questions that are open.
func unanswered(list []question) int {
	n := 0
	for _, q := range list {
		if !q.Answered {
			n++
		}
	}
	return n
}

// openNow reports whether an incident takes answers from the reader.
func (v roomView) openNow() bool {
	return v.Frame.Acts && v.State.Status == incident.StatusOpen
}

// asksFirst reports whether the questions belong above the clocks: they decide which clocks there are.
func (v roomView) asksFirst() bool {
	return v.openNow() && slices.ContainsFunc(v.Questions, func(q question) bool { return !q.Answered })
}

// shortAsk is a question as a heading of the next steps names it.
func shortAsk(n int) string {
	return "Answer " + strings.ToLower(count(int64(n), "question", "questions")) + " of the policy"
}
