package format

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// combined reads a line of a web server in the common or the combined log format of Apache and
// nginx, with or without a virtual host in front, as an http_access event. What follows the user
// agent is kept as it is, scrubbed.
//
//	203.0.113.9 - jo [22/Nov/2026:03:02:11 +0000] "GET /orders/17?x=1 HTTP/1.1" 200 2326 "-" "curl/8"
func (d *Decoder) combined(raw []byte) error {
	if !utf8.Valid(raw) {
		return &Invalid{"event", "is not valid UTF-8"}
	}
	e, line := &d.event, str(raw)
	before, rest, ok := strings.Cut(line, " [")
	stamp, rest, closed := strings.Cut(rest, "] ")
	if !ok || !closed {
		return &Invalid{"event", "is not a line of the combined log format"}
	}
	at, err := instant("02/Jan/2006:15:04:05 -0700", stamp)
	if err != nil {
		return &Invalid{"time", "is not of the form 22/Nov/2026:03:02:11 +0000"}
	}
	a := d.attributes()
	names := strings.Fields(before)
	if len(names) > 0 && address(names[0]) == "" && len(names) > 3 && address(names[1]) != "" {
		a.text("host", names[0])
		names = names[1:]
	}
	if len(names) < 3 {
		return &Invalid{"event", "has no address and user before its time"}
	}
	request, rest, ok := quoted(rest)
	if !ok {
		return &Invalid{"event", "has no request in quotes"}
	}
	e.Kind, e.Time = HTTPAccess, at
	if e.IP = address(names[0]); e.IP == "" {
		a.text("host", names[0]) // a server that looks names up
	}
	if user := strings.Join(names[2:], " "); user != "-" {
		e.ActorType, e.ActorID = "user", cut(user, MaxName)
	}
	method, target, _ := strings.Cut(request, " ")
	target, _, _ = strings.Cut(target, " ")
	e.Action = methodAction(method)
	path, _, _ := strings.Cut(target, "?")
	e.Endpoint = cut(strings.TrimSpace(method+" "+template(path)), MaxText)
	a.text("request", request)
	fields := strings.SplitN(strings.TrimSpace(rest), " ", 3)
	status := fields[0]
	e.Outcome = statusOutcome(status)
	if e.Outcome == "" {
		return &Invalid{"status", "is not an HTTP status"}
	}
	a.text("status", status)
	if len(fields) > 1 && fields[1] != "-" {
		if e.Bytes, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
			return &Invalid{"bytes", "is not a count"}
		}
	}
	if len(fields) > 2 {
		referer, rest, ok := quoted(fields[2])
		if ok && referer != "-" {
			a.text("referer", referer)
		}
		agent, rest, ok := quoted(strings.TrimSpace(rest))
		if ok && agent != "-" {
			e.Agent = cut(agent, MaxText)
		}
		a.text("rest", strings.TrimSpace(rest))
	}
	e.Attributes = a.obj
	return nil
}

// quoted takes a text in double quotes off the front of s. Servers write a quote inside as \" or
// \x22.
func quoted(s string) (in, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", s, false
}

func methodAction(method string) string {
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return "read"
	case "DELETE":
		return "delete"
	case "POST", "PUT", "PATCH":
		return "update"
	}
	return ""
}

func statusOutcome(status string) string {
	code, err := strconv.Atoi(status)
	switch {
	case err != nil || code < 100 || code > 599:
		return ""
	case code == 401 || code == 403:
		return "denied"
	case code >= 400:
		return "error"
	}
	return "ok"
}

// template replaces the parts of a path that name one thing by {id}, so that a path says what was
// called and not for whom: numbers, UUIDs, long tokens, and whatever has an @ in it.
func template(path string) string {
	if strings.IndexFunc(path, func(r rune) bool { return r >= '0' && r <= '9' || r == '@' || r == '%' }) < 0 {
		return path
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if names(p) {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

func names(part string) bool {
	if strings.ContainsAny(part, "@%") {
		return true
	}
	digits, letters := 0, 0
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
		}
	}
	switch {
	case digits == 0, len(part) == 7 && part[4] == '-': // words, and versions such as 2026-10
		return false
	case letters == 0:
		return true
	}
	return len(part) >= 16 || digits >= 4
}

// looksCombined says whether a line is of this format.
func looksCombined(line []byte) bool {
	open := bytes.Index(line, []byte(" ["))
	return open > 0 && bytes.Contains(line[open:], []byte(`] "`)) && bytes.Count(line[open:], []byte{'/'}) >= 2
}
