package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// nasty is an event made by hand: either alerts, which are to be counted when it is taken, or anything at all.
type nasty struct {
	name string
	want int // The answer.
	// alerts are the labels of firing alerts in one notification.
	alerts []map[string]string
	// annotations of each.
	annotations map[string]string
	// body is sent instead of alerts.
	body []byte
	// header overrides a binary event's; an empty value removes one.
	header map[string]string
	// chunked sends no length.
	chunked bool
}

// request is what is sent, and what it says.
func (n nasty) request() (request, []Word) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := request{header: http.Header{}, body: n.body, chunked: n.chunked}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Type": notificationType, "Ce-Source": "/input",
		"Ce-Id": uuid.NewString(), "Ce-Time": now.Format(time.RFC3339Nano),
	} {
		r.header.Set(name, value)
	}
	for name, value := range n.header {
		if r.header.Set(name, value); value == "" {
			r.header.Del(name)
		}
	}
	var words []Word
	var alerts []map[string]any
	for _, labels := range n.alerts {
		alerts = append(alerts, map[string]any{
			"status": "firing", "labels": labels, "annotations": n.annotations, "startsAt": now.Format(time.RFC3339Nano),
		})
		words = append(words, Word{
			Fingerprint: fingerprintOf(
				labels,
			), Group: asShown(labels["namespace"]) + "/" + asShown(labels["alertname"]), Firing: true, At: now,
		})
	}
	if n.body == nil {
		body, err := json.Marshal(map[string]any{"version": "4", "alerts": alerts})
		if err != nil {
			panic(err) // Strings and maps of them always marshal.
		}
		r.body = body
	}
	return r, words
}

// asShown is a label's value as an incident shows it: short, and with blanks for control characters.
func asShown(value string) string {
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value)
	return strings.ToValidUTF8(value[:min(len(value), 1024)], "")
}

// strange are texts that are valid in a label's value, and must stay what they are.
var strange = []string{
	"{sf:00}:g:0123456789abcdef", "{sf:00}:due", "{sf:00}", "#", "-", "%", "*", "a#b", "f\x1fm\x1f1\x1f1", "\x1f",
	"\x1f\x1f\x1f\x1f\x1f\x1f", "\x00",
	"\x01\x02\x7f", "nul\x00nul", "\r\n\r\nHTTP/1.1 200 OK", "\u2028\u2029", "\u202egnp.exe", "\U0001f4a5 \U0001f525",
	"é̶̡",
	`"); redis.call('FLUSHALL') --`, "'; DROP TABLE incidents; --", "{{ .Values.x }}", "$(reboot)",
	"../../../../etc/passwd", "a/b", "A.B-C_D",
	strings.Repeat(
		"x",
		4096,
	), strings.Repeat("語", 1365), " ", "\t", "null", "true", "0", "1e999", "=", "a=b", ",", "\\", `\u0000`,
	"ns\xef\xbf\xbdx",
	".", "..", "-a", "kube-system", strings.Repeat("-", 100),
}

// nastiness are the cases. Their groups are those of the policy "known", and of namespaces that begin like prefix.
func nastiness(prefix string) []nasty {
	one := func(more map[string]string) map[string]string {
		labels := map[string]string{
			"known":     "yes",
			"alertname": "Nasty",
			"namespace": prefix + uuid.NewString(),
			"pod":       "web-0",
		}
		for name, value := range more {
			labels[name] = value
		}
		return labels
	}
	sound := func(n int) string {
		return fmt.Sprintf(
			`{"status":"firing","labels":{"alertname":"Sound","namespace":"mutated","n":"%d"},"startsAt":"2026-03-01T10:15:30Z"}`,
			n,
		)
	}
	doc := func(alert string) []byte { return []byte(`{"version":"4","alerts":[` + alert + `]}`) }
	with := func(field string) []byte {
		return doc(strings.Replace(sound(0), `"status":"firing"`, field, 1))
	}
	var out []nasty
	for i, text := range strange {
		for _, label := range []string{"alertname", "namespace", "pod", "severity", "cluster", "instance", "deployment",
			"job"} {
			labels := one(map[string]string{label: text})
			if label == "namespace" {
				labels["alertname"] = fmt.Sprintf("%s%d", prefix, i)
			}
			out = append(out, nasty{name: fmt.Sprintf("%s %.40q", label, text), want: 200, alerts: []map[string]string{labels}})
		}
		out = append(out, nasty{name: fmt.Sprintf("annotation %.40q", text), want: 200, alerts: []map[string]string{one(nil)},
			annotations: map[string]string{"summary": text, "description": text, "runbook_url": text, text: text}})
	}
	for _, name := range []string{"{sf:00}:g:0123456789abcdef", "{sf:00}:due", "é", "a b", "=", "\"", "a.b/c",
		strings.Repeat("n", 256)} {
		out = append(
			out,
			nasty{
				name:   fmt.Sprintf("label name %.40q", name),
				want:   200,
				alerts: []map[string]string{one(map[string]string{name: name})},
			},
		)
	}
	for _, name := range []string{"", "\x00", "a\x1fb", "\n", "\x7f", strings.Repeat("n",
		257)} { // Left out, and still part of the identity.
		out = append(
			out,
			nasty{
				name:   fmt.Sprintf("label name %.40q", name),
				want:   200,
				alerts: []map[string]string{one(map[string]string{name: "x"})},
			},
		)
	}
	many := func(n int) map[string]string {
		labels := one(nil)
		for i := len(labels); i < n; i++ {
			labels[fmt.Sprintf("l%d", i)] = "v"
		}
		return labels
	}
	full := many(128)
	for name := range full {
		if strings.HasPrefix(name, "l") {
			full[name] = strings.Repeat("v", 4096)
		}
	}
	thousands := make([]map[string]string, 2000)
	for i := range thousands {
		thousands[i] = map[string]string{
			"known":     "yes",
			"alertname": "Thousands",
			"namespace": prefix,
			"pod":       fmt.Sprint("web-", i),
		}
	}
	tenThousand := make([]string, 10_001)
	for i := range tenThousand {
		tenThousand[i] = sound(i)
	}
	out = append(
		out,
		nasty{name: "128 labels", want: 200, alerts: []map[string]string{many(128)}},
		nasty{name: "128 labels of 4 KiB", want: 200, alerts: []map[string]string{full}},
		nasty{name: "129 labels", want: 200, alerts: []map[string]string{many(129)}},
		nasty{name: "100,000 labels", want: 200, alerts: []map[string]string{many(100_000)}},
		nasty{
			name:   "4 KiB and a byte",
			want:   200,
			alerts: []map[string]string{one(map[string]string{"pod": strings.Repeat("x", 4097)})},
		},
		nasty{name: "1 MiB annotation", want: 200, alerts: []map[string]string{one(nil)},
			annotations: map[string]string{"summary": strings.Repeat("語", 1<<20/3), "other": strings.Repeat("x", 1<<20)}},
		nasty{name: "2,000 alerts", want: 200, alerts: thousands},
		nasty{name: "10,001 alerts", want: 200, body: doc(strings.Join(tenThousand, ","))},
		nasty{name: "a body of more than 4 MiB", want: 413, body: bytes.Repeat([]byte(" "), 5<<20)},
		nasty{name: "a body of more than 4 MiB in chunks", want: 413, body: bytes.Repeat([]byte(" "), 5<<20), chunked: true},
		nasty{name: "4 MiB of blanks", want: 400, body: bytes.Repeat([]byte(" "), 4<<20)},
		nasty{name: "4 MiB of brackets", want: 400, body: bytes.Repeat([]byte("["), 4<<20)},
		nasty{name: "deep JSON in a field that nobody reads", want: 400,
			body: with(`"status":"firing","x":` + strings.Repeat(`{"x":`, 1000) + "1" + strings.Repeat("}", 1000))},
		nasty{name: "a gzip bomb", want: 400, body: bomb(64 << 20), header: map[string]string{"Content-Encoding": "gzip"}},
		nasty{name: "a gzip bomb in structured mode", want: 400, body: bomb(64 << 20),
			header: map[string]string{
				"Content-Encoding": "gzip",
				"Content-Type":     "application/cloudevents+json",
				"Ce-Specversion":   "",
			}},
		nasty{name: "no id", want: 400, body: doc(sound(0)), header: map[string]string{"Ce-Id": ""}},
		nasty{name: "no type", want: 400, body: doc(sound(0)), header: map[string]string{"Ce-Type": ""}},
		nasty{name: "no source", want: 400, body: doc(sound(0)), header: map[string]string{"Ce-Source": ""}},
		nasty{name: "no specversion", want: 400, body: doc(sound(0)), header: map[string]string{"Ce-Specversion": ""}},
		nasty{
			name:   "another specversion",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Specversion": "9.9"},
		},
		nasty{name: "no time", want: 200, body: doc(sound(0)), header: map[string]string{"Ce-Time": ""}},
		nasty{
			name:   "no such time",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Time": "2026-02-30T00:00:00Z"},
		},
		nasty{
			name:   "a time far ahead",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Time": "9999-12-31T23:59:59Z"},
		},
		nasty{
			name:   "a time before 1970",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Time": "1969-12-31T23:59:59Z"},
		},
		nasty{
			name:   "no time of arrival",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Knativearrivaltime": "soon"},
		},
		nasty{
			name:   "an unknown type",
			want:   400,
			body:   doc(sound(0)),
			header: map[string]string{"Ce-Type": "io.stormfold.incident.opened.v1"},
		},
		nasty{name: "a batch", want: 400, body: []byte(`[]`),
			header: map[string]string{"Content-Type": "application/cloudevents-batch+json", "Ce-Specversion": ""}},
		nasty{
			name:   "a large id",
			want:   400,
			body:   []byte(`{`),
			header: map[string]string{"Ce-Id": strings.Repeat("i", 100_000)},
		},
		nasty{
			name:   "an id of bytes",
			want:   400,
			body:   []byte(`{`),
			header: map[string]string{"Ce-Id": "\xff\xfe%00%0A\u2028"},
		},
	)
	for _, contentType := range []string{"text/xml", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x", "%%%", "application/octet-stream"} {
		out = append(
			out,
			nasty{
				name:   "content type " + contentType,
				want:   400,
				body:   doc(sound(0)),
				header: map[string]string{"Content-Type": contentType},
			},
		)
	}
	for _, body := range []string{
		"", " ", "null", "[]", "{}", `"x"`, "0", "true", "{", `{"alerts"`, `{"alerts":null}`, `{"alerts":{}}`,
		`{"alerts":[null]}`, `{"alerts":[[]]}`,
		`{"alerts":"x"}`, `{"version":"5","alerts":[` + sound(0) + `]}`, "\xef\xbb\xbf{}", "\xff\xfe{\x00}\x00",
		string(doc(sound(0))) + "x", string(doc(sound(0))) + string(doc(sound(0))), strings.Replace(string(doc(sound(0))),
			"mutated", "mut\xffated", 1),
	} {
		out = append(out, nasty{name: fmt.Sprintf("body %.60q", body), want: 400, body: []byte(body)})
	}
	for _, field := range []string{
		`"status":"FIRING!"`, `"status":null`, `"status":1`, `"status":{}`,
	} {
		out = append(out, nasty{name: field, want: 400, body: with(field)})
	}
	for _, field := range []string{
		`"status":"firing","fingerprint":"{sf:00}:due"`, `"status":"firing","fingerprint":"0123\u001f6789abcdef"`,
		`"status":"firing","fingerprint":"0123456789abcdef0"`, `"status":"firing","fingerprint":16`,
		`"status":"firing","endsAt":"soon"`,
		`"status":"firing","endsAt":1e9`, `"status":"firing","annotations":[]`, `"status":"firing","annotations":{"a":{}}`,
		`"status":"firing","generatorURL":{}`,
		`"status":"resolved","status":"firing"`, `"status":"firing","labels":{"a":"b"}`,
		`"status":"firing","fingerprint":"ABCDEF0123456789"`,
		`"status":"firing","annotations":null`, `"status":"firing","unknown":1e999`, `"status":"firing","generatorURL":"` +
			strings.Repeat("u", 1<<20) + `"`,
		`"status":"firing","annotations":{"summary":"\ud800"}`, `"status":"firing","endsAt":"9999-12-31T23:59:59Z"`,
	} {
		out = append(out, nasty{name: field[:min(60, len(field))], want: 200, body: with(field)})
	}
	return out
}

// bomb is that many zeros, as gzip makes them small.
func bomb(size int) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(make([]byte, size)); err != nil {
		panic(err) // A buffer takes everything.
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
