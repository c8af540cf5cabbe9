package judge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// letter is one message the mail server took.
type letter struct {
	File      string    `json:"file"`
	At        time.Time `json:"at"`
	Real      time.Time `json:"real"`
	Rcpt      []string  `json:"rcpt"`
	MessageID string    `json:"message_id"`
	Digest    string    `json:"digest"`
	Dropped   bool      `json:"dropped"`
	TLS       string    `json:"tls"` // the version it came over; "" for none

	raw     []byte
	subject string
	text    string // every text part, decoded; HTML with its tags taken out
	parts   int
	header  mail.Header
}

// readMailbox reads the index and every message it names.
func readMailbox(dir string) ([]letter, error) {
	index, err := os.ReadFile(filepath.Join(dir, "index.ndjson"))
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	var out []letter
	for line := range bytes.Lines(index) {
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("mailbox: index line %d: %w", len(out)+1, err)
		}
		if l.raw, err = os.ReadFile(filepath.Join(dir, filepath.Base(l.File))); err != nil {
			return nil, fmt.Errorf("mailbox: %w", err)
		}
		if err := l.open(); err != nil {
			return nil, fmt.Errorf("mailbox: %s: %w", l.File, err)
		}
		out = append(out, l)
	}
	return out, nil
}

func (l *letter) open() error {
	m, err := mail.ReadMessage(bytes.NewReader(l.raw))
	if err != nil {
		return err
	}
	l.header = m.Header
	words := mime.WordDecoder{}
	if l.subject, err = words.DecodeHeader(m.Header.Get("Subject")); err != nil {
		l.subject = m.Header.Get("Subject")
	}
	var b strings.Builder
	if err := l.collect(&b, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, 0); err != nil {
		return err
	}
	l.text = b.String()
	return nil
}

func (l *letter) collect(into *strings.Builder, kind, encoding string, body io.Reader, depth int) error {
	if depth > 5 {
		return errors.New("parts within parts within parts")
	}
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		media = "text/plain"
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := l.collect(into, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1); err != nil {
				return err
			}
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(io.LimitReader(body, 4<<20))
	if err != nil {
		return err
	}
	l.parts++
	if media == "text/html" {
		into.WriteString(stripTags(string(text)))
	} else {
		into.Write(text)
	}
	into.WriteString("\n")
	return nil
}

// stripTags is the text of our own simple HTML. What does not parse is read as it stands, so that
// nothing can hide in broken markup.
func stripTags(s string) string {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Strict = false
	d.AutoClose = xml.HTMLAutoClose
	d.Entity = xml.HTMLEntity
	var b strings.Builder
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			return s
		}
		switch t := t.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.EndElement:
			switch t.Name.Local {
			case "th":
				b.WriteString(": ")
			case "td", "p", "h1", "h2", "tr", "pre", "title":
				b.WriteString("\n")
			}
		}
	}
}

// flat is a text with every run of white space as one space, for comparing what was written with
// what arrived.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// checkpoint is the signed state of the log that the letter carries.
func (l letter) checkpoint() (string, bool) {
	head := strings.Join(strings.Fields(l.header.Get("Tocsin-Checkpoint")), "")
	raw, err := base64.StdEncoding.DecodeString(head)
	if err != nil || len(raw) == 0 {
		return "", false
	}
	return string(raw), true
}
