package sigma

// automaton finds many literals in one pass over a text, whatever their number: the machine of
// Aho and Corasick with all its steps written out. Bytes that no literal has share one column, and
// so do the two cases of an ASCII letter: the literals are in lower case, the text need not be.
type automaton struct {
	class [256]uint16
	width int
	next  []int32   // state*width + class
	outs  [][]int32 // atoms that are true when a state is reached
	first []int32   // the state itself or its longest suffix that has outs; 0: none
	other []int32   // the next shorter one
}

// maxCells bounds the table of one automaton; literals beyond it go to a further one.
const maxCells = 4 << 20

// newAutomatons files literals with their atoms. Almost always one automaton holds them all.
func newAutomatons(literals map[string][]int32) []*automaton {
	if len(literals) == 0 {
		return nil
	}
	keys := sortedKeys(literals)
	var all []*automaton
	for from := 0; from < len(keys); {
		used := [256]bool{}
		classes, states, to := 1, 1, from
		for to < len(keys) {
			c := classes
			for _, b := range []byte(keys[to]) {
				if !used[b] {
					used[b] = true
					c++
				}
			}
			if s := states + len(keys[to]); s*c > maxCells && to > from {
				break
			} else {
				states, classes = s, c
			}
			to++
		}
		all = append(all, newAutomaton(keys[from:to], literals))
		from = to
	}
	return all
}

func newAutomaton(keys []string, literals map[string][]int32) *automaton {
	a := &automaton{width: 1}
	for _, k := range keys {
		for _, b := range []byte(k) {
			if a.class[b] == 0 {
				a.class[b] = uint16(a.width)
				a.width++
			}
		}
	}
	grow := func() int32 {
		for range a.width {
			a.next = append(a.next, -1)
		}
		a.outs = append(a.outs, nil)
		return int32(len(a.outs) - 1)
	}
	grow()
	for _, k := range keys {
		s := int32(0)
		for _, b := range []byte(k) {
			cell := int(s)*a.width + int(a.class[b])
			if a.next[cell] < 0 {
				n := grow()
				a.next[cell] = n
			}
			s = a.next[cell]
		}
		a.outs[s] = append(a.outs[s], literals[k]...)
	}
	// Breadth first: a state that is missing is that of the longest suffix which has the step.
	fail := make([]int32, len(a.outs))
	a.first, a.other = make([]int32, len(a.outs)), make([]int32, len(a.outs))
	for c := 'a'; c <= 'z'; c++ {
		a.class[c-'a'+'A'] = a.class[c]
	}
	queue := []int32{}
	for c := range a.width {
		if n := a.next[c]; n > 0 {
			queue = append(queue, n)
		} else {
			a.next[c] = 0
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		f := fail[s]
		a.other[s] = a.first[f]
		if a.first[s] = s; len(a.outs[s]) == 0 {
			a.first[s] = a.first[f]
		}
		for c := range a.width {
			cell := int(s)*a.width + c
			suffix := a.next[int(f)*a.width+c]
			if n := a.next[cell]; n >= 0 {
				fail[n] = suffix
				queue = append(queue, n)
			} else {
				a.next[cell] = suffix
			}
		}
	}
	return a
}

// within reports whether any literal is in a text.
func (a *automaton) within(text []byte) bool {
	s, width := int32(0), a.width
	for _, b := range text {
		if s = a.next[int(s)*width+int(a.class[b])]; a.first[s] > 0 {
			return true
		}
	}
	return false
}
