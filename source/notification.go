package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// version is the only version of the webhook's document there has been since 2017.
	version = "4"
	// maxHead is how large the document may be without its alerts, in bytes: each chunk repeats it.
	maxHead = MaxChunk / 2
)

// notification is a webhook's document. Everything in it is sent on as it came, fields that newer Alertmanagers add
// included.
type notification struct {
	// alerts are the alerts, and rest the other fields by name.
	alerts []json.RawMessage
	rest   map[string]json.RawMessage
	// What the attributes of the events are made of; each may be empty.
	groupKey, receiver, externalURL string
}

// fields are those that are read here or by the function. Go's decoder would take ALERTS for alerts, so that what was
// split here and what is read there could differ: such names are refused.
var fields = []string{"version", "alerts", "truncatedAlerts", "groupKey", "receiver", "externalURL"}

// repeated are fields that say nothing that the alerts do not say themselves, in the order in which they are left out when
// the document is too large to be repeated with each chunk.
var repeated = []string{"commonAnnotations", "commonLabels"}

// decode reads the document. Its error says in one sentence what is wrong with which field.
func decode(body []byte) (*notification, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not valid UTF-8")
	}
	n := &notification{}
	if err := json.Unmarshal(body, &n.rest); err != nil || n.rest == nil {
		if err == nil || errors.As(err, new(*json.UnmarshalTypeError)) {
			err = errors.New("a list or a single value")
		}
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	for name := range n.rest {
		for _, field := range fields {
			if name != field && strings.EqualFold(name, field) {
				return nil, fmt.Errorf("%s: it is written %s", shown(name), field)
			}
		}
	}
	var sent string
	if err := n.read("version", &sent, "a string"); err != nil {
		return nil, err
	}
	if sent != version {
		return nil, fmt.Errorf("version: %s is not %q", shown(sent), version)
	}
	err := errors.Join(
		n.read("groupKey", &n.groupKey, "a string"),
		n.read("receiver", &n.receiver, "a string"),
		n.read("externalURL", &n.externalURL, "a string"),
		n.read("truncatedAlerts", new(uint64), "a number of alerts"),
	)
	if err != nil {
		return nil, err
	}
	n.alerts, err = alerts(n.rest["alerts"])
	delete(n.rest, "alerts")
	return n, err
}

// read takes a field of the document, which may be absent.
func (n *notification) read(field string, to any, kind string) error {
	raw, sent := n.rest[field]
	if !sent {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("%s: %s is not %s", field, shown(string(raw)), kind)
	}
	return nil
}

// alerts takes the list apart. It ends at the first alert that is none, so that a list of nothing but commas and brackets
// costs no more memory than it has bytes.
func alerts(list json.RawMessage) ([]json.RawMessage, error) {
	if len(list) == 0 || list[0] != '[' {
		return nil, errors.New("alerts: there is no list of them")
	}
	decoder := json.NewDecoder(bytes.NewReader(list))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	var out []json.RawMessage
	var alert json.RawMessage // One memory for all of them: what is kept are parts of the list.
	for decoder.More() {
		if err := decoder.Decode(&alert); err != nil {
			return nil, fmt.Errorf("alerts[%d]: %w", len(out), err)
		}
		if err := checkAlert(alert); err != nil {
			return nil, fmt.Errorf("alerts[%d].%w", len(out), err)
		}
		end := int(decoder.InputOffset())
		out = append(out, list[end-len(alert):end:end])
	}
	if len(out) == 0 {
		return nil, errors.New("alerts: there are none")
	}
	return out, nil
}

// checkAlert looks for what every alert has. The function looks closer: its limits are its own.
func checkAlert(raw json.RawMessage) error {
	var alert struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    string            `json:"startsAt"`
	}
	err := json.Unmarshal(raw, &alert)
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return fmt.Errorf("%s: JSON's type %s cannot stand there", mismatch.Field, mismatch.Value)
	case err != nil:
		return errors.New("labels: it is not an object")
	case alert.Status != "firing" && alert.Status != "resolved":
		return fmt.Errorf("status: %s is neither firing nor resolved", shown(alert.Status))
	case len(alert.Labels) == 0:
		return errors.New("labels: there are none")
	case alert.StartsAt == "":
		return errors.New("startsAt: it is missing")
	}
	return nil
}

// head is the document up to its alerts. What the alerts repeat is left out when it is too large otherwise.
func (n *notification) head() ([]byte, error) {
	for left := repeated; ; left = left[1:] {
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(n.rest); err != nil {
			return nil, fmt.Errorf("the body is not JSON: %w", err)
		}
		if out.Len() <= maxHead {
			// The document has a version, so that it is not empty.
			head := bytes.TrimSuffix(out.Bytes(), []byte("}\n"))
			return append(head, `,"alerts":[`...), nil
		}
		if len(left) == 0 {
			return nil, fmt.Errorf("the document without alerts and what they have in common is larger than %d bytes", maxHead)
		}
		delete(n.rest, left[0])
	}
}
