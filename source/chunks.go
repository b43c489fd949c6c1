package source

import "encoding/json"

// MaxChunk is how many bytes of data an event has at most, unless a single alert is larger. It is what CloudEvents asks
// every intermediary to forward.
const MaxChunk = 64 << 10

// tail ends the document that head began.
const tail = "]}"

// split deals the alerts out in their order. Each chunk has at most room bytes, commas included, or one alert.
func split(alerts []json.RawMessage, room int) [][]json.RawMessage {
	var chunks [][]json.RawMessage
	begin, size := 0, 0
	for i, alert := range alerts {
		if i > begin && size+1+len(alert) > room {
			chunks = append(chunks, alerts[begin:i])
			begin, size = i, 0
		}
		if i > begin {
			size++
		}
		size += len(alert)
	}
	return append(chunks, alerts[begin:])
}

// document is the notification with the alerts of one chunk.
func document(head []byte, chunk []json.RawMessage) []byte {
	size := len(head) + len(tail) + len(chunk)
	for _, alert := range chunk {
		size += len(alert)
	}
	out := append(make([]byte, 0, size), head...)
	for i, alert := range chunk {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, alert...)
	}
	return append(out, tail...)
}
