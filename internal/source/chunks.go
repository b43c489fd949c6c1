package source

import "encoding/json"

// MaxChunk is how many bytes of data an event has at most, unless a single alert is larger. It is what CloudEvents asks
// every intermediary to forward.
const MaxChunk = 64 << 10

// tail ends the document that head began.
const tail = "]}"

// chunks deals alerts out in their order. Each chunk is the notification with as many alerts as fit into MaxChunk, or
// with one.
type chunks struct {
	head []byte
	// send takes a chunk and how many alerts are in it.
	send func(document []byte, alerts int) error

	filled []byte
	alerts int
}

// add puts an alert into the chunk that is being filled, or into the next.
func (c *chunks) add(alert json.RawMessage) error {
	if c.alerts > 0 && len(c.filled)+1+len(alert)+len(tail) > MaxChunk {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if c.alerts == 0 {
		// New memory each time: what was sent may still be read.
		c.filled = append(
			make([]byte, 0, max(len(c.head)+len(alert)+len(tail), min(MaxChunk, 4*(len(c.head)+len(alert))))),
			c.head...)
	} else {
		c.filled = append(c.filled, ',')
	}
	c.filled = append(c.filled, alert...)
	c.alerts++
	return nil
}

// flush sends what has been filled.
func (c *chunks) flush() error {
	if c.alerts == 0 {
		return nil
	}
	document, alerts := append(c.filled, tail...), c.alerts
	c.filled, c.alerts = nil, 0
	return c.send(document, alerts)
}
