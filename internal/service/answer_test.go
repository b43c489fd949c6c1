package service

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/handlers"
)

// says is a function with an answer of its own.
type says struct {
	echo
	reply *event.Event
	err   error
}

func (s *says) Handle(context.Context, event.Event) (*event.Event, error) { return s.reply, s.err }

func TestTheFunctionsAnswerIsThatOfTheRequest(t *testing.T) {
	reply := event.New()
	reply.SetID("2")
	reply.SetType("out")
	reply.SetSource("/out")
	reply.SetExtension("traceparent", "00-1-2-01")
	require.NoError(t, reply.SetData(event.ApplicationJSON, map[string]int{"n": 1}))
	for _, c := range []struct {
		name   string
		says   *says
		status int
		text   string
	}{
		{"nothing", &says{}, 200, ""},
		{"reply", &says{reply: &reply}, 200, `{"n":1}`},
		{"for now", &says{err: handlers.Answer(&handlers.Refusal{Reason: handlers.ReasonDraining})}, 503,
			"draining: the function is about to stop"},
		{"for good", &says{err: handlers.Answer(&handlers.Invalid{Field: "type", Problem: "100% wrong"})}, 400,
			"type: 100% wrong"},
		{"another error", &says{err: errors.New("a fault")}, 500, "a fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t, c.says), strings.NewReader(`{}`))
			require.NoError(t, err)
			req.Header = binaryMode.Clone()
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, errors.Join(err, resp.Body.Close()))
			require.Equal(t, c.status, resp.StatusCode)
			require.Equal(t, c.text, strings.TrimSpace(string(text)))
			require.Equal(t, c.says.reply != nil, resp.Header.Get("Ce-Id") == "2")
			if c.says.reply != nil {
				require.Equal(t, "00-1-2-01", resp.Header.Get("Ce-Traceparent"))
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			}
		})
	}
}
