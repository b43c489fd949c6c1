package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// AlertmanagerPair are two Alertmanagers that tell each other what they have notified, over a link that can be cut.
type AlertmanagerPair struct {
	Members [2]*AlertmanagerServer

	links [2]*link
}

// StartedAlertmanagerPair starts two Alertmanagers with the same configuration for a test and returns when each knows
// the other. The arguments go to both.
func StartedAlertmanagerPair(t testing.TB, config string, args ...string) *AlertmanagerPair {
	t.Helper()
	p := &AlertmanagerPair{}
	var ports [2]int
	for i := range p.links {
		ports[i] = Port(t)
		l, err := newLink(loopback(Port(t)), loopback(ports[i]))
		if err != nil {
			t.Fatalf("testbed: %v", err)
		}
		t.Cleanup(l.close)
		p.links[i] = l
	}
	for i := range p.Members {
		// A member is known by the address of the link to it: there is no other way from one to the other.
		p.Members[i] = Alertmanager(t, config, append([]string{
			"--cluster.listen-address=" + loopback(ports[i]), "--cluster.advertise-address=" + p.links[i].address,
			"--cluster.peer=" + p.links[1-i].address, "--cluster.gossip-interval=20ms", "--cluster.reconnect-interval=500ms",
		}, args...)...)
	}
	for _, member := range p.Members {
		err := awaitReady(member.Process, func(ctx context.Context) error { return hasPeers(ctx, member.URL, 2) })
		if err != nil {
			t.Fatalf("testbed: %v", err)
		}
	}
	return p
}

// Cut lets nothing through between the two until Heal. Both go on for themselves.
func (p *AlertmanagerPair) Cut() {
	for _, l := range p.links {
		l.set(true)
	}
}

// Heal undoes Cut.
func (p *AlertmanagerPair) Heal() {
	for _, l := range p.links {
		l.set(false)
	}
}

// hasPeers reports as an error when an Alertmanager is not ready in a cluster of that many, itself included.
func hasPeers(ctx context.Context, url string, want int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v2/status", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var status struct {
		Cluster struct {
			Status string
			Peers  []any
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return fmt.Errorf("read the status of Alertmanager: %w", err)
	}
	if got := len(status.Cluster.Peers); got != want || status.Cluster.Status != "ready" {
		return fmt.Errorf("the cluster is %s and has %d members, not %d", status.Cluster.Status, got, want)
	}
	return nil
}

// link carries what memberlist speaks, TCP and UDP on one port, from its address to another.
type link struct {
	address, to string

	tcp net.Listener
	udp net.PacketConn
	out net.Conn

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	loops sync.WaitGroup
}

func newLink(address, to string) (*link, error) {
	l := &link{address: address, to: to, conns: map[net.Conn]bool{}}
	var err error
	if l.tcp, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("listen for a link: %w", err)
	}
	if l.udp, err = net.ListenPacket("udp", address); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for a link: %w", err), l.tcp.Close())
	}
	if l.out, err = net.Dial("udp", to); err != nil {
		return nil, errors.Join(fmt.Errorf("open a link: %w", err), l.tcp.Close(), l.udp.Close())
	}
	l.loops.Go(l.packets)
	l.loops.Go(l.accept)
	return l, nil
}

func (l *link) packets() {
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := l.udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		if !l.isCut() {
			// A member that is not there loses its packets, as it does without a link.
			_, _ = l.out.Write(buffer[:n])
		}
	}
}

func (l *link) accept() {
	for {
		from, err := l.tcp.Accept()
		if err != nil {
			return
		}
		l.loops.Go(func() { l.carry(from) })
	}
}

// carry joins two connections until one of them ends or the link is cut.
func (l *link) carry(from net.Conn) {
	defer func() { _ = from.Close() }()
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	if !l.hold(from, to) {
		return
	}
	defer l.drop(from, to)
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			if tcp, ok := pair[0].(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
		})
	}
	both.Wait()
}

// hold remembers connections for set to close, unless the link is cut already.
func (l *link) hold(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = true
	}
	return !l.cut
}

func (l *link) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *link) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.conns {
			_ = c.Close()
		}
		clear(l.conns)
	}
}

func (l *link) close() {
	l.set(true)
	_, _, _ = l.tcp.Close(), l.udp.Close(), l.out.Close()
	l.loops.Wait()
}
