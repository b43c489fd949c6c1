package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Invalid is the error of an event that can never be accepted. Its text is one sentence that names the field, like
// `alerts[3].startsAt: "yesterday" is not an RFC 3339 time`.
type Invalid struct {
	// Field is the path of the field within the event's data, or the name of one of the event's attributes.
	Field string
	// Problem is what is wrong with it.
	Problem string

	large bool
	// leaves is the reason for which an alert is left out because of it.
	leaves LeftOutReason
}

func (i *Invalid) Error() string { return i.Field + ": " + i.Problem }

// in puts the field into the object at that path.
func (i *Invalid) in(path string) *Invalid {
	if i.Field == "data" { // The object itself.
		i.Field = path
	} else {
		i.Field = path + "." + i.Field
	}
	return i
}

func tooLarge(field string, have, most int, unit string) *Invalid {
	return &Invalid{
		Field:   field,
		Problem: fmt.Sprintf("%d %s where at most %d are allowed", have, unit, most),
		large:   true,
	}
}

// unmarshal is json.Unmarshal with errors for the sender. Field names are matched as encoding/json does, exactly or
// else without regard to case; unknown ones are ignored, and what follows the document is an error.
func unmarshal(data []byte, v any) *Invalid {
	if unmarshalStrict(data, v) {
		return nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return &Invalid{
			Field:   pathAt(data, wrong.Offset),
			Problem: wrong.Value + " where " + expected(wrong.Type) + " was expected",
		}
	case errors.As(err, &syntax):
		return &Invalid{Field: "data", Problem: fmt.Sprintf("it is not JSON: %s at byte %d", syntax, syntax.Offset)}
	default:
		return &Invalid{Field: "data", Problem: fmt.Sprintf("it is not JSON: %s", err)}
	}
}

// expected is the JSON that a field of that type requires.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "an object of strings"
	default:
		return "an object"
	}
}

// pathAt is the path of the value whose first token ends at that offset, like alerts[2].labels["pod"]. encoding/json
// tells the names on the way, but not which of the alerts it was.
func pathAt(data []byte, offset int64) string {
	type level struct {
		name string // of the value that is being read, in an object
		next int    // index of the next value, in a list
		list bool
		key  bool // A name comes next.
	}
	var open []level
	tokens := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := tokens.Token()
		if err != nil {
			return "data"
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			top := &open[len(open)-1]
			switch {
			case top.list:
				top.next++
			case top.key:
				top.name, top.key = token.(string), false
				continue
			default:
				top.key = true
			}
		}
		if tokens.InputOffset() >= offset {
			break
		}
		if isDelim {
			open = append(open, level{list: delim == '[', key: delim == '{'})
		}
	}
	var path strings.Builder
	inMap := false
	for _, l := range open {
		switch {
		case l.list:
			fmt.Fprintf(&path, "[%d]", l.next-1)
		case inMap:
			fmt.Fprintf(&path, "[%s]", quote(l.name))
		default:
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(cut(l.name, maxQuoted))
		}
		inMap = l.name == "labels" || l.name == "annotations"
	}
	if path.Len() == 0 {
		return "data"
	}
	return path.String()
}
