package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/stormfold/stormfold/aggregator"
	"github.com/stormfold/stormfold/handlers"
)

// Notification is the content of one recorded document, with its time.
type Notification struct {
	At    time.Time
	Batch aggregator.Batch
}

// Read returns every document of a recording, in the order of the file. Documents are JSON: one per line, one after
// another, or over several lines. Each is one of
//
//	{"alerts": [...]}              Alertmanager's webhook, version 4
//	{"labels": {...}, ...}         one alert as in that webhook
//	{"specversion": "1.0", ...}    a CloudEvent in JSON, of the types that the function takes
//	{"time": "...", "data": ...}   one of the first two with the time at which it arrived
//
// The last two may have the time at which they were sent, in the attributes that the function uses. Otherwise the time
// is the latest start of an alert, or end of a resolved one: the document cannot have been sent before. The error is
// one sentence that names the recording, the line at which the document begins, and the field. Documents without
// alerts, like ticks, are left out.
func Read(name string, content []byte) ([]Notification, error) {
	var out []Notification
	documents := json.NewDecoder(bytes.NewReader(content))
	line, counted := 1, 0
	for {
		start := int(documents.InputOffset())
		start += len(content[start:]) - len(bytes.TrimLeft(content[start:], " \t\r\n"))
		line += bytes.Count(content[counted:start], []byte("\n"))
		counted = start
		var document json.RawMessage
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		where := fmt.Sprintf("%s:%d", name, line)
		if err != nil {
			return nil, fmt.Errorf("%s: it is not JSON: %w", where, err)
		}
		n, err := read(document)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if len(n.Batch.Alerts) > 0 {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: there is no alert in it", name)
	}
	return out, nil
}

// read reads one document.
func read(document []byte) (Notification, error) {
	ev, err := eventOf(document)
	if err != nil {
		return Notification{}, err
	}
	// A time of receipt that no recording has, to recognise documents without a time.
	none := time.Unix(1, 0)
	request, err := handlers.Decode(ev, none)
	if err != nil {
		return Notification{}, err
	}
	n := Notification{At: request.NotifiedAt, Batch: request.Batch}
	if !n.At.Equal(none) {
		return n, nil
	}
	n.At = lastWord(n.Batch)
	if !n.At.After(none) {
		return Notification{}, errors.New("time: neither the event nor an alert of it has one")
	}
	for i := range n.Batch.Alerts {
		n.Batch.Alerts[i].NotifiedAt = n.At
		if n.Batch.Alerts[i].StartsAt.Equal(none) {
			n.Batch.Alerts[i].StartsAt = n.At
		}
	}
	return n, nil
}

// lastWord is the latest start or end in a batch, in milliseconds as the fold compares.
func lastWord(batch aggregator.Batch) time.Time {
	var last time.Time
	for _, a := range batch.Alerts {
		for _, t := range []time.Time{a.StartsAt, a.EndsAt} {
			if t.After(last) {
				last = t
			}
		}
	}
	return last.Truncate(time.Millisecond)
}

// eventOf makes a CloudEvent of a document, as the source would have.
func eventOf(document []byte) (event.Event, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(document, &fields); err != nil {
		return event.Event{}, errors.New(
			"it is not an object; of a list write the elements one after the other, as jq -c '.[]' does",
		)
	}
	if _, is := fields["specversion"]; is {
		var ev event.Event
		if err := json.Unmarshal(document, &ev); err != nil {
			return ev, fmt.Errorf("it is not a CloudEvent: %s", strings.Join(strings.Fields(err.Error()), " "))
		}
		return ev, nil
	}
	ev := event.New()
	ev.SetID("replay")
	ev.SetSource("/replay")
	data, wrapped := fields["data"]
	if wrapped {
		if err := setTime(&ev, fields["time"]); err != nil {
			return ev, err
		}
		fields = nil
		if err := json.Unmarshal(data, &fields); err != nil {
			return ev, errors.New("data: it is not an object")
		}
	} else {
		data = document
	}
	_, alerts := fields["alerts"]
	_, labels := fields["labels"]
	switch {
	case alerts:
		ev.SetType(handlers.TypeNotification)
	case labels:
		ev.SetType(handlers.TypeAlert)
	default:
		return ev, errors.New("it has neither alerts, as a webhook has, nor labels, as an alert, nor data, as an event")
	}
	return ev, ev.SetData(event.ApplicationJSON, []byte(data))
}

// setTime sets the time of a document that has one.
func setTime(ev *event.Event, given json.RawMessage) error {
	if given == nil {
		return nil
	}
	var text string
	at, err := time.Time{}, json.Unmarshal(given, &text)
	if err == nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if err != nil || at.IsZero() {
		return fmt.Errorf("time: %s is not an RFC 3339 time", bytes.TrimSpace(given))
	}
	ev.SetTime(at)
	return nil
}
