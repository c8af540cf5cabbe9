package org

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/incident"
)

// What a field of a command may hold.

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkID(field, id string) error {
	if id == "" {
		return invalid(field, "is empty")
	}
	if len(id) > 64 {
		return invalid(field, "is longer than 64 characters")
	}
	for i, r := range id {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || i > 0 && strings.ContainsRune("_-.", r) {
			continue
		}
		return invalid(field, "may hold letters, digits, and after the first character also _ - .")
	}
	return nil
}

// checkMerchant takes whatever id the directory may hold: a merchant that nobody can switch off
// would be one that only the switch for everybody protects.
func checkMerchant(field, id string) error {
	switch {
	case id == "" || len(id) > 128:
		return invalid(field, "must have 1 to 128 bytes")
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return invalid(field, "holds a space or a control character")
	}
	return nil
}

func checkText(field, s string, limit int) error {
	if strings.TrimSpace(s) == "" {
		return invalid(field, "is empty")
	}
	return checkOptional(field, s, limit)
}

func checkOptional(field, s string, limit int) error {
	if why := unfit(s, limit); why != "" {
		return invalid(field, why)
	}
	return nil
}

// unfit says what is wrong with a text, "" when nothing is.
func unfit(s string, limit int) string {
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	if utf8.RuneCountInString(s) > limit {
		return fmt.Sprintf("is longer than %d characters", limit)
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return "holds a control character"
		}
	}
	return ""
}

// maxName is how many characters the name of a person or of the organisation has at most.
const maxName = 200

// UnfitName says why nobody can be called that, "" when somebody can: the first owner's name is written
// down before there is an organisation that could refuse it.
func UnfitName(name string) string { return unfit(name, maxName) }

func checkHash(field, h string) error {
	hex, ok := strings.CutPrefix(h, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return invalid(field, "is not sha256: and 64 hexadecimal digits")
	}
	return nil
}

func checkAccess(a incident.Access) error {
	if rank(a) == 0 {
		return invalid("access", "must be viewer, responder or owner")
	}
	return nil
}

func checkRoles(roles []string) error {
	if len(roles) > 32 {
		return invalid("roles", "names more than 32 roles")
	}
	for _, r := range roles {
		if err := checkID("roles", r); err != nil {
			return err
		}
	}
	return nil
}
