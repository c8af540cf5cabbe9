package incident

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxCommand bounds the JSON of a command. A scope of a hundred thousand merchants fits.
const maxCommand = 64 << 20

// decoders makes a command of each name from JSON.
var decoders = commandTable(
	decode[Open], decode[AddSignal], decode[Acknowledge], decode[Confirm], decode[Dismiss], decode[Reopen],
	decode[Mark], decode[Correct], decode[Answer], decode[SetSeverity], decode[Assign], decode[Note],
	decode[RecordSwitch], decode[RecordScope], decode[AdjustScope],
	decode[PlanAction], decode[ApproveAction], decode[CancelAction], decode[UndoActionCmd],
	decode[ReportAttempt], decode[ReportResult],
	decode[DraftNotice], decode[ApproveNotice], decode[SendNotice], decode[ResendNotice],
	decode[RunChecks], decode[RecordFix], decode[VerifyFix], decode[RestoreService], decode[Sign],
	decode[Assess], decode[EditReview], decode[AddCorrective], decode[MoveCorrective], decode[PickEntry], decode[DropEntry], decode[PublishReview],
	decode[SetScale], decode[RecordDirectory], decode[Complete], decode[Told], decode[Attest], decode[Override], decode[MovePolicy],
	decode[BeginProgramme], decode[RecordEvent],
	decode[Waive], decode[Close], decode[Tick], decode[RecordExport], decode[Snapshot],
	decode[EndSignal], decode[UnlinkSignal], decode[HandOver], decode[AcceptRole], decode[PlaceHold], decode[ReleaseHold], decode[Attach],
	decode[Restrict], decode[Grant], decode[RevokeAccess], decode[BreakGlass],
)

func commandTable(list ...func([]byte) (Command, error)) map[string]func([]byte) (Command, error) {
	table := make(map[string]func([]byte) (Command, error), len(list))
	for _, d := range list {
		c, err := d(nil)
		if err == nil {
			table[c.Name()] = d
		}
	}
	return table
}

// CommandNames lists every command, sorted.
func CommandNames() []string { return sortedKeys(decoders) }

// CommandByName makes the command of a name from JSON. It is strict: a field the command does not
// have, a value of the wrong type and anything after the object are errors that name the field. An
// empty body is an empty object.
func CommandByName(name string, body []byte) (Command, error) {
	d, ok := decoders[name]
	if !ok {
		return nil, fmt.Errorf("incident: no such command: %s: the commands are %s", quoted(name), strings.Join(CommandNames(), ", "))
	}
	if len(body) > maxCommand {
		return nil, fmt.Errorf("incident: command %s: the body is larger than %d bytes", name, maxCommand)
	}
	c, err := d(body)
	if err != nil {
		return nil, fmt.Errorf("incident: command %s: %w", name, err)
	}
	return c, nil
}

func decode[T Command](body []byte) (Command, error) {
	var c T
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return c, nil
	}
	if body[0] != '{' {
		return nil, errors.New("the body must be a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, plainError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body must be one JSON object and nothing after it")
	}
	return c, nil
}

// plainError words a JSON error without repeating any value of the body.
func plainError(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "body"
		}
		return invalid(field, "must be %s, not %s", kind.Type, firstWord(kind.Value))
	case errors.As(err, &syntax):
		return fmt.Errorf("the body is not JSON: byte %d", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the body is not JSON: it ends too early")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "is no field of this command")
	}
	if strings.Contains(err.Error(), "parsing time") {
		return invalid("time", "must be a time such as 2026-11-22T03:02:11Z")
	}
	return errors.New("the body cannot be read")
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

func quoted(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	s, _, _ = strings.Cut(s, "\n")
	return fmt.Sprintf("%q", s)
}
