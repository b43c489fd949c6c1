package config

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// durations is an inclusive range of durations, in the notation of the documentation.
type durations struct {
	min, max time.Duration
	from, to string
}

func durationsFrom(from, to string) durations {
	return durations{min: mustDuration(from), max: mustDuration(to), from: from, to: to}
}

func (r durations) has(d time.Duration) bool { return r.min <= d && d <= r.max }

func (r durations) bound() string { return r.from + " to " + r.to }

// refuse is the sentence about a value outside.
func (r durations) refuse(value, example string) string {
	return fmt.Sprintf("%s is not a duration between %s and %s, for instance %s", value, r.from, r.to, example)
}

// numbers is an inclusive range of whole numbers.
type numbers struct{ min, max int }

func (r numbers) has(n int) bool { return r.min <= n && n <= r.max }

func (r numbers) bound() string { return fmt.Sprintf("%d to %d", r.min, r.max) }

// refuse is the sentence about a value outside.
func (r numbers) refuse(value, example string) string {
	return fmt.Sprintf("%s is not a whole number between %d and %d, for instance %s", value, r.min, r.max, example)
}

// mustDuration reads a duration of the tables in this package; the tests read all of them.
func mustDuration(s string) time.Duration {
	d, err := model.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return time.Duration(d)
}
