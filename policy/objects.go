package policy

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Conditions read lists of checks and of actions. Their elements are typed, so that a misspelt
// field is found when the policy is compiled and not when the gate is asked.
var (
	checkType  = cel.ObjectType("check")
	actionType = cel.ObjectType("action")
)

var objectFields = map[string]map[string]*types.FieldType{
	"check": {
		"id":     field(cel.StringType, func(c CheckView) any { return c.ID }),
		"passed": field(cel.BoolType, func(c CheckView) any { return c.Passed }),
	},
	"action": {
		"id":    field(cel.StringType, func(a ActionView) any { return a.ID }),
		"uses":  field(cel.StringType, func(a ActionView) any { return a.Uses }),
		"state": field(cel.StringType, func(a ActionView) any { return a.State }),
	},
}

func field[T any](typ *cel.Type, get func(T) any) *types.FieldType {
	return &types.FieldType{
		Type:  typ,
		IsSet: func(any) bool { return true },
		GetFrom: func(target any) (any, error) {
			t, ok := target.(T)
			if !ok {
				return nil, fmt.Errorf("policy: a condition read %T as %T", target, t)
			}
			return get(t), nil
		},
	}
}

// objectProvider teaches CEL the types of the elements.
type objectProvider struct{ *types.Registry }

func (p objectProvider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := objectFields[name]; ok {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

func (p objectProvider) FindStructFieldNames(name string) ([]string, bool) {
	if f, ok := objectFields[name]; ok {
		return sortedKeys(f), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p objectProvider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	if f, ok := objectFields[name]; ok {
		ft, ok := f[fieldName]
		return ft, ok
	}
	return p.Registry.FindStructFieldType(name, fieldName)
}

// object is one element as a CEL value.
type object struct {
	typ  *cel.Type
	view any
}

func (o object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("policy: a condition cannot turn a %s into %s", o.typ.TypeName(), t)
}

func (o object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.typ
	}
	return types.NewErr("a %s is not a %s", o.typ.TypeName(), t.TypeName())
}

func (o object) Equal(other ref.Val) ref.Val {
	b, ok := other.(object)
	return types.Bool(ok && o.view == b.view)
}

func (o object) Type() ref.Type { return o.typ }
func (o object) Value() any     { return o.view }
