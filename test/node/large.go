//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stormfold/stormfold/test/faults"
)

// large is one event with all alerts of a load, which many senders send at once.
type large struct {
	load
	at    time.Time
	words []faults.Word
	body  []byte
}

func newLarge() (large, error) {
	l := large{
		load: load{name: "Large", alerts: 4000, groups: 1, senders: 64, url: functionURL, host: functionHost},
		at:   time.Now().UTC().Truncate(time.Millisecond),
	}
	var alerts []map[string]any
	for i := range l.alerts {
		alert, word := l.alert(i, l.at, strings.Repeat("load ", 110))
		alerts, l.words = append(alerts, alert), append(l.words, word)
	}
	var err error
	l.body, err = json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:{alertname=\"" + l.name + "\"}", "status": "firing", "receiver": "stormfold",
		"groupLabels": map[string]string{"alertname": l.name}, "alerts": alerts,
	})
	return l, err
}

// together sends the event by all senders at once, each until it is taken.
func (l large) together(ctx context.Context, j *faults.Journal) error {
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	senders := make(chan error)
	for range l.senders {
		go func() { senders <- l.untilTaken(ctx, client, "notification", l.at, l.body, j.Sending(l.words...)) }()
	}
	var err error
	for range l.senders {
		err = errors.Join(err, <-senders)
	}
	return err
}

// largeEvents: what is in memory at once is bounded in bytes, so that no load within the limits ends a pod, neither one
// of the function nor that of the dead letters.
func largeEvents(ctx context.Context, n *node) (string, error) {
	l, err := newLarge()
	if err != nil {
		return "", err
	}
	journal := faults.NewJournal()
	if err := l.together(ctx, journal); err != nil {
		return "", err
	}
	verdict, err := n.exact(ctx, l.load, journal)
	if err == nil {
		err = onlyTaken(verdict, "503")
	}
	if err != nil {
		return "", err
	}
	address, err := n.address(ctx, namespace, "stormfold-dead-letters")
	if err != nil {
		return "", err
	}
	l.url, l.host, journal = "http://"+address+"/", "", faults.NewJournal()
	if err := l.together(ctx, journal); err != nil {
		return "", err
	}
	letters := faults.Verdict{Answers: journal.Answers()}
	if err := onlyTaken(letters, "503"); err != nil {
		return "", fmt.Errorf("dead letters: %w", err)
	}
	for _, selector := range []string{functionPods, "app.kubernetes.io/component=dead-letters"} {
		restarts, err := n.restarts(ctx, namespace, selector)
		if err == nil && restarts > 0 {
			err = fmt.Errorf("containers of %s were restarted %d times", selector, restarts)
		}
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s; the same as dead letters (answers: %s); no container restarted", result(verdict),
		answers(letters)), nil
}
