package faults

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands between a client and a server, and spoils their connections when told to.
type Proxy struct {
	// Addr is where it listens: host:port.
	Addr string

	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu      sync.Mutex
	latency time.Duration
	links   map[*link]bool
	closed  bool
}

// link is one connection through the proxy.
type link struct {
	client, server *net.TCPConn
	gone           chan struct{} // Closed when nothing passes any more, though both sides stay open.
	once           sync.Once
}

// NewProxy listens on a free loopback port and passes everything to the target and back.
func NewProxy(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, links: map[*link]bool{}}
	p.done.Go(p.accept)
	return p, nil
}

// Latency delays everything from now on, in each direction by that much. Zero: no delay.
func (p *Proxy) Latency(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Reset breaks every connection that there is, by RST, and returns how many.
func (p *Proxy) Reset() int {
	links := p.all()
	for _, l := range links {
		_ = l.client.SetLinger(0) // It may have gone already, which is what is wanted.
		_ = l.server.SetLinger(0)
		l.close()
	}
	return len(links)
}

// HalfOpen makes every connection that there is deaf, as when a node vanishes: neither side hears of it, nothing passes, and
// new connections work. It returns how many.
func (p *Proxy) HalfOpen() int {
	links := p.all()
	for _, l := range links {
		l.once.Do(func() { close(l.gone) })
	}
	return len(links)
}

// Close ends the proxy and all connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	for _, l := range p.all() {
		l.close()
	}
	p.done.Wait()
	return err
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*link, 0, len(p.links))
	for l := range p.links {
		out = append(out, l)
	}
	return out
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.done.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// serve passes both directions of one connection until either side ends.
func (p *Proxy) serve(client *net.TCPConn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.SetLinger(0) // The client sees what it would see of the server.
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn), gone: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = true
	closed := p.closed
	p.mu.Unlock()
	if closed {
		l.close()
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, l.client, l.server) })
	both.Go(func() { p.pass(l, l.server, l.client) })
	both.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *Proxy) pass(l *link, from io.Reader, to io.Writer) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		latency := p.latency
		p.mu.Unlock()
		if latency > 0 {
			select {
			case <-time.After(latency):
			case <-l.gone:
			}
		}
		select {
		case <-l.gone:
			continue // Swallowed.
		default:
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}
