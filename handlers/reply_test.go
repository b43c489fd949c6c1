package handlers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stormfold/stormfold/aggregator"
)

func transition(kind aggregator.TransitionType, incident string) aggregator.Transition {
	return aggregator.Transition{
		Type: kind, Incident: incident, Namespace: "ops", Group: "0123456789abcdef", Policy: "default", AlertName: "A",
		Revision: 1772360160987, Total: 15, Firing: 14,
	}
}

func TestReply(t *testing.T) {
	in := incoming(TypeNotification, nil)
	in.SetExtension("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	in.SetExtension("knativearrivaltime", "2026-03-01T10:17:00Z")
	out := Reply("/stormfold/ops", in, heard, []aggregator.Transition{transition(aggregator.Stormed, "a-2345")})
	require.NotNil(t, out)
	require.NoError(t, out.Validate())
	require.Equal(t, "io.stormfold.incident.storm.v1", out.Type())
	require.Equal(t, "/stormfold/ops", out.Source())
	require.Equal(t, "a-2345", out.Subject())
	require.Equal(t, heard, out.Time())
	require.Equal(t, "application/json", out.DataContentType())
	require.Equal(
		t,
		map[string]any{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		out.Extensions(),
	)
	require.JSONEq(
		t,
		`{"incident":{"apiVersion":"stormfold.io/v1alpha1","kind":"Incident","namespace":"ops","name":"a-2345"},
		"type":"storm","policy":"default","group":"0123456789abcdef","alertName":"A","revision":1772360160987,
		"alerts":{"total":15,"firing":14}}`,
		string(out.Data()),
	)
	require.Regexp(t, "^[0-9a-f]{32}$", out.ID())
}

func TestReplyTellsTheMostImportant(t *testing.T) {
	opened, storm, closed := transition(
		aggregator.Opened,
		"o",
	), transition(
		aggregator.Stormed,
		"s",
	), transition(
		aggregator.Closed,
		"c",
	)
	reopened, absorbed := transition(aggregator.Reopened, "r"), transition(aggregator.Absorbed, "a")
	for _, c := range []struct {
		name, eventType, subject string
		transitions              []aggregator.Transition
	}{
		{"nothing", "", "", nil},
		{"absorbed alone", "", "", []aggregator.Transition{absorbed}},
		{"unknown", "", "", []aggregator.Transition{transition("x", "x")}},
		{"storm over all", TypeStorm, "s", []aggregator.Transition{absorbed, closed, opened, storm, reopened}},
		{"opened over resolved", TypeOpened, "o", []aggregator.Transition{closed, opened}},
		{"reopened is opened", TypeOpened, "r", []aggregator.Transition{reopened, closed}},
		{"the first of equals", TypeOpened, "r", []aggregator.Transition{reopened, opened}},
		{"resolved", TypeResolved, "c", []aggregator.Transition{absorbed, closed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := Reply("/stormfold/ops", incoming(TypeNotification, nil), heard, c.transitions)
			if c.eventType == "" {
				require.Nil(t, out)
				return
			}
			require.Equal(t, c.eventType, out.Type())
			require.Equal(t, c.subject, out.Subject())
		})
	}
}

func TestReplyIDs(t *testing.T) {
	id := replyID("a-2345", TypeOpened, 7)
	require.Equal(t, id, replyID("a-2345", TypeOpened, 7))
	require.NotEqual(t, id, replyID("a-2345", TypeOpened, 8))
	require.NotEqual(t, id, replyID("a-2345", TypeStorm, 7))
	require.NotEqual(t, id, replyID("a-2346", TypeOpened, 7))
}
