package format

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// What is kept of the record of a foreign log beside the fields of the event, as its attribute
// "record", so that rules that are written in the names of that log find them. The door scrubs it
// as it scrubs all attributes.
const (
	recordBytes = 16 << 10 // an event may have twice that, and has texts beside its record
	recordText  = 4 << 10
	recordDepth = 12
)

// original copies parts of a foreign record as far as there is room.
type original struct {
	arena *fastjson.Arena
	obj   *fastjson.Value
	left  int
	cut   bool // something found no room
}

func (d *Decoder) original() *original {
	return &original{arena: &d.arena, obj: d.arena.NewObject(), left: recordBytes}
}

// keep copies the members of v with the given names, in that order.
func (r *original) keep(v *fastjson.Value, names ...string) {
	for _, name := range names {
		r.put(r.obj, name, v.Get(name), 1)
	}
}

// all copies the members of v but for some.
func (r *original) all(v *fastjson.Value, without ...string) {
	o, err := v.Object()
	if err != nil {
		return
	}
	o.Visit(func(key []byte, x *fastjson.Value) {
		if !slices.Contains(without, string(key)) {
			r.put(r.obj, string(key), x, 1)
		}
	})
}

// under copies v without some of its members under a name.
func (r *original) under(name string, v *fastjson.Value, without ...string) {
	if v == nil {
		return
	}
	if v.Type() != fastjson.TypeObject {
		r.put(r.obj, name, v, 1)
		return
	}
	to := r.arena.NewObject()
	o, _ := v.Object()
	o.Visit(func(key []byte, x *fastjson.Value) {
		if !slices.Contains(without, string(key)) {
			r.put(to, string(key), x, 2)
		}
	})
	r.obj.Set(name, to)
}

func (r *original) put(to *fastjson.Value, name string, v *fastjson.Value, depth int) {
	if v == nil {
		return
	}
	r.left -= len(name) + 4
	if x := r.copy(name, v, depth); x != nil {
		to.Set(strings.ToValidUTF8(name, "\uFFFD"), x)
	}
}

// copy is nil when there is no room left.
func (r *original) copy(name string, v *fastjson.Value, depth int) *fastjson.Value {
	if r.left < 0 || depth > recordDepth {
		r.cut = true
		return nil
	}
	switch v.Type() {
	case fastjson.TypeObject:
		out := r.arena.NewObject()
		o, _ := v.Object()
		o.Visit(func(key []byte, x *fastjson.Value) { r.put(out, string(key), x, depth+1) })
		return out
	case fastjson.TypeArray:
		out, n := r.arena.NewArray(), 0
		list, _ := v.Array()
		for _, x := range list {
			if x := r.copy(name, x, depth+1); x != nil {
				out.SetArrayItem(n, x)
				n++
			}
		}
		return out
	case fastjson.TypeNumber:
		text := v.String()
		r.left -= len(text) + 2
		if f, err := strconv.ParseFloat(text, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return r.arena.NewString(text) // no number that could be kept exactly
		}
		return r.arena.NewNumberString(text)
	case fastjson.TypeString:
		b, _ := v.StringBytes()
		s := strings.ToValidUTF8(string(b), "\uFFFD")
		if secret(name, s) {
			s = "[secret]"
		}
		if len(s) > recordText {
			s, r.cut = strings.ToValidUTF8(s[:recordText], ""), true
		}
		if r.left -= len(strconv.Quote(s)); r.left < 0 {
			r.cut = true
			return nil
		}
		return r.arena.NewString(s)
	case fastjson.TypeTrue:
		return r.arena.NewTrue()
	case fastjson.TypeFalse:
		return r.arena.NewFalse()
	}
	return r.arena.NewNull()
}

// secrets are the ends of the names of what no log should hold. Clouds hide such values themselves;
// where one does not, the value stays outside.
var secrets = []string{"password", "sessiontoken", "secretaccesskey", "secretstring", "secretbinary", "privatekey", "userdata", "accesstoken", "authtoken", "clientsecret"}

// secret says whether a value is one. Stars are what a cloud writes in its place, and rules ask for
// them.
func secret(name, value string) bool {
	if strings.Trim(value, "*") == "" {
		return false
	}
	name = strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
	for _, s := range secrets {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}

// done gives the record to the attributes.
func (r *original) done(a *attributes) {
	if o, _ := r.obj.Object(); o.Len() == 0 {
		return
	}
	a.value("record", r.obj)
	if r.cut {
		a.value("record_cut", a.arena.NewTrue())
	}
}
