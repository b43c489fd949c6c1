package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// The directions of a connection through a Proxy, as Toxiproxy names them.
const (
	upstream   = "upstream"   // From the client to the server.
	downstream = "downstream" // From the server to the client.
)

// Proxy is a Toxiproxy between a client and a server. Its methods are called by one goroutine.
type Proxy struct {
	// Addr is where it listens: host:port.
	Addr string

	proxy *toxiproxy.Proxy
	begun []string // What Restore takes away.
	deaf  int      // How often HalfOpen was called.
}

// NewProxy listens on a free loopback port and passes everything to the target and back.
func NewProxy(target string) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", target)}
	// It resets nothing, but whatever begins while there is a reset_peer ends by RST, and so do the connections that are
	// open when Reset is called.
	if _, err := p.add("linger", downstream, "reset_peer", 0, nil); err != nil {
		return nil, err
	}
	if err := p.proxy.Start(); err != nil {
		return nil, err
	}
	p.Addr = p.proxy.Listen
	return p, nil
}

// Latency delays everything, in each direction by that much, until Restore.
func (p *Proxy) Latency(d time.Duration) error {
	return errors.Join(p.begin(upstream, "latency", &toxics.LatencyToxic{Latency: d.Milliseconds()}),
		p.begin(downstream, "latency", &toxics.LatencyToxic{Latency: d.Milliseconds()}))
}

// Reset breaks, by RST, every connection that carries something in that direction, until Restore. What it carried is
// lost: upstream a request, downstream the answer to one that the server has carried out.
func (p *Proxy) Reset(direction string) error {
	return p.begin(direction, "reset_peer", &toxics.ResetToxic{})
}

// HalfOpen makes every existing connection half-open, as when a node disappears: neither side notices, nothing passes,
// and new connections work.
func (p *Proxy) HalfOpen() error {
	p.deaf++
	for _, direction := range []string{upstream, downstream} {
		toxic, err := p.add(fmt.Sprintf("half_open_%s_%d", direction, p.deaf), direction, "half_open", 1, nil)
		if err != nil {
			return err
		}
		toxic.(*halfOpen).done.Store(true)
	}
	return nil
}

// Restore ends Latency and Reset.
func (p *Proxy) Restore() error {
	var err error
	for _, name := range p.begun {
		err = errors.Join(err, p.proxy.Toxics.RemoveToxic(context.Background(), name))
	}
	p.begun = nil
	return err
}

// Close ends the proxy and all connections.
func (p *Proxy) Close() { p.proxy.Stop() }

// begin adds a toxic that Restore takes away.
func (p *Proxy) begin(direction, kind string, settings toxics.Toxic) error {
	name := kind + "_" + direction
	if _, err := p.add(name, direction, kind, 1, settings); err != nil {
		return err
	}
	p.begun = append(p.begun, name)
	return nil
}

// add adds a toxic of that kind. Toxicity is the share of the connections that it works on.
func (p *Proxy) add(name, direction, kind string, toxicity float32, settings toxics.Toxic) (toxics.Toxic, error) {
	raw, err := json.Marshal(
		toxics.ToxicWrapper{Toxic: settings, Name: name, Type: kind, Stream: direction, Toxicity: toxicity},
	)
	if err != nil {
		return nil, err
	}
	added, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("toxic %s: %w", name, err)
	}
	return added.Toxic, nil
}

// halfOpen is a toxic for the connections that there are when it is added: it swallows everything, and closes nothing.
type halfOpen struct {
	done atomic.Bool // It was added; what begins now passes.
}

func init() { toxics.Register("half_open", new(halfOpen)) }

// NewState says of a connection whether it is deaf.
func (h *halfOpen) NewState() any { return !h.done.Load() }

func (h *halfOpen) Pipe(stub *toxics.ToxicStub) {
	if stub.State == true {
		new(toxics.TimeoutToxic).Pipe(stub) // A timeout of zero never ends.
		return
	}
	new(toxics.NoopToxic).Pipe(stub)
}
