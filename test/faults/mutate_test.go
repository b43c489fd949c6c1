package faults

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// base is a valid event that is mutated.
type base struct {
	kind string
	data []byte
}

const (
	notificationType = "io.prometheus.alertmanager.notification.v1"
	alertType        = "io.prometheus.alertmanager.alert.v1"
	resourceType     = "dev.knative.apiserver.resource.add"
)

// corpus are the valid events of a directory: notifications, the alerts in them, and Kubernetes Events.
func corpus(dir string) ([]base, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []base
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if strings.Contains(file, "kubeevent") {
			out = append(out, base{resourceType, data})
			continue
		}
		var n struct{ Alerts []json.RawMessage }
		if err := json.Unmarshal(data, &n); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, base{notificationType, data}, base{alertType, n.Alerts[0]})
	}
	return out, nil
}

// mutator makes bad events of good ones.
type mutator struct{ *rand.Rand }

// words are what a mutation puts into an event.
var words = []string{
	`{`, `}`, `[`, `]`, `"`, `,`, `:`, `\`, `null`, `true`, `-0`, `1e999`, `99999999999999999999999`, `0.1`, `NaN`, `""`,
	`{}`, `[]`,
	`\u0000`, `\u001f`, `\ud800`, `\u2028`, "\x00", "\x1f", "\xff\xfe", "\xc0\xaf", "\u202e", `{sf:00}:due`,
	`{sf:07}:g:0123456789abcdef`,
	`"labels":{}`, `"status":"resolved"`, `"status":null`, `"alerts":[]`, `"fingerprint":"0123456789abcdef"`,
	`"version":5`,
	`2026-13-45T99:99:99Z`, `0001-01-01T00:00:00Z`, `9999-12-31T23:59:59Z`, strings.Repeat("[", 80), strings.Repeat("9",
		400),
	strings.Repeat("x", 5000), `../../../../`, `"); redis.call('FLUSHALL') --`, `%s%n`, `${jndi:ldap://x}`,
}

// request is an event, mutated somewhere: its data, its envelope or its headers.
func (m *mutator) request(of base, source string, n int) request {
	data := slices.Clone(of.data)
	if m.IntN(3) == 0 {
		data = m.tree(data)
	}
	whole := m.IntN(10) == 0 // Now and then nothing is wrong with the bytes.
	id, now := fmt.Sprintf("mutation-%d", n), time.Now().UTC().Format(time.RFC3339Nano)
	if m.IntN(2) == 0 {
		if !whole {
			data = m.bytes(data)
		}
		return request{header: m.headers(http.Header{
			"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Type": {of.kind},
			"Ce-Source": {"/" + source}, "Ce-Id": {id}, "Ce-Time": {now},
		}), body: data}
	}
	field := `"data":` + string(data)
	if m.IntN(4) == 0 {
		field = `"data_base64":"` + base64.StdEncoding.EncodeToString(data) + `"`
	}
	envelope := fmt.Appendf(
		nil,
		`{"specversion":"1.0","id":%q,"type":%q,"source":%q,"time":%q,"datacontenttype":"application/json",%s}`,
		id,
		of.kind,
		"/"+source,
		now,
		field,
	)
	if !whole {
		envelope = m.bytes(envelope)
	}
	return request{header: m.headers(http.Header{"Content-Type": {"application/cloudevents+json"}}), body: envelope}
}

// bytes changes up to three places, without looking at what they are.
func (m *mutator) bytes(data []byte) []byte {
	for range 1 + m.IntN(3) {
		at := m.IntN(len(data) + 1)
		end := min(len(data), at+m.IntN(40))
		switch m.IntN(7) {
		case 0:
			if at < len(data) {
				data[at] ^= 1 << m.IntN(8)
			}
		case 1:
			data = slices.Delete(data, at, end)
		case 2:
			data = slices.Insert(data, at, slices.Clone(data[at:end])...)
		case 3:
			if m.IntN(5) == 0 {
				data = data[:at]
			}
		case 4:
			data = slices.Insert(data, at, byte(m.IntN(256)))
		default:
			data = slices.Insert(data, at, []byte(words[m.IntN(len(words))])...)
		}
	}
	return data
}

// tree changes one value or one name somewhere in a document that stays JSON.
func (m *mutator) tree(data []byte) []byte {
	var root any
	if json.Unmarshal(data, &root) != nil {
		return data
	}
	out, err := json.Marshal(m.node(root))
	if err != nil {
		return data
	}
	return out
}

func (m *mutator) node(v any) any {
	if m.IntN(4) == 0 {
		return m.value()
	}
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		if len(names) == 0 {
			return m.value()
		}
		slices.Sort(names)
		name := names[m.IntN(len(names))]
		if m.IntN(5) == 0 {
			v[words[m.IntN(len(words))]] = v[name]
			delete(v, name)
		} else {
			v[name] = m.node(v[name])
		}
		return v
	case []any:
		if len(v) == 0 {
			return m.value()
		}
		i := m.IntN(len(v))
		v[i] = m.node(v[i])
		return v
	default:
		return m.value()
	}
}

func (m *mutator) value() any {
	switch m.IntN(8) {
	case 0:
		return nil
	case 1:
		return m.IntN(2) == 0
	case 2:
		return -m.NormFloat64() * 1e300
	case 3:
		return m.Int64()
	case 4:
		return []any{}
	case 5:
		return map[string]any{words[m.IntN(len(words))]: words[m.IntN(len(words))]}
	case 6:
		return strings.Repeat("é\x01", m.IntN(3000))
	default:
		return words[m.IntN(len(words))]
	}
}

// headers loses or spoils one header of five events.
func (m *mutator) headers(h http.Header) http.Header {
	if m.IntN(5) > 0 {
		return h
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[m.IntN(len(names))]
	switch m.IntN(3) {
	case 0:
		h.Del(name)
	case 1:
		h.Set("Content-Encoding", "gzip")
	default:
		// What HTTP itself allows in a header.
		h.Set(name, []string{"", "x", "%00%1f%ff", "\xff\xfe", "application/xml", "application/cloudevents-batch+json", "2.0",
			"{sf:00}:due", strings.Repeat("y", 4000), "9999-12-31T23:59:59Z", "a\tb"}[m.IntN(11)])
	}
	return h
}
