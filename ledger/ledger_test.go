package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// keys is a set of keys in memory that can be destroyed.
type keys map[string][]byte

func (k keys) Key(purpose, id string) ([]byte, error) {
	name := purpose + "/" + id
	if k[name] == nil {
		sum := sha256.Sum256([]byte(fmt.Sprint(name, len(k))))
		k[name] = sum[:]
	}
	return k[name], nil
}

func (k keys) Lookup(purpose, id string) ([]byte, error) {
	if key := k[purpose+"/"+id]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("no key: %w", fs.ErrNotExist)
}

var at = time.Date(2026, 11, 20, 3, 2, 0, 123000000, time.UTC)

func fact(n int, parts ...incident.Part) incident.Fact {
	return incident.Fact{
		Kind: "scope.recorded", Chain: "INC-1", Apps: []string{"pickandpack"}, Env: "production", Principal: "person:lena",
		Occurred: at, Recorded: at.Add(time.Duration(n) * time.Second), Versions: incident.Versions{Policy: "sha256:ab", Engine: "0.1"},
		Causes: []string{"01JAAAAAAAAAAAAAAAAAAAAAAA"}, Body: json.RawMessage(fmt.Sprintf(`{"n": %d, "a": "<é>"}`, n)), Parts: parts,
	}
}

func chain(t testing.TB, k ledger.Keys, n int) []ledger.Record {
	t.Helper()
	facts := make([]incident.Fact, n)
	for i := range facts {
		facts[i] = fact(i, incident.Part{Body: json.RawMessage(`{"text":"free"}`)}, incident.Part{Merchant: "m_2", Body: json.RawMessage(`{"customers":2}`)},
			incident.Part{Merchant: "m_1", Index: 1, Body: json.RawMessage(`{"z":1,"a":2}`)}, incident.Part{Merchant: "m_1", Body: json.RawMessage(`[]`)})
	}
	records, err := ledger.Encode(facts, ledger.Head{Chain: "INC-1"}, k)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestTheHeaderIsCanonicalAndPinned(t *testing.T) {
	r := chain(t, keys{}, 1)[0]
	want := `{"apps":["pickandpack"],"body":{"a":"<é>","n":0},"causes":["01JAAAAAAAAAAAAAAAAAAAAAAA"],"chain":"INC-1","env":"production","id":"` + r.ID +
		`","kind":"scope.recorded","occurred":"2026-11-20T03:02:00.123Z","prev":"sha256:` + strings.Repeat("0", 64) +
		`","principal":"person:lena","recorded":"2026-11-20T03:02:00.123Z","simulated":false,"versions":{"engine":"0.1","policy":"sha256:ab"}}`
	if string(r.Header) != want {
		t.Errorf("header:\n%s\nwant:\n%s", r.Header, want)
	}
	if canonical, err := jcs.Transform(r.Header); err != nil || string(canonical) != want {
		t.Errorf("the reference writes it as %s (%v)", canonical, err)
	}
}

func TestTheHashIsTheTreeOfTheDocument(t *testing.T) { // promise: INV-3
	r := chain(t, keys{}, 1)[0]
	leaf := rfc6962.DefaultHasher.HashLeaf
	node := rfc6962.DefaultHasher.HashChildren
	var leaves [][]byte
	leaves = append(leaves, leaf(r.Header))
	for _, p := range r.Parts {
		text := fmt.Sprintf(`{"commit":%q,"index":%d`, ledger.HashText(p.Commit), p.Index)
		if p.Merchant != "" {
			text += fmt.Sprintf(`,"merchant":%q`, p.Merchant)
		}
		leaves = append(leaves, leaf([]byte(text+"}")))
	}
	// Five leaves: ((0 1) (2 3)) 4.
	want := node(node(node(leaves[0], leaves[1]), node(leaves[2], leaves[3])), leaves[4])
	if !bytes.Equal(r.Hash, want) {
		t.Errorf("hash %x, want %x", r.Hash, want)
	}
	data := ledger.LeafData(r.ID, r.Hash)
	if string(data) != "tocsin-fact/v1\n"+r.ID+"\n"+ledger.HashText(r.Hash)+"\n" {
		t.Errorf("leaf %q", data)
	}
	id, hash, err := ledger.ParseLeaf(data)
	if err != nil || id != r.ID || !bytes.Equal(hash, r.Hash) {
		t.Errorf("parsed %s %x %v", id, hash, err)
	}
	for _, bad := range []string{"", "tocsin-fact/v1\n", "tocsin-fact/v1\n\nsha256:00\n", string(data[:len(data)-1]), string(data) + "x", strings.ToUpper(string(data))} {
		if _, _, err := ledger.ParseLeaf([]byte(bad)); err == nil {
			t.Errorf("leaf %q was read", bad)
		}
	}
}

func TestWhatIsOpenedIsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := keys{}
		facts := make([]incident.Fact, rapid.IntRange(1, 4).Draw(t, "facts"))
		for i := range facts {
			f := fact(rapid.IntRange(-3, 3).Draw(t, "recorded")) // also backwards
			f.Simulated = rapid.Bool().Draw(t, "simulated")
			if f.Simulated {
				f.Real = at.Add(time.Hour).In(time.FixedZone("x", 3600))
			}
			if rapid.Bool().Draw(t, "bare") {
				f.Body, f.Apps, f.Causes, f.Versions, f.Occurred = nil, nil, nil, incident.Versions{}, time.Time{}
			}
			for m := range rapid.IntRange(0, 9).Draw(t, "parts") {
				body, err := json.Marshal(rapid.String().Draw(t, "body"))
				if err != nil {
					t.Fatal(err)
				}
				f.Parts = append(f.Parts, incident.Part{Merchant: rapid.SampledFrom([]string{"", "m_1", "m_10", "m_2", "é"}).Draw(t, "merchant"), Index: m, Body: body})
			}
			facts[i] = f
		}
		records, err := ledger.Encode(facts, ledger.Head{Chain: "INC-1"}, k)
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.VerifyChain(records); err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			opened, err := ledger.Open(r, k)
			if err != nil {
				t.Fatal(err)
			}
			// Encode left the facts as a reader will see them, apart from nil and empty.
			want := facts[i]
			if len(want.Parts) == 0 {
				want.Parts = nil
			}
			if !reflect.DeepEqual(opened, want) {
				t.Fatalf("opened\n%#v\nwant\n%#v", opened, want)
			}
		}
	})
}

// A line about a fact needs what is no merchant's and what is said of one merchant: of the others the names
// alone are given, whatever has become of what is sealed.
func TestForALineOneMerchantIsOpened(t *testing.T) {
	k := keys{}
	r := chain(t, k, 1)[0]
	whole, err := ledger.Open(r, k)
	if err != nil {
		t.Fatal(err)
	}
	last := len(r.Parts) - 1 // of m_2
	r.Parts[last].Sealed = nil
	f, err := ledger.OpenForLine(r, k)
	if err != nil {
		t.Fatal(err)
	}
	want := whole
	want.Parts = slices.Clone(whole.Parts)
	want.Parts[last] = incident.Part{Merchant: "m_2", Withheld: true}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("opened\n%#v\nwant\n%#v", f, want)
	}
	delete(k, "fact/m_1")
	if f, err = ledger.OpenForLine(r, k); err != nil || !f.Parts[1].Withheld || f.Parts[0].Withheld {
		t.Errorf("after an erasure %#v, %v", f.Parts, err)
	}
	r.Parts[0].Sealed = r.Parts[0].Sealed[1:]
	if _, err := ledger.OpenForLine(r, k); err == nil {
		t.Error("an altered part was opened")
	}
}

func TestIdsAscendAlsoWhenTheClockDoesNot(t *testing.T) {
	facts := []incident.Fact{fact(5), fact(5), fact(1), fact(9), fact(-100)}
	records, err := ledger.Encode(facts, ledger.Head{Chain: "INC-1"}, keys{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(records, func(a, b ledger.Record) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("ids do not ascend")
	}
	last := records[len(records)-1]
	next, err := ledger.Encode([]incident.Fact{fact(0)}, ledger.Head{Chain: "INC-1", N: last.N, ID: last.ID, Hash: last.Hash}, keys{})
	if err != nil || next[0].ID <= last.ID || next[0].N != 6 {
		t.Errorf("the next fact has id %s and place %d: %v", next[0].ID, next[0].N, err)
	}
	if err := ledger.VerifyChain(append(records, next...)); err != nil {
		t.Error(err)
	}
}

func TestVerifyChainNamesTheFirstBadFact(t *testing.T) { // promise: INV-3
	good := func() []ledger.Record { return chain(t, keys{}, 6) }
	if err := ledger.VerifyChain(good()); err != nil {
		t.Fatal(err)
	}
	if err := ledger.VerifyChain(good()[2:]); err != nil {
		t.Errorf("the tail of a chain: %v", err)
	}
	for name, c := range map[string]struct {
		spoil func([]ledger.Record) []ledger.Record
		n     int
	}{
		"header altered": {func(r []ledger.Record) []ledger.Record {
			r[2].Header = bytes.Replace(r[2].Header, []byte("lena"), []byte("luca"), 1)
			return r
		}, 3},
		"header of another fact": {func(r []ledger.Record) []ledger.Record { r[2].Header = r[1].Header; return r }, 3},
		"header not JSON":        {func(r []ledger.Record) []ledger.Record { r[2].Header = []byte("{"); return r }, 3},
		"kind column":            {func(r []ledger.Record) []ledger.Record { r[2].Kind = "note.added"; return r }, 3},
		"commitment":             {func(r []ledger.Record) []ledger.Record { r[3].Parts[1].Commit[0] ^= 1; return r }, 4},
		"merchant of a part":     {func(r []ledger.Record) []ledger.Record { r[3].Parts[3].Merchant = "m_3"; return r }, 4},
		"a part dropped":         {func(r []ledger.Record) []ledger.Record { r[3].Parts = r[3].Parts[1:]; return r }, 4},
		"parts swapped": {func(r []ledger.Record) []ledger.Record {
			r[3].Parts[1], r[3].Parts[2] = r[3].Parts[2], r[3].Parts[1]
			return r
		}, 4},
		"hash":           {func(r []ledger.Record) []ledger.Record { r[0].Hash[5] ^= 1; return r }, 1},
		"a fact dropped": {func(r []ledger.Record) []ledger.Record { return slices.Delete(r, 2, 3) }, 4},
		"facts swapped":  {func(r []ledger.Record) []ledger.Record { r[2], r[3] = r[3], r[2]; return r }, 4},
		"rewritten with valid hashes": {func(r []ledger.Record) []ledger.Record {
			return append(good()[:3], r[3:]...)
		}, 4},
		"prev of the first": {func(r []ledger.Record) []ledger.Record { r[1].N = 1; return r[1:2] }, 1},
	} {
		err := ledger.VerifyChain(c.spoil(good()))
		var broken *ledger.ChainError
		if !errors.As(err, &broken) || broken.N != c.n {
			t.Errorf("%s: %v, want fact %d named", name, err, c.n)
		}
	}
}

func TestAnAlteredPartDoesNotOpen(t *testing.T) {
	k := keys{}
	for name, spoil := range map[string]func(*ledger.Record){
		"a byte of the sealed text":  func(r *ledger.Record) { r.Parts[1].Sealed[len(r.Parts[1].Sealed)-1] ^= 1 },
		"another part's text":        func(r *ledger.Record) { r.Parts[1].Sealed = r.Parts[2].Sealed },
		"another fact's text":        func(r *ledger.Record) { r.Parts[1].Sealed = chain(t, k, 1)[0].Parts[1].Sealed },
		"an unknown form":            func(r *ledger.Record) { r.Parts[1].Sealed[0] = 9 },
		"nothing":                    func(r *ledger.Record) { r.Parts[1].Sealed = nil },
		"a commitment to other text": func(r *ledger.Record) { r.Parts[1].Commit[0] ^= 1 },
	} {
		r := chain(t, k, 1)[0]
		spoil(&r)
		if _, err := ledger.Open(r, k); err == nil || strings.Contains(err.Error(), "customers") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADestroyedKeyWithholdsItsPartsOnly(t *testing.T) { // promise: PRO-9
	k := keys{}
	r := chain(t, k, 1)[0]
	for name, destroy := range map[string]func(){
		"gone":     func() { delete(k, "fact/m_1") },
		"replaced": func() { delete(k, "fact/m_1"); k["fact/m_1"] = bytes.Repeat([]byte{7}, 32) },
	} {
		destroy()
		f, err := ledger.Open(r, k)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range f.Parts {
			if gone := p.Merchant == "m_1"; p.Withheld != gone || (p.Body == nil) != gone {
				t.Errorf("%s: part %s/%d withheld %v, body %s", name, p.Merchant, p.Index, p.Withheld, p.Body)
			}
		}
		if err := ledger.VerifyChain([]ledger.Record{r}); err != nil {
			t.Errorf("%s: the chain no longer verifies: %v", name, err)
		}
		disclosed, err := ledger.Disclose(r, k)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range disclosed {
			if d.Withheld {
				continue
			}
			if sum := sha256.Sum256(append(slices.Clone(d.Salt), d.Body...)); !bytes.Equal(sum[:], d.Commit) {
				t.Errorf("%s: salt and body of %s are not what the commitment says", name, d.Merchant)
			}
		}
	}
}

func TestPlainTextIsNotStored(t *testing.T) { // promise: PRO-2
	secret := "Marie Dupont, 12 rue des Lilas"
	body, err := json.Marshal(map[string]string{"text": secret})
	if err != nil {
		t.Fatal(err)
	}
	records, err := ledger.Encode([]incident.Fact{fact(1, incident.Part{Merchant: "m_1", Body: body})}, ledger.Head{Chain: "INC-1"}, keys{})
	if err != nil {
		t.Fatal(err)
	}
	stored := slices.Concat(records[0].Header, records[0].Parts[0].Sealed, records[0].Parts[0].Commit)
	if bytes.Contains(stored, []byte("Dupont")) {
		t.Error("the text of a part is stored in the clear")
	}
}

func TestFactsThatCannotBeKept(t *testing.T) {
	text := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	var many []incident.Part
	for i := range ledger.MaxFact/ledger.MaxPart + 1 {
		many = append(many, incident.Part{Index: i, Body: text(ledger.MaxPart)})
	}
	for name, spoil := range map[string]func(*incident.Fact){
		"an id":                   func(f *incident.Fact) { f.ID = "01JAAAAAAAAAAAAAAAAAAAAAAA" },
		"another chain":           func(f *incident.Fact) { f.Chain = "INC-2" },
		"no kind":                 func(f *incident.Fact) { f.Kind = "" },
		"no principal":            func(f *incident.Fact) { f.Principal = "" },
		"no recorded time":        func(f *incident.Fact) { f.Recorded = time.Time{} },
		"a body that is not JSON": func(f *incident.Fact) { f.Body = json.RawMessage(`{`) },
		"a part that is not JSON": func(f *incident.Fact) { f.Parts = []incident.Part{{Body: json.RawMessage(`{`)}} },
		"a part without body":     func(f *incident.Fact) { f.Parts = []incident.Part{{}} },
		"a part that is too long": func(f *incident.Fact) { f.Parts = []incident.Part{{Body: text(ledger.MaxPart + 1)}} },
		"too much in all":         func(f *incident.Fact) { f.Parts = many },
		"two parts in one place":  func(f *incident.Fact) { f.Parts = []incident.Part{{Body: text(5)}, {Body: text(5)}} },
		"a negative index":        func(f *incident.Fact) { f.Parts = []incident.Part{{Index: -1, Body: text(5)}} },
		"a newline in a merchant": func(f *incident.Fact) { f.Parts = []incident.Part{{Merchant: "a\nb", Body: text(5)}} },
		"text that is not UTF-8":  func(f *incident.Fact) { f.Env = "\xff" },
		"a cause not UTF-8":       func(f *incident.Fact) { f.Causes = []string{"\xff"} },
	} {
		f := fact(1)
		spoil(&f)
		if _, err := ledger.Encode([]incident.Fact{f}, ledger.Head{Chain: "INC-1"}, keys{}); err == nil {
			t.Errorf("a fact with %s was encoded", name)
		}
	}
	largest := fact(1, incident.Part{Body: text(ledger.MaxPart)})
	if _, err := ledger.Encode([]incident.Fact{largest}, ledger.Head{Chain: "INC-1"}, keys{}); err != nil {
		t.Errorf("a part of exactly the limit: %v", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, merchants := range []int{0, 214} {
		b.Run(fmt.Sprint(merchants), func(b *testing.B) {
			k := keys{}
			var parts []incident.Part
			for i := range merchants {
				parts = append(parts, incident.Part{Merchant: fmt.Sprintf("m_%d", i), Body: json.RawMessage(`{"customers":85,"data_types":["customer.email","order.address"]}`)})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ledger.Encode([]incident.Fact{fact(1, slices.Clone(parts)...)}, ledger.Head{Chain: "INC-1"}, k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	k := keys{}
	r := chain(b, k, 1)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ledger.Open(r, k); err != nil {
			b.Fatal(err)
		}
	}
}
