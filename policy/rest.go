package policy

// rest adds what every page says, whether its author wrote it or not: the clocks of the tables, and
// how often the policy itself is reviewed. Both are about the document as a whole; whatever else is
// promised has to stand in a sentence of the author's.
func (w *pageWriter) rest() {
	var tabled, reread []string
	for _, d := range w.p.Duties {
		switch {
		case w.shown["duty "+d.ID] || len(d.Promise) == 0:
		case len(w.tabled[d.ID]) > 0:
			tabled = append(tabled, d.ID)
		case d.Do == ReRead:
			reread = append(reread, d.ID)
		}
	}
	for _, part := range []struct {
		title string
		ids   []string
	}{{"Deadlines by level", tabled}, {"Review of this policy", reread}} {
		if len(part.ids) == 0 {
			continue
		}
		w.line(prose{text: text{s: "## " + part.title}})
		for _, id := range part.ids {
			w.line(prose{text: text{s: "- {duties." + id + "}."}})
		}
	}
}
