package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxHead is how large the document may be without its alerts, in bytes: each chunk repeats it.
const maxHead = MaxChunk / 2

// versions are those of documents with these fields: Alertmanager's since 2017, and Grafana's.
var versions = []string{"4", "1"}

// repeated are fields that only repeat what the alerts contain, in the order in which they are left out if the document
// is too large to be repeated with each chunk.
var repeated = []string{"commonAnnotations", "commonLabels", "groupLabels", "routeLabels"}

// notification is a webhook's document without its alerts, which stay in the spool. Everything is sent unchanged,
// including fields that newer Alertmanagers add.
type notification struct {
	// rest are the fields other than the alerts, by name.
	rest map[string]json.RawMessage
	// The values for the attributes of the events; each may be empty.
	groupKey, receiver, externalURL string
	// alerts is how many are sent, firing whether one of them fires, content a hash of them in any order.
	alerts  int
	firing  bool
	content uint64
	// left are the alerts that cannot be sent, by reason; first is the problem of the first of them.
	left  map[flaw]int
	first string
}

// decode reads the document. Its error is one sentence that names the field.
func decode(body io.Reader) (*notification, error) {
	n := &notification{rest: map[string]json.RawMessage{}, left: map[flaw]int{}}
	size, seen := 0, 0
	err := walk(body, func(name string, value json.RawMessage) error {
		if err := checkName(name); err != nil {
			return err
		}
		if slices.Contains(repeated, name) && len(value) > maxHead {
			return nil // It would be left out anyway.
		}
		if size += len(name) + len(value); size > (len(repeated)+1)*maxHead {
			return errHead
		}
		n.rest[name] = bytes.ToValidUTF8(bytes.Clone(value), []byte("\ufffd"))
		return nil
	}, func(alert json.RawMessage) error {
		told, flaw := checkAlert(alert)
		if flaw != none {
			if n.left[flaw]++; n.first == "" {
				n.first = fmt.Sprintf("alerts[%d]: %s", seen, flaws[flaw])
			}
		} else {
			n.alerts++
			n.firing = n.firing || told.firing
			n.content += told.content
		}
		seen++
		return nil
	})
	if err != nil {
		return nil, err
	}
	var version string
	if err := n.read("version", &version, "a string"); err != nil {
		return nil, err
	}
	if !slices.Contains(versions, version) {
		return nil, fmt.Errorf(`version: %s is neither "4" nor "1"`, shown(version))
	}
	err = errors.Join(
		n.read("groupKey", &n.groupKey, "a string"),
		n.read("receiver", &n.receiver, "a string"),
		n.read("externalURL", &n.externalURL, "a string"),
		n.read("truncatedAlerts", new(uint64), "a number of alerts"),
	)
	switch {
	case err != nil:
		return nil, err
	case seen == 0:
		return nil, errors.New("alerts: there are none")
	case n.alerts == 0:
		return nil, errors.New(n.first)
	}
	return n, nil
}

// read reads a field of the document, which may be absent.
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

var errHead = fmt.Errorf("the document is larger than %d bytes without its alerts and their common fields", maxHead)

// head is the document up to its alerts. If it is too large, fields that the alerts repeat are left out.
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
			return nil, errHead
		}
		delete(n.rest, left[0])
	}
}

// leftOut describes the alerts that are not sent, for the log.
func (n *notification) leftOut() string {
	counts := make([]string, 0, len(n.left))
	for _, flaw := range slices.Sorted(maps.Keys(n.left)) {
		counts = append(counts, fmt.Sprintf("%s: %d", flaw, n.left[flaw]))
	}
	return strings.Join(counts, ", ")
}
