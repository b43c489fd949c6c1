package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stormfold/stormfold/handlers"
	"github.com/stormfold/stormfold/internal/replay"
)

func newRecord(s streams) *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "record FILE",
		Short: "Record Alertmanager's webhooks in a file, for replay",
		Long: `Receive Alertmanager's webhooks until interrupted, and append each to a file, as one line {"time": "...",
"data": ...}. A body that replay cannot read is answered 400 and not recorded. In Alertmanager, add a receiver with this
address, behind a route with continue: true.`,
		Example: `  kubectl stormfold record night.jsonl --listen 127.0.0.1:9096`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("record needs the name of one file to append to")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return record(c.Context(), s, listen, args[0]) },
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9096", "address to listen on, without TLS or authentication")
	return c
}

// record serves until the context ends, and then prints how much it has written.
func record(ctx context.Context, s streams, address, name string) (err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY,
		0o600) // Alerts may be confidential.
	if err != nil {
		return errors.Join(fmt.Errorf("%s cannot be written: %w", name, errors.Unwrap(err)), listener.Close())
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r := &recorder{out: file, now: s.now}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(s.err, "Recording webhooks sent to http://%s in %s. Stop with Ctrl-C.\n", listener.Addr(), name)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = server.Shutdown(grace)
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(s.err, "Recorded %s.\n", count(r.written, "webhook"))
	return err
}

// recorder appends each webhook to a file.
type recorder struct {
	now func() time.Time

	mu      sync.Mutex
	out     io.Writer
	written int
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.Method != http.MethodPost {
		http.Error(w, "send Alertmanager's webhook here by POST", http.StatusMethodNotAllowed)
		return
	}
	at := r.now().UTC()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, handlers.MaxBody))
	if err != nil {
		http.Error(w, "the body cannot be read, or is larger than 4 MiB", http.StatusBadRequest)
		return
	}
	if _, err := replay.Read("the webhook", body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.append(at, body); err != nil {
		http.Error(w, "the webhook cannot be written: "+err.Error(),
			http.StatusServiceUnavailable) // Alertmanager sends it again.
	}
}

// append writes one line in one piece.
func (r *recorder) append(at time.Time, body []byte) error {
	var line bytes.Buffer
	fmt.Fprintf(&line, `{"time":%q,"data":`, at.Format(time.RFC3339Nano))
	if err := json.Compact(&line, body); err != nil {
		return err
	}
	line.WriteString("}\n")
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(line.Bytes()); err != nil {
		return err
	}
	r.written++
	return nil
}
