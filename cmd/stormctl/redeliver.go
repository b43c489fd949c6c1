package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/spf13/cobra"
)

func newRedeliver(s streams) *cobra.Command {
	r := redelivery{streams: s}
	c := &cobra.Command{
		Use:   "redeliver --to URL [FILE|-]...",
		Short: "Send dead letters again",
		Long: `Send the events in the log of the dead letter sink to the Broker or the function again, with the same id and
time. They are sent in order, and each is retried until it is accepted. It is safe to do this twice: the function counts
an alert once and ignores older reports about it. Lines that are not events are skipped.

Exit codes: 0 all events were accepted, 1 an event was refused permanently or could not be delivered, 2 an invalid
command line.`,
		Example: `  kubectl -n knative-eventing port-forward svc/broker-ingress 8080:80 &
  kubectl -n stormfold logs deploy/stormfold-dead-letters | kubectl stormfold redeliver --to http://127.0.0.1:8080/stormfold/stormfold -`,
		Args: func(_ *cobra.Command, args []string) error {
			target, err := url.Parse(r.to)
			switch {
			case r.to == "":
				return usagef("redeliver needs --to, the URL of the Broker or of the function")
			case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
				return usagef(
					"--to %q is not an http or https URL, for instance http://127.0.0.1:8080/stormfold/stormfold",
					r.to,
				)
			case r.patience <= 0:
				return usagef("--patience %s is not a positive duration", r.patience)
			case len(args) == 0:
				return usagef("redeliver needs the file of a log, or - for the standard input")
			}
			return onceStandardInput(args)
		},
		RunE: func(c *cobra.Command, args []string) error { return r.run(c.Context(), args) },
	}
	c.Flags().StringVar(&r.to, "to", "", "URL of the Broker or of the function")
	c.Flags().DurationVar(&r.patience, "patience", 5*time.Minute, "how long to retry an event")
	return c
}

// onceStandardInput refuses a second -.
func onceStandardInput(args []string) error {
	seen := false
	for _, arg := range args {
		if arg == "-" && seen {
			return usagef("the standard input can be read only once")
		}
		seen = seen || arg == "-"
	}
	return nil
}

const (
	// maxLetter is the maximum length of a line: the largest event that the function accepts, in base64, and its
	// attributes.
	maxLetter = 8 << 20
	// attemptTime is the timeout of an attempt. The function's runtime aborts an answer after 30 s.
	attemptTime = 40 * time.Second
	// firstPause and lastPause are between two attempts; the pause doubles.
	firstPause, lastPause = 500 * time.Millisecond, 15 * time.Second
)

// deliverer follows no redirects, which would turn the POST into a GET.
var deliverer = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// redelivery is one run of the command and its result.
type redelivery struct {
	streams
	to       string
	patience time.Duration

	sent, refused, empty, skipped int
}

// run sends all files, and always prints the result.
func (r *redelivery) run(ctx context.Context, names []string) error {
	var err error
	for _, name := range names {
		if err = r.file(ctx, name); err != nil {
			break
		}
	}
	fmt.Fprintf(r.err, "%s sent, %d refused permanently, %d without data, %s skipped that are not events.\n",
		count(r.sent, "event"), r.refused, r.empty, count(r.skipped, "line"))
	switch {
	case err != nil:
		return err
	case r.refused+r.empty > 0:
		return fmt.Errorf("%s not accepted", count(r.refused+r.empty, "event"))
	case r.sent == 0:
		return errors.New("it contains no events")
	}
	return nil
}

func (r *redelivery) file(ctx context.Context, name string) error {
	in := r.in
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", name, errors.Unwrap(err))
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLetter)
	number := 0
	for lines.Scan() {
		number++
		where := fmt.Sprintf("%s:%d", name, number)
		ev, ok := letter(lines.Bytes())
		switch {
		case !ok:
			r.skipped++
			continue
		case dropped(ev):
			r.empty++
			fmt.Fprintf(r.err, "%s: event %s was too large, so the log does not have its data\n", where, ev.ID())
			continue
		}
		if err := r.deliver(ctx, where, ev); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s:%d: the line cannot be read: %w", name, number+1, err)
	}
	return nil
}

// letter is the event of a line. A prefix of a log collector, or of kubectl's --timestamps or --prefix, is ignored.
func letter(line []byte) (event.Event, bool) {
	var ev event.Event
	begin := bytes.IndexByte(line, '{')
	if begin < 0 || json.Unmarshal(line[begin:], &ev) != nil || ev.Validate() != nil {
		return ev, false
	}
	for name := range ev.Extensions() {
		if strings.HasPrefix(name, "knativeerror") {
			ev.SetExtension(name, nil) // It is about an earlier attempt.
		}
	}
	if arrived, err := types.ToTime(ev.Extensions()["knativearrivaltime"]); err == nil && ev.Time().IsZero() {
		ev.SetTime(arrived) // A Broker may write another one.
	}
	return ev, true
}

func dropped(ev event.Event) bool {
	_, marked := ev.Extensions()["datadropped"]
	return marked
}

// deliver sends an event until it is accepted, is refused permanently, or the patience is over.
func (r *redelivery) deliver(ctx context.Context, where string, ev event.Event) error {
	deadline := time.Now().Add(r.patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		status, said, err := r.attempt(ctx, ev)
		switch {
		case err == nil && status/100 == 2:
			r.sent++
			return nil
		case err == nil && (status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge):
			r.refused++
			fmt.Fprintf(r.err, "%s: event %s is refused permanently: %s\n", where, ev.ID(), said)
			return nil
		case err == nil:
			err = fmt.Errorf("the answer was %d: %s", status, said)
		}
		if ctx.Err() != nil || time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("%s: event %s could not be delivered; run the command again, which is safe: %w",
				where, ev.ID(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// attempt sends an event once.
func (r *redelivery) attempt(ctx context.Context, ev event.Event) (status int, said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, r.to, ev)
	if err != nil {
		return 0, "", err
	}
	response, err := deliverer.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 512))
	return response.StatusCode, strings.Join(strings.Fields(string(text)), " "), nil
}
