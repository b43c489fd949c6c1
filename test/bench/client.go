package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// connection sends events over one TCP connection, one after the other. It is not net/http's client, which would take
// as much of the machine as the function does.
type connection struct {
	addr, path string
	tcp        net.Conn
	in         *bufio.Reader
	out, body  []byte
	id         string
}

// timeout is how long one answer may take; nothing that is measured comes near it.
const timeout = 30 * time.Second

// dial connects to host:port; the path is where all requests go.
func dial(addr, path, id string) (*connection, error) {
	tcp, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting the load generator: %w", err)
	}
	return &connection{addr: addr, path: path, tcp: tcp, in: bufio.NewReader(tcp), id: id}, nil
}

func (c *connection) close() error { return c.tcp.Close() }

// send sends the n-th event and reads the answer, which has to be 2xx.
func (c *connection) send(events load, n int) error {
	var eventType string
	c.body, eventType = events(c.body[:0], n)
	now := time.Now()
	b := append(c.out[:0], "POST "...)
	b = append(b, c.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.addr...)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(c.body)), 10)
	if eventType != "" {
		b = append(b, "\r\nCe-Specversion: 1.0\r\nCe-Source: /bench\r\nCe-Id: "...)
		b = append(b, c.id...)
		b = append(b, '-')
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, "\r\nCe-Type: "...)
		b = append(b, eventType...)
		b = append(b, "\r\nCe-Time: "...)
		b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	}
	b = append(b, "\r\n\r\n"...)
	c.out = append(b, c.body...)
	if err := c.tcp.SetDeadline(now.Add(timeout)); err != nil {
		return err
	}
	if _, err := c.tcp.Write(c.out); err != nil {
		return fmt.Errorf("sending an event: %w", err)
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("an event was answered %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
