package review_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/review"
)

// written is an input whose versions are all written, by somebody who put into them what does not belong
// there.
func written() review.Input {
	in := input()
	in.State.Updated = at(11, 0)
	in.Program.Review = []string{"timeline", "root_cause", "impact", "response", "prevention"}
	text := func(s string) *incident.Signed {
		return &incident.Signed{Text: s, By: "person:lena", At: at(8, 0), Fact: "01A"}
	}
	leaky := "Lena Vogt and *le*na with Vogt told **Crumb & Co.** (crumb-and-co.myshopify.com), see INC-77 *The insider*.\n\n" +
		"Write to anna@example.com or lena&#64;example.com, +49 30 1234567; the token shpat_0123456789abcdef came from 203.0.113.9 and 2001:db8::17.\n\n" +
		"- [her page](https://example.com/people/lena%20vogt)\n- [the advice](https://example.com/advice)\n\n`tok_9f`\n\n    Len\u200ba Vogt\n"
	in.State.Review.Parts = map[string]*incident.Signed{
		"root_cause": text("Internal words about **lena**."), "timeline": text("t"), "impact": text("i"), "response": text("r"), "prevention": text("p"),
		"client/impact": text(leaky), "client/response": text("We revoked it."), "client/recommendations": text("1. Turn on *two factors*.\n2. Rotate your keys.\n   - and those of your apps"),
		"public/impact": text("Some shops. " + leaky), "public/response": text("We revoked it."),
	}
	in.State.Review.Entries = []incident.Picked{
		{ID: "TL-1", At: at(3, 2), Text: "412 customer accounts of 96 merchants were read.", Of: "01EVENT", Show: "client", By: "person:lena"},
		{ID: "TL-2", At: at(3, 30), Text: "Lena Vogt revoked the token.", Of: "01FACT", Show: "public", By: "person:lena"},
		{ID: "TL-3", At: at(4, 0), Text: "We waited for tomasz.", Show: "internal", By: "person:lena"},
	}
	in.State.Review.Corrective = []incident.Corrective{{ID: "CA-1", Text: "shorter tokens", Owner: "person:tomasz", Due: at(20, 0), State: "done", At: at(10, 0), Note: "merged", Reopened: 1}}
	in.Secret = review.Secret{People: []string{"lena", "Lena Vogt", "tomasz"}, Merchants: []string{"m_1", "Crumb & Co.", "crumb-and-co.myshopify.com"},
		Incidents: []string{"INC-77", "The insider"}, Tokens: []string{"tok_9f"}}
	in.Link = "https://tocsin.example.com"
	return in
}

func flat(s string) string { return regexp.MustCompile(`\s+`).ReplaceAllString(s, "") }

// promise: REV-1, REV-2
func TestWhatPeopleOutsideReadNamesNobodyAndNothingInside(t *testing.T) {
	for _, version := range []string{incident.VersionClient, incident.VersionPublic} {
		in := written()
		in.Version = version
		doc := review.Draft(in)
		pdf, err := doc.PDF()
		if err != nil {
			t.Fatal(err)
		}
		md := string(doc.Markdown())
		for form, text := range map[string]string{"Markdown": md, "what Markdown shows": rendered(t, doc.Markdown()), "HTML": string(doc.HTML()), "PDF": pdfText(t, pdf)} {
			low := strings.ToLower(flat(text))
			for _, bad := range []string{"lena", "vogt", "tomasz", "crumb", "m_1", "inc-77", "insider", "anna@", "shpat", "tok_9f", "203.0.113", "2001:db8", "1234567",
				"internalwords", "shortertokens", "stolentoken", "96merchantswereread.01", "01fact", "sha256"} {
				if strings.Contains(low, strings.ToLower(flat(bad))) {
					t.Errorf("%s, as %s, says %q:\n%s", version, form, bad, text)
				}
			}
		}
		what := map[string]int{}
		for _, w := range doc.Withheld {
			what[w.What] += w.N
		}
		for _, kind := range []string{"name of a person of the organisation", "name of a merchant", "another incident", "e-mail address", "credential", "network address", "telephone number", "link"} {
			if what[kind] == 0 {
				t.Errorf("%s: who publishes it is not told that a %s was taken out: %v", version, kind, what)
			}
		}
		if !strings.Contains(md, "https://example.com/advice") {
			t.Errorf("%s lost a link that says nothing: %s", version, md)
		}
		if got, want := strings.Contains(md, "412 customer accounts"), version == incident.VersionClient; got != want {
			t.Errorf("%s shows an entry for clients: %v", version, got)
		}
		if strings.Contains(md, "waited") || !strings.Contains(md, "revoked the token") {
			t.Errorf("%s shows other entries than it may", version)
		}
	}
	in := written()
	in.State.Private = &incident.Privacy{}
	in.Version = incident.VersionClient
	if md := string(review.Draft(in).Markdown()); strings.Contains(md, "INC") {
		t.Errorf("the version of a private incident says that there is one: %s", md)
	}
}

// promise: REV-1
func TestTheThreeFormsOfAVersionSayTheSame(t *testing.T) {
	for _, version := range incident.ReviewVersions {
		in := written()
		in.Version = version
		doc := review.Draft(in)
		file, err := doc.PDF()
		if err != nil {
			t.Fatal(err)
		}
		bare := func(s string) string {
			s = regexp.MustCompile(`page\d+of\d+`).ReplaceAllString(flat(s), "")
			return regexp.MustCompile(`[^\p{L}\p{N}]`).ReplaceAllString(s, "")
		}
		tags := regexp.MustCompile(`(?s)<style>.*?</style>|<title>.*?</title>|<[^>]*>`)
		page := bare(htmlText(tags.ReplaceAllString(string(doc.HTML()), " ")))
		fromMD := bare(htmlText(tags.ReplaceAllString(rendered(t, doc.Markdown()), " ")))
		if page != fromMD {
			t.Errorf("%s: the page and the Markdown differ:\n%s\n%s", version, page, fromMD)
		}
		paper := bare(pdfText(t, file))
		for _, want := range []string{"Back to normal service", "What we recommend you do", "Turn on two factors", "Rotate your keys", "and those of your apps", "We revoked it",
			"412 customer accounts of 96 merchants were read", "Internal words about lena", "CA-1", "merged", "opened again 1 times"} {
			inPage, inPaper := strings.Contains(page, bare(want)), strings.Contains(paper, bare(want))
			if inPage != inPaper {
				t.Errorf("%s: %q stands on the page: %v, on paper: %v", version, want, inPage, inPaper)
			}
		}
		// Every word of the page stands on the paper.
		for _, word := range strings.Fields(htmlText(tags.ReplaceAllString(string(doc.HTML()), " "))) {
			if w := bare(word); len(w) > 3 && !strings.Contains(paper, w) {
				t.Errorf("%s: the paper lacks %q", version, word)
			}
		}
	}
}

func htmlText(s string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&#39;", "'").Replace(s)
}

// promise: REV-1
func TestAPublishedTextIsTheOneThatWasLookedAtAndStays(t *testing.T) {
	in := written()
	looked := review.Draft(in)
	in.Now = in.Now.Add(37 * time.Hour)
	later := review.Draft(in)
	if string(looked.Markdown()) != string(later.Markdown()) {
		t.Error("the text is another an hour later, though nothing happened")
	}
	raw, err := looked.Keep()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := review.Kept(raw)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept.Markdown()) != string(looked.Markdown()) || string(kept.HTML()) != string(looked.HTML()) {
		t.Error("what was kept is rendered otherwise")
	}
	a, _ := kept.PDF()
	if b, _ := looked.PDF(); string(a) != string(b) {
		t.Error("the PDF of what was kept is another")
	}
	if _, err := review.Kept(raw[:len(raw)/2]); err == nil {
		t.Error("half a document is taken")
	}
	in.State.Review.Parts["impact"].Text = "other"
	if d := review.Diff("1", "2", looked.Markdown(), review.Draft(in).Markdown()); !strings.Contains(d, "-i\n") || !strings.Contains(d, "+other\n") {
		t.Errorf("the difference is\n%s", d)
	}
	if !strings.Contains(string(looked.HTML()), `<a href="https://tocsin.example.com/incidents/INC-42/timeline?from=2026-11-22T03%3A30%3A00Z#l-01FACT">`) {
		t.Error("an entry does not link to its fact")
	}
}

// What people write is Markdown, and nothing in it runs or leads anywhere dangerous.
func TestPartsAreMarkdownAndNothingElse(t *testing.T) {
	in := input()
	in.State.Review.Parts["timeline"] = &incident.Signed{By: "person:x", Text: "# Head\n\nA **bold** and _soft_ `co|de` word[^1].\nNext line\\\nbroken.\n\n> quoted\n\n" +
		"- one\n  - two\n    1. three\n- four\n\n```\nverbatim <b>\n```\n\n<script>alert(1)</script>\n\nInline <img src=x onerror=1>, [click](javascript:alert(1)), [data](data:text/html,x), [ok](https://example.com/a?b=c&d=e), [as](https://user:pw@example.com), ![pic](https://example.com/p.png) <https://example.com/auto>\n\n***\n\nend a\\*b &amp; c"}
	doc := review.Draft(in)
	page := string(doc.HTML())
	for _, want := range []string{"<h3 dir=\"auto\">Head</h3>", "<strong>bold</strong>", "<em>soft</em>", "<code>co|de</code>", "<br>broken.", "<blockquote dir=\"auto\"><p>quoted</p></blockquote>",
		"<ul><li dir=\"auto\">one<ul><li dir=\"auto\">two<ol><li dir=\"auto\" value=\"1\">three</li></ol></li></ul></li>\n<li dir=\"auto\">four</li></ul>", "<pre>verbatim &lt;b&gt;\n</pre>", "&lt;script&gt;alert(1)&lt;/script&gt;",
		`<a rel="noreferrer" href="https://example.com/a?b=c&amp;d=e">ok</a>`, `href="https://example.com/auto"`, "end a*b &amp; c"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	again := rendered(t, doc.Markdown())
	for form, text := range map[string]string{"page": page, "Markdown": again} {
		for _, bad := range []string{"<script>", "<img", `href="javascript`, `href="data`, "pw@"} {
			if strings.Contains(text, bad) {
				t.Errorf("the %s holds %s:\n%s", form, bad, text)
			}
		}
	}
	for _, want := range []string{"<h3>Head</h3>", "<strong>bold</strong>", "<em>soft</em>", "<code>co|de</code>", "<li>two", "<ol>", "end a*b"} {
		if !strings.Contains(again, want) {
			t.Errorf("the Markdown, read again, lacks %s:\n%s", want, again)
		}
	}
	if t.Failed() {
		i := strings.Index(page, `id="timeline"`)
		t.Log(page[i : i+2500])
	}
}

func FuzzProseNeverActs(f *testing.F) {
	f.Add("# a\n- b\n  - c\n<x>[y](javascript:1)`d`")
	f.Add("> - > 1. *a **b* c** <!-- -->\n\n\t x")
	f.Fuzz(func(t *testing.T, s string) {
		in := input()
		in.State.Review.Parts = map[string]*incident.Signed{"root_cause": {Text: s, By: "person:x"}}
		doc := review.Draft(in)
		page := string(doc.HTML())
		if strings.Count(page, "<li") != strings.Count(page, "</li>") || strings.Count(page, "<ul>") != strings.Count(page, "</ul>") || strings.Count(page, "<ol>") != strings.Count(page, "</ol>") {
			t.Errorf("lists are not closed: %s", page)
		}
		for _, m := range regexp.MustCompile(`(?i)href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if !regexp.MustCompile(`(?i)^(https?|mailto):`).MatchString(m[1]) {
				t.Errorf("a link leads to %q", m[1])
			}
		}
		doc.Markdown()
	})
}
