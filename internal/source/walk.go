package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxValue is about how large one alert or one other field may be, in bytes. The function takes no larger event, and
// one value at a time is all of a document that is in memory.
const maxValue = 4 << 20

// errValue is an alert or a field that is larger.
var errValue = fmt.Errorf("an alert or another field is larger than %d bytes", maxValue)

// walk reads a webhook's document as a stream. It hands over each field but the alerts, and each alert, as they come;
// what it hands over is JSON, and is only good until the next. It is an error when the document is no JSON object with
// a list of alerts.
func walk(
	body io.Reader,
	field func(name string, value json.RawMessage) error,
	alert func(json.RawMessage) error,
) error {
	bounded := &bound{from: body}
	bounded.next()
	d := json.NewDecoder(bounded)
	if err := begin(d, '{', "a list or a single value"); err != nil {
		return noJSON(err)
	}
	listed := false
	var value json.RawMessage // One memory for all of them.
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return noJSON(err)
		}
		bounded.next()
		if name != "alerts" {
			if err := d.Decode(&value); err != nil {
				return noJSON(err)
			}
			if err := field(name.(string), value); err != nil {
				return err
			}
			continue
		}
		if err := begin(d, '[', ""); err != nil {
			return errors.New("alerts: it is missing or not a list")
		}
		for listed = true; d.More(); bounded.next() {
			if err := d.Decode(&value); err != nil {
				return noJSON(err)
			}
			if err := alert(value); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return noJSON(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return noJSON(err)
	}
	switch _, err := d.Token(); {
	case err == nil:
		return noJSON(errors.New("something follows the object"))
	case !errors.Is(err, io.EOF):
		return noJSON(err)
	case !listed:
		return errors.New("alerts: it is missing or not a list")
	}
	return nil
}

// begin takes the bracket that comes next.
func begin(d *json.Decoder, bracket json.Delim, otherwise string) error {
	token, err := d.Token()
	if err == nil && token != bracket {
		err = errors.New(otherwise)
	}
	return err
}

func noJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the body is not a JSON object: %w", err)
}

// bound is a reader that gives up where a single value does not end.
type bound struct {
	from io.Reader
	left int
}

// next begins another value.
func (b *bound) next() { b.left = maxValue }

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errValue
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// fields are those that are read here or by the function. Go's decoder would take ALERTS for alerts, so that what was
// split here and what is read there could differ: such names are refused.
var fields = []string{"version", "alerts", "truncatedAlerts", "groupKey", "receiver", "externalURL"}

func checkName(name string) error {
	for _, field := range fields {
		if name != field && strings.EqualFold(name, field) {
			return fmt.Errorf("%s: the name of the field is %s", shown(name), field)
		}
	}
	return nil
}
