package app

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// leastKeep is in days: ids are compared over seven, and made again from the log when their index is
// damaged.
const leastKeep = 8

// parseKeep reads how long days are kept: a number of months or of days. "" is the default.
func parseKeep(text string) (desk.Keep, error) {
	if text == "" {
		return desk.DefaultKeep, nil
	}
	bad := errors.New("has to be a time such as 13 months or 400 days, from 8 days to 50 years")
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return desk.Keep{}, bad
	}
	switch unit {
	case "month", "months":
		if n > 600 {
			return desk.Keep{}, bad
		}
		return desk.Keep{Months: n}, nil
	case "day", "days":
		if n < leastKeep || n > 50*366 {
			return desk.Keep{}, bad
		}
		return desk.Keep{Days: n}, nil
	}
	return desk.Keep{}, bad
}
