package format

import (
	"bytes"
	"encoding/csv"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// pgLine is the beginning of a line on PostgreSQL's standard error under the usual values of
// log_line_prefix: a time, then what names the process, the user, the database and the client in
// any of the common spellings ("[123] jo@shop ", "[123]: user=jo,db=shop,app=psql,client=10.0.0.7 "),
// then the level.
var (
	pgLine   = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) ([A-Za-z]{2,5}|[+-]\d\d(?::?\d\d)?) ?(.*?)\b(LOG|STATEMENT|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DETAIL|HINT|CONTEXT|DEBUG\d?):\s+`)
	pgPair   = regexp.MustCompile(`\b(user|db|database|client|host|app|application)=([^,\s]*)`)
	pgUserDB = regexp.MustCompile(`(?:^|[\s\]:])([A-Za-z0-9_.-]+)@([A-Za-z0-9_.-]+)`)
	pgBegins = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	pgRead   = regexp.MustCompile(`(?i)^\s*(?:explain\s+.*?)?(select|with|table|show|copy|fetch|insert|update|delete|truncate|merge|drop|create|alter|grant|revoke|reindex|vacuum|set|begin|commit|rollback|call|do|execute)\b`)
	pgTables = regexp.MustCompile(`(?i)\b(?:from|join|into|update|table|copy)\s+(?:only\s+)?"?([a-z_][a-z0-9_.]*)"?`)
)

// The columns of PostgreSQL's csvlog, of which version 13 has 23, later ones more.
const (
	csvTime, csvUser, csvDatabase, csvClient     = 0, 1, 2, 4
	csvSession, csvLine, csvTag, csvLevel        = 5, 6, 7, 11
	csvState, csvMessage, csvQuery, csvProgramme = 12, 13, 19, 22
	csvLeast                                     = 23
)

// statement is what a line of a database's log says, in either form.
type statement struct {
	at                               string
	user, database, client, app      string
	session, number, tag             string
	level, state, message, statement string
}

// postgres reads an entry of PostgreSQL's log as a db_query event, or as auth when it is about a
// connection: csvlog, or standard error with a log_line_prefix that begins with a time (%m or %t).
// pgaudit's AUDIT lines give class, object and statement; else the statement that was logged does.
// The statement is kept in attributes, scrubbed; the endpoint names the database and the table.
func (d *Decoder) postgres(raw []byte) error {
	if !utf8.Valid(raw) {
		return &Invalid{"event", "is not valid UTF-8"}
	}
	s, err := readStatement(raw)
	if err != nil {
		return err
	}
	e := &d.event
	if e.Time, err = pgTime(s.at); err != nil {
		return err
	}
	switch s.level {
	case "DETAIL", "HINT", "CONTEXT":
		return &Skip{"belongs to the entry before it"}
	}
	e.Kind, e.Outcome = DBQuery, "ok"
	e.ActorType, e.ActorID = "service", cut(s.user, MaxName)
	e.IP, e.Session, e.Agent = address(pgHost(s.client)), cut(s.session, MaxName), cut(s.app, MaxText)
	if s.session != "" && s.number != "" {
		e.ID = cut("pg/"+s.session+"/"+s.number+"/"+s.at, MaxName) // unique within one cluster's life
	}
	a := d.attributes()
	switch {
	case strings.HasPrefix(s.message, "AUDIT: "):
		if err := d.pgaudit(a, s); err != nil {
			return err
		}
	case isConnection(s.message):
		e.Kind, e.Endpoint = Auth, join(s.database, ":", "connection")
		a.text("message", s.message)
	default:
		text := first(loggedStatement(s.message), s.statement)
		if text == "" && s.level == "STATEMENT" {
			text = s.message
		}
		if text == "" && s.level == "LOG" {
			return &Skip{"is not about a statement or a connection"}
		}
		e.Action = sqlAction(text)
		e.Endpoint = join(s.database, ":", table(text))
		a.text("statement", text)
		if s.level != "LOG" {
			a.text("message", s.message)
		}
	}
	switch s.level {
	case "ERROR", "FATAL", "PANIC":
		e.Outcome = "error"
		if strings.HasPrefix(s.state, "28") || s.state == "42501" || strings.Contains(s.message, "permission denied") || strings.Contains(s.message, "authentication failed") {
			e.Outcome = "denied"
		}
	}
	a.text("database", s.database)
	e.Attributes = a.obj
	return nil
}

// pgaudit reads "AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.orders,select …,<not logged>".
func (d *Decoder) pgaudit(a *attributes, s statement) error {
	fields, err := csvRecord([]byte(strings.TrimPrefix(s.message, "AUDIT: ")))
	if err != nil || len(fields) < 8 {
		return &Invalid{"message", "is not a pgaudit entry"}
	}
	e := &d.event
	class, command, object, text := fields[3], fields[4], fields[6], fields[7]
	switch class {
	case "READ":
		e.Action = "read"
		if command == "COPY" {
			e.Action = "export"
		}
	case "WRITE":
		e.Action = "update"
		if command == "DELETE" || command == "TRUNCATE" {
			e.Action = "delete"
		}
	case "DDL", "ROLE":
		e.Kind, e.Action = ConfigChange, "update"
	default:
		e.Action = sqlAction(text)
	}
	e.Endpoint = join(s.database, ":", first(object, table(text)))
	a.text("class", class)
	a.text("command", command)
	a.text("statement", text)
	if len(fields) > 8 && !strings.HasPrefix(fields[8], "<") {
		a.text("parameters", fields[8])
	}
	return nil
}

// readStatement takes an entry apart.
func readStatement(raw []byte) (statement, error) {
	if isCSVLog(raw) {
		f, err := csvRecord(raw)
		if err != nil || len(f) < csvLeast {
			return statement{}, &Invalid{"event", "is not a line of PostgreSQL's csvlog"}
		}
		return statement{
			at: f[csvTime], user: f[csvUser], database: f[csvDatabase], client: f[csvClient], app: f[csvProgramme],
			session: f[csvSession], number: f[csvLine], level: f[csvLevel], tag: f[csvTag], state: f[csvState],
			message: f[csvMessage], statement: f[csvQuery],
		}, nil
	}
	m := pgLine.FindSubmatchIndex(raw)
	if m == nil {
		return statement{}, &Invalid{"event", "is not a line of PostgreSQL's log: its log_line_prefix has to begin with %m or %t"}
	}
	line := str(raw)
	s := statement{at: line[m[2]:m[3]] + " " + line[m[4]:m[5]], level: line[m[8]:m[9]], message: line[m[1]:]}
	prefix := line[m[6]:m[7]]
	for _, p := range pgPair.FindAllStringSubmatch(prefix, -1) {
		switch p[1] {
		case "user":
			s.user = p[2]
		case "db", "database":
			s.database = p[2]
		case "client", "host":
			s.client = p[2]
		default:
			s.app = p[2]
		}
	}
	if p := pgUserDB.FindStringSubmatch(prefix); p != nil && s.user == "" {
		s.user, s.database = p[1], p[2]
	}
	return s, nil
}

func csvRecord(raw []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(raw))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	return r.Read()
}

// isCSVLog tells csvlog from standard error: its time is followed by a comma.
func isCSVLog(raw []byte) bool {
	comma := bytes.IndexByte(raw, ',')
	return comma > 18 && comma < 40 && pgBegins.Match(raw) && !bytes.ContainsAny(raw[19:comma], "[]=@") && bytes.Count(raw, []byte{','}) >= csvLeast-1
}

// pgTime reads a time of PostgreSQL's log. A zone that is a name other than UTC and GMT is
// refused: nobody knows which of its meanings was meant.
func pgTime(s string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05.999999 -07", "2006-01-02 15:04:05.999999 -07:00", "2006-01-02 15:04:05.999999 -0700"} {
		if t, err := instant(layout, s); err == nil {
			return t, nil
		}
	}
	at, zone, _ := strings.Cut(s[min(len(s), 11):], " ")
	if zone == "UTC" || zone == "GMT" {
		if t, err := instant("2006-01-02 15:04:05.999999", s[:min(len(s), 11)]+at); err == nil {
			return t, nil
		}
	}
	if zone == "UTC" || zone == "GMT" || strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		return time.Time{}, &Invalid{"time", "is no date and time that there is"}
	}
	return time.Time{}, &Invalid{"time", "has a zone that is neither UTC nor a number: set log_timezone to UTC"}
}

// pgHost takes the port off "10.0.0.7:51234" and "10.0.0.7(51234)".
func pgHost(s string) string {
	if i := strings.IndexByte(s, '('); i > 0 {
		return s[:i]
	}
	return s
}

func isConnection(m string) bool {
	return strings.HasPrefix(m, "connection ") || strings.HasPrefix(m, "disconnection") || strings.Contains(m, "authentication failed") || strings.HasPrefix(m, "no pg_hba.conf entry")
}

// loggedStatement is the statement in "statement: …", "execute NAME: …" and "duration: 1 ms  statement: …".
func loggedStatement(m string) string {
	if rest, ok := strings.CutPrefix(m, "duration: "); ok {
		_, m, _ = strings.Cut(rest, "  ")
	}
	for _, p := range []string{"statement: ", "execute ", "parse ", "bind "} {
		if rest, ok := strings.CutPrefix(m, p); ok {
			if p == "statement: " {
				return rest
			}
			_, text, _ := strings.Cut(rest, ": ")
			return text
		}
	}
	return ""
}

func sqlAction(text string) string {
	m := pgRead.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	switch strings.ToLower(m[1]) {
	case "select", "with", "table", "show", "fetch":
		return "read"
	case "copy":
		if regexp.MustCompile(`(?i)\bto\b`).MatchString(text) {
			return "export"
		}
		return "update"
	case "delete", "truncate", "drop":
		return "delete"
	}
	return "update"
}

// table is the first table that a statement names.
func table(text string) string {
	if m := pgTables.FindStringSubmatch(text); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}
