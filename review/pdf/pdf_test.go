package pdf_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/review/pdf"
	"golang.org/x/text/unicode/norm"
)

var created = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// text runs pdftotext; without it the test is skipped, except in CI.
func text(t *testing.T, file []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pdftotext is not installed: install poppler-utils")
		}
		t.Skip("pdftotext is not installed")
	}
	name := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if keep := os.Getenv("TOCSIN_KEEP_PDF"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, t.Name()+".pdf"), file, 0o600)
	}
	out, err := exec.Command(tool, "-enc", "UTF-8", name, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("pdftotext: %v %s", err, out)
	}
	if strings.Contains(string(out), "Error") {
		t.Errorf("pdftotext complains: %s", out)
	}
	return string(out)
}

func document(t *testing.T) *pdf.Document {
	d, err := pdf.New("Review of INC-42 – Müller", "INC-42", created)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func finish(t *testing.T, d *pdf.Document) []byte {
	b, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// promise: REV-1
func TestTextInManyScriptsCanBeExtracted(t *testing.T) {
	samples := []string{"Müller & Söhne, Łódź", "Αθήνα κατάστημα", "Магазин «Ёлка»", "שלום עולם", "متجر السلام", "efficient fixing flow", "e\u0301 a\u0308", "商店", "Հայաստան", "საქართველო"}
	d := document(t)
	d.Heading(1, "Scripts")
	for _, s := range samples {
		d.Paragraph(s, pdf.Regular)
		d.Bullet(s)
		d.Paragraph(s, pdf.Mono)
	}
	d.Table([][]string{{"Name", "Number"}, {"متجر السلام", "41"}, {"שלום עולם", "7"}}, []float64{2, 1})
	got := text(t, finish(t, d))
	for _, s := range samples {
		if n := strings.Count(plain(got), plain(s)); n < 3 {
			t.Errorf("%q is found %d times, want 3", s, n)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// plain drops the marks pdftotext puts around text that runs to the left, and writes ligatures out.
func plain(s string) string {
	return norm.NFKC.String(strings.NewReplacer("\u202a", "", "\u202b", "", "\u202c", "", "\u200e", "", "\u200f", "").Replace(s))
}

func TestLongTextFlowsOverPages(t *testing.T) {
	d := document(t)
	var rows [][]string
	rows = append(rows, []string{"time", "what"})
	for range 200 {
		rows = append(rows, []string{"22 Nov 2026 03:02", strings.Repeat("a long line of the timeline ", 6)})
	}
	d.Table(rows, []float64{1, 4})
	d.Paragraph(strings.Repeat("word ", 3000)+"theend", pdf.Regular)
	d.Paragraph(strings.Repeat("x", 500), pdf.Mono)
	got := text(t, finish(t, d))
	if strings.Count(got, "timeline") != 1200 || !strings.Contains(got, "theend") || !strings.Contains(got, "page 1 of ") || strings.Count(got, "\f") < 10 {
		t.Errorf("%d timeline words on %d pages", strings.Count(got, "timeline"), strings.Count(got, "\f"))
	}
}

func TestTheSameInputGivesTheSameBytesAndASmallFile(t *testing.T) {
	make := func() []byte {
		d := document(t)
		d.Heading(1, "Review")
		d.Paragraph("Somebody used a stolen token. متجر", pdf.Regular)
		return finish(t, d)
	}
	a, b := make(), make()
	if !bytes.Equal(a, b) {
		t.Error("two runs differ")
	}
	if len(a) > 60_000 {
		t.Errorf("a page of text is %d bytes", len(a))
	}
}

func TestHostileTextIsOnlyText(t *testing.T) {
	d := document(t)
	d.Paragraph("a) Tj ET\x00\x1b\u202e (evil) \\( <FEFF> \xff end of it", pdf.Regular)
	if got := text(t, finish(t, d)); !strings.Contains(got, "a) Tj ET (evil) \\( <FEFF>  end of it") && !strings.Contains(got, "a) Tj ET (evil) \\( <FEFF> end of it") {
		t.Errorf("text is %q", got)
	}
}
